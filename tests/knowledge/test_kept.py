"""Kept texts and judgements are read back only as they were written."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from versatune_plugin.errors import ArtifactError
from versatune_plugin.knowledge.generation import GeneratedText, TextBatch
from versatune_plugin.knowledge.kept import KeptJudgements, KeptTexts
from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.progress import shown_on

OPTIONS = DetectionOptions(texts=2, iterations=1, batch_size=2)
DOMAINS = ("code", "law", "medicine")


def write(batches: Sequence[TextBatch]) -> Iterator[list[GeneratedText]]:
    for batch in batches:
        yield [GeneratedText(f"text {batch.first + number}", 2, 1) for number in range(batch.count)]


def judge(batches: Sequence[Sequence[str]]) -> Iterator[np.ndarray]:
    for batch in batches:
        yield np.full((len(batch), 3), 1 / 3)


def judged(folder: Path) -> np.ndarray:
    texts = KeptTexts(folder / "texts.jsonl", "judgements.jsonl", {}, OPTIONS)
    texts.write(1, write)
    settings = {"judge": {"name": "even"}}
    return KeptJudgements(folder / "judgements.jsonl", texts, settings, str.strip, judge, DOMAINS, OPTIONS).judge(1)


@pytest.mark.parametrize(
    ("file", "key", "value", "said"),
    [
        ("judgements", "probabilities", [2, -1, 0], "probabilities[0]: is 2"),
        ("judgements", "probabilities", [0.5, 0.4, 0.0], "probabilities: sum to 0.9, not to 1"),
        ("judgements", "probabilities", [0.5, 0.5], "has 2 probabilities for 3 domains"),
        ("judgements", "probabilities", ["1", 0, 0], "probabilities[0]: is '1'"),
        ("judgements", "probabilities", True, "probabilities: is true"),
        ("judgements", "text", 7, "text: is 7"),
        ("judgements", "index", True, "index: is true"),
        ("judgements", "iteration", "1", "iteration: is '1'"),
        ("texts", "text", None, "text: is null"),
        ("texts", "tokens", -2, "tokens: is -2"),
        ("texts", "tokens", 2.5, "tokens: is 2.5"),
        ("texts", "odd", 1, "odd: is not known here"),
    ],
)
def test_what_was_edited_is_refused(tmp_path: Path, file: str, key: str, value: Any, said: str) -> None:
    before = judged(tmp_path)
    assert np.array_equal(judged(tmp_path), before)
    kept = tmp_path / f"{file}.jsonl"
    header, first, *rest = kept.read_text().splitlines()
    kept.write_text("\n".join([header, json.dumps({**json.loads(first), key: value}), *rest]) + "\n")
    with pytest.raises(ArtifactError) as refused:
        judged(tmp_path)
    assert said in str(refused.value)
    assert kept.name in str(refused.value)
    assert "remove it" in str(refused.value) or "remove judgements.jsonl" in str(refused.value)


def test_progress_says_how_many_judgements_cannot_be_used(tmp_path: Path) -> None:
    def half(batches: Sequence[Sequence[str]]) -> Iterator[np.ndarray]:
        for rows in judge(batches):
            rows[1:] = np.nan
            yield rows

    log = io.StringIO()
    options = replace(OPTIONS, max_unparsed=0.9)
    with shown_on(log):
        texts = KeptTexts(tmp_path / "texts.jsonl", "judgements.jsonl", {}, options)
        texts.write(1, write)
        KeptJudgements(tmp_path / "judgements.jsonl", texts, {}, str.strip, half, DOMAINS, options).judge(1)
    written, judgements = log.getvalue().splitlines()
    assert written.startswith("iteration 1/1: texts: 2 of 2 (100 %)")
    assert judgements.startswith("iteration 1/1: judgements: 2 of 2 (100 %)")
    assert judgements.endswith(", unparsed=50.0%")


def test_texts_that_hardly_are_texts_are_counted(tmp_path: Path) -> None:
    made = [
        GeneratedText("<s> ", 1, 1),
        GeneratedText("too short", 2, 1),
        GeneratedText("ha " * 20, 20, 20),
        GeneratedText("a text of eight tokens or a few more", 9, 2),
        GeneratedText("a text of eight tokens or a few more", 9, 2),
        GeneratedText("another text of eight tokens or a few more", 9, 2),
    ]
    options = replace(OPTIONS, texts=6, batch_size=6)
    texts = KeptTexts(tmp_path / "texts.jsonl", "judgements.jsonl", {}, options)
    texts.write(1, lambda batches: iter([made]))
    found = texts.degenerate(6, lambda text: text.replace("<s>", "").strip())
    assert found == {"blank": 1, "short": 1, "repeated": 1, "equal": 1}
    assert sum(texts.degenerate(2, str.strip).values()) == 2
