"""MedQA: USMLE questions with four options (Jin et al., 2021), by log-likelihood of the option's letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import Dataset

from versatune_plugin.evaluation.choices import LETTERS, chat_score, choice_row, lettered
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples
from versatune_plugin.evaluation.files import Files

__all__ = ["chat_score", "examples", "load", "score"]

REPOSITORY = "GBaker/MedQA-USMLE-4-options-hf"
REVISION = "17af9355ef89fba60de966eabaeba797c695f86e"

examples = first_examples("MedQA", "the training split")


def load(versatune_eval_data: str | None = None, source: dict[str, str] | None = None, **_: Any) -> dict[str, Dataset]:
    """The test split, and the first rows of the training split, for examples."""
    files = Files("medqa", REPOSITORY, REVISION, versatune_eval_data, source)
    shots, rows = files.shots_and_rows(("train", "train_gbaker_shape.jsonl"), ("test", "test_gbaker_shape.jsonl"))
    return files.datasets({"train": [_row(row) for row in shots], "test": [_row(row) for row in rows]})


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    options = [row[f"ending{number}"] for number in range(4)]
    query = f"Question: {' '.join(filter(None, [row['sent1'], row.get('sent2')]))}\n{lettered(options)}\nAnswer:"
    return choice_row(query, LETTERS[: len(options)], int(row["label"]), options)
