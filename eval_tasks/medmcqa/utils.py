"""MedMCQA: questions of Indian medical entrance exams (Pal et al., 2022), by log-likelihood of the option's letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import Dataset

from versatune_plugin.evaluation.choices import LETTERS, chat_score, choice_row, lettered
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples
from versatune_plugin.evaluation.files import Files

__all__ = ["chat_score", "examples", "load", "score"]

REPOSITORY = "openlifescienceai/medmcqa"
REVISION = "91c6572c454088bf71b679ad90aa8dffcd0d5868"

examples = first_examples("MedMCQA", "the training split")


def load(versatune_eval_data: str | None = None, source: dict[str, str] | None = None, **_: Any) -> dict[str, Dataset]:
    """The validation split, whose labels are public, and the first rows of the training split, for examples."""
    files = Files("medmcqa", REPOSITORY, REVISION, versatune_eval_data, source)
    shots, rows = files.shots_and_rows(("train", "train.jsonl"), ("validation", "validation_subset_hf_shape.jsonl"))
    return files.datasets({"train": [_row(row) for row in shots], "validation": [_row(row) for row in rows]})


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    options = [row[name] for name in ("opa", "opb", "opc", "opd")]
    query = f"Question: {row['question']}\n{lettered(options)}\nAnswer:"
    return choice_row(query, LETTERS[: len(options)], int(row["cop"]), options)
