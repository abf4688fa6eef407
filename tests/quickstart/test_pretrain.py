"""The base model of the quickstart: a known mixture, a tokenizer with a start token, and a model that learns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from versatune_plugin.quickstart import pretrain as module
from versatune_plugin.quickstart.pretrain import (
    NO_LABEL,
    USUAL,
    PretrainSettings,
    draw_documents,
    draw_mixture,
    pack,
    pretrain,
    prompts,
    train_tokenizer,
)

TEXTS = [f"The number {number} is followed by the number {number + 1}, and both are numbers." for number in range(400)]


def test_a_mixture_belongs_to_its_seed() -> None:
    assert draw_mixture(3) == draw_mixture(3)
    assert draw_mixture(3) != draw_mixture(4)
    for seed in range(20):
        mixture = draw_mixture(seed)
        assert set(mixture) == set(USUAL)
        assert sum(mixture.values()) == pytest.approx(1, abs=1e-12)
        assert min(mixture.values()) >= module.LEAST


def test_the_truth_is_the_share_of_the_documents_drawn() -> None:
    documents = {"law": [f"law {n}" for n in range(30)], "code": [f"code {n}" for n in range(500)], "none": ["none"]}
    texts, truth = draw_documents(documents, {"law": 0.25, "code": 0.745, "none": 0.005}, 400, seed=1)
    drawn = Counter(text.split()[0] for text in texts)
    assert len(texts) == 400
    assert truth == {name: count / 400 for name, count in drawn.items()}
    assert drawn == {"law": 100, "code": 298, "none": 2}
    # Repeated only once all were drawn: 100 of 30 are three passes and ten more.
    assert sorted(Counter(text for text in texts if text.startswith("law")).values()) == [3] * 20 + [4] * 10
    assert max(Counter(text for text in texts if text.startswith("code")).values()) == 1
    assert texts == draw_documents(documents, {"law": 0.25, "code": 0.745, "none": 0.005}, 400, seed=1)[0]


def test_the_tokenizer_puts_a_start_token_before_every_text_and_loses_nothing() -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    ids = tokenizer("Zürich: 17 numbers\n\tand more").input_ids
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(ids, skip_special_tokens=True) == "Zürich: 17 numbers\n\tand more"
    assert len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}) == 3


def test_prompts_are_alpacas() -> None:
    row = {"instruction": "Name it.", "input": "Au", "output": "Gold."}
    (prompt,) = prompts([row])
    assert prompt.endswith("### Instruction:\nName it.\n\n### Input:\nAu\n\n### Response:\nGold.")


def test_packing_keeps_every_document_whole() -> None:
    documents = [[number] * (5 + number * 7 % 40) for number in range(200)]
    rows = pack(documents, 64)
    assert sorted(document for row in rows for document in row) == sorted(documents)
    assert max(sum(map(len, row)) for row in rows) <= 64
    assert sum(map(len, documents)) / (64 * len(rows)) > 0.85


def test_packed_documents_do_not_see_each_other(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    pretrain(TEXTS[:16], tokenizer, PretrainSettings(vocabulary=300, width=32, layers=2), 1, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    documents = [[*ids, tokenizer.eos_token_id] for ids in tokenizer(TEXTS[:3]).input_ids]
    tokens, positions, labels = module._tensors([documents], 256)
    with torch.no_grad():
        packed = model(input_ids=tokens, position_ids=positions, use_cache=False).logits[0]
        first = 0
        for document in documents:
            alone = model(input_ids=torch.tensor([document])).logits[0]
            assert torch.allclose(packed[first : first + len(document)], alone, atol=1e-4)
            assert labels[0, first : first + len(document)].tolist() == [*document[1:], NO_LABEL]
            first += len(document)
    assert set(labels[0, first:].tolist()) == {NO_LABEL}


def test_pretraining_learns_and_saves_a_model_that_writes_from_its_start_token(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(TEXTS, 300)
    settings = PretrainSettings(batch=2, length=64, vocabulary=300, width=32, layers=2, learning_rate=1e-2, warmup=5)
    losses = pretrain(TEXTS, tokenizer, settings, 7, tmp_path)
    assert sum(losses[-5:]) / 5 < losses[0] - 2
    assert losses == pretrain(TEXTS, tokenizer, settings, 7, tmp_path / "again")

    model, loaded = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.get_vocab() == tokenizer.get_vocab()
    assert (loaded.bos_token, loaded.eos_token, loaded.pad_token) == ("<s>", "</s>", "<pad>")
    assert model.generation_config.eos_token_id == loaded.eos_token_id
    torch.manual_seed(0)
    written = model.generate(torch.tensor([[loaded.bos_token_id]]), do_sample=True, top_k=0, max_new_tokens=30)
    assert "number" in loaded.decode(written[0])
