"""The judge that asks an instruct model, here a small random Llama."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.helpers.tiny import write_model
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge.judges.model import ModelJudge

DOMAINS = ("law", "law_eu", "law_eu_tax", "code")
TEXTS = ["A court.", "def f(x): return x", "é\u4e2d", "The patient has a fever and a dose of {domains} is given. " * 2]
TEMPLATE = (
    "{% for message in messages %}<s>{{ message['role'] }}\n{{ message['content'] }}<pad>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


@pytest.fixture(scope="module", params=["plain", "chat"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_model(tmp_path_factory.mktemp("judge") / request.param, seed=3)
    weights = load_file(path / "model.safetensors")
    # Fresh weights give every answer about the same probability, and then a mistake would not show.
    save_file({name: tensor * 3 for name, tensor in weights.items()}, path / "model.safetensors", {"format": "pt"})
    if request.param == "chat":
        tokenizer = AutoTokenizer.from_pretrained(path)
        tokenizer.chat_template = TEMPLATE
        tokenizer.save_pretrained(path)
    return path


def directly(path: Path, domains: tuple[str, ...], text: str) -> np.ndarray:
    """One forward pass for each answer, without batch, padding or cache."""
    made = ModelJudge(str(path), domains)
    model = AutoModelForCausalLM.from_pretrained(path).eval()
    prompt = made.prompt(text)
    scores = []
    for answer in made.answers:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0].double()
        places = torch.log_softmax(logits[len(prompt) - 1 : -1], dim=-1)
        scores.append(places[torch.arange(len(answer)), torch.tensor(answer)].sum())
    return torch.softmax(torch.stack(scores), dim=0).numpy()


def test_equals_the_direct_computation_whatever_the_batch(folder: Path) -> None:
    made = ModelJudge(str(folder), DOMAINS)
    together = made.probabilities(TEXTS)
    assert together.shape == (4, 4)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-12)
    expected = np.stack([directly(folder, DOMAINS, text) for text in TEXTS])
    np.testing.assert_allclose(together, expected, rtol=1e-4)
    assert np.abs(np.log(expected[0] / expected[1])).max() > 0.1
    alone = np.concatenate([made.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, rtol=1e-4)
    reverse = made.probabilities(TEXTS[::-1])[::-1]
    np.testing.assert_allclose(together, reverse, rtol=1e-4)


def test_no_answer_is_a_prefix_of_another(folder: Path) -> None:
    made = ModelJudge(str(folder), DOMAINS)
    answers = made.answers
    # The template ends a turn with a token that is not the tokenizer's EOS.
    ends = "<pad>" if made.tokenizer.chat_template else "\n"
    assert [made.tokenizer.decode(answer).strip(" ") for answer in answers] == [name + ends for name in DOMAINS]
    for one in answers:
        for other in answers:
            assert one is other or other[: len(one)] != one


def test_the_prompt_names_the_domains_and_holds_the_text(folder: Path) -> None:
    made = ModelJudge(str(folder), DOMAINS)
    asked = made.tokenizer.decode(made.prompt(TEXTS[3]), skip_special_tokens=False)
    assert "law, law_eu, law_eu_tax, code" in asked
    assert TEXTS[3] in asked
    chat = made.describe()["chat_template"]
    assert asked.endswith("<s>assistant\n" if chat else "\nDomain:")


def test_an_answer_that_is_not_finite_is_unparsed(folder: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = load_file(folder / "model.safetensors")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rare = tokenizer("\u4e2d", add_special_tokens=False)["input_ids"][0]
    weights["model.embed_tokens.weight"][rare] = float("nan")
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    given = ModelJudge(str(broken), DOMAINS).probabilities(TEXTS)
    assert np.isnan(given).all(axis=1).tolist() == [False, False, True, False]
    np.testing.assert_allclose(given[[0, 1, 3]].sum(axis=1), 1, atol=1e-12)


def test_settings_change_with_weights_and_template(folder: Path, tmp_path: Path) -> None:
    made = ModelJudge(str(folder), DOMAINS)
    settings = made.settings()
    assert settings == ModelJudge(str(folder), DOMAINS).settings()
    assert json.loads(json.dumps(made.describe())) == made.describe()
    other = write_model(tmp_path / "other", seed=4)
    assert ModelJudge(str(other), DOMAINS).settings()["weights"] != settings["weights"]
    tokenizer = AutoTokenizer.from_pretrained(other)
    before = ModelJudge(str(other), DOMAINS).settings()["prompt"]
    tokenizer.chat_template = TEMPLATE + " "
    tokenizer.save_pretrained(other)
    assert ModelJudge(str(other), DOMAINS).settings()["prompt"] != before


def test_refuses_a_text_that_does_not_fit_and_a_model_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(VersaTuneError, match="but the model has 512 positions: give --max-new-tokens a smaller"):
        ModelJudge(str(folder), DOMAINS).probabilities(["long " * 100])
    with pytest.raises(VersaTuneError, match="neither a folder nor a model"):
        ModelJudge(str(tmp_path / "nowhere"), DOMAINS)
    with pytest.raises(VersaTuneError, match="neither a folder nor a model"):
        ModelJudge("nobody/nothing-of-this-name", DOMAINS)
