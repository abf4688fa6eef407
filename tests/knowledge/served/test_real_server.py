"""A real server with a real model: texts and judgements through llama.cpp, with log-probabilities and with a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers import model_server

pytestmark = pytest.mark.skipif(not model_server.installed(), reason=f"needs {model_server.INSTALL}")

SECTION = {
    "mixture": "versatune",
    "knowledge": "knowledge.json",
    "reference": "reference.json",
    "descriptions": {"law": "courts and statutes", "medicine": "patients and drugs", "code": "programs"},
}
SIZES = ("--texts", "8", "--iterations", "1", "--batch-size", "8", "--max-new-tokens", "12", "--max-unparsed", "0.5")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with model_server.serving() as address:
        yield address


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The served model's tokenizer and configuration, as a base model without weights."""
    return model_server.write_tokenizer(tmp_path_factory.mktemp("base"))


def detect(axolotl: Axolotl, tiny: Tiny, folder: Path, base: Path, *argv: str) -> Finished:
    folder.mkdir(exist_ok=True)
    cfg = tiny.config(
        folder / "out", versatune=SECTION, base_model=str(base), special_tokens={"pad_token": "<|im_end|>"}
    )
    (folder / "cfg.yml").write_text(yaml.safe_dump(cfg))
    return axolotl.run("axolotl.cli.main", "versatune", "detect", "cfg.yml", *SIZES, *argv, cwd=folder)


def test_texts_and_log_probabilities(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, base: Path, url: str) -> None:
    served = ("--server-url", url, "--judge", "http", "--judge-url", url, "--judge-rotations", "2")
    finished = detect(axolotl, tiny, tmp_path, base, *served)
    assert finished.status == 0, finished.output
    knowledge = json.loads((tmp_path / "knowledge.json").read_text())
    assert sum(knowledge["probabilities"].values()) == pytest.approx(1)
    assert knowledge["written_by"]["kind"] == "llama.cpp"
    # What the server would have done with requests that leave this open.
    assert knowledge["written_by"]["its_own_sampling"]["top_k"] == 40
    assert knowledge["server"]["request"]["top_k"] == 0
    judge = knowledge["judge"]
    assert (judge["answers"], judge["model"]) == ("logprobs", model_server.NAME)
    assert judge["tokens_read"] > 8 * 2 * 50
    assert 0.05 < judge["on_labels"] < 1
    texts = [json.loads(line)["text"] for line in (tmp_path / "knowledge.texts.jsonl").read_text().splitlines()[1:]]
    assert len(set(texts)) == 8
    # Another tokenizer than the server's would start from another token.
    refused = detect(axolotl, tiny, tmp_path / "other", tiny.model, *served)
    assert refused.status == 2
    assert "whose tokenizer is another than that of `base_model`" in " ".join(refused.output.split())


def test_a_json_schema(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, url: str) -> None:
    judged = ("--judge", "http", "--judge-url", url, "--judge-answers", "json", "--judge-rotations", "1")
    finished = detect(axolotl, tiny, tmp_path, tiny.model, *judged, "--texts", "4")
    assert finished.status == 0, finished.output
    judge = json.loads((tmp_path / "knowledge.json").read_text())["judge"]
    assert judge["verbalised"]
    # The grammar leaves the model no other keys.
    assert judge["answers_off_list"] == 0
