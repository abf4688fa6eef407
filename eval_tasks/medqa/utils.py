"""MedQA: USMLE questions with four options (Jin et al., 2021), by log-likelihood of the option's letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.choices import chat_score, letter_row
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples

__all__ = ["chat_score", "examples", "load", "score"]

REPOSITORY = "GBaker/MedQA-USMLE-4-options-hf"
REVISION = "17af9355ef89fba60de966eabaeba797c695f86e"

examples = first_examples("MedQA", "the training split")


@loader("medqa", REPOSITORY, REVISION)
def load(files: BenchmarkFiles) -> Splits:
    """The test split, and the first rows of the training split, for examples."""
    shots, rows = files.shots_and_rows(("train", "train_gbaker_shape.jsonl"), ("test", "test_gbaker_shape.jsonl"))
    return {"train": [_row(row) for row in shots], "test": [_row(row) for row in rows]}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    options = [row[f"ending{number}"] for number in range(4)]
    question = " ".join(filter(None, [row["sent1"], row.get("sent2")]))
    return letter_row(f"Question: {question}", "Answer:", int(row["label"]), options)
