"""MedMCQA: questions of Indian medical entrance exams (Pal et al., 2022), by log-likelihood of the option's letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.choices import chat_score, letter_row
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples

__all__ = ["chat_score", "examples", "load", "score"]

REPOSITORY = "openlifescienceai/medmcqa"
REVISION = "91c6572c454088bf71b679ad90aa8dffcd0d5868"

examples = first_examples("MedMCQA", "the training split")


@loader("medmcqa", REPOSITORY, REVISION)
def load(files: BenchmarkFiles) -> Splits:
    """The validation split, whose labels are public, and the first rows of the training split, for examples."""
    shots, rows = files.shots_and_rows(("train", "train.jsonl"), ("validation", "validation_subset_hf_shape.jsonl"))
    return {"train": [_row(row) for row in shots], "validation": [_row(row) for row in rows]}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    options = [row[name] for name in ("opa", "opb", "opc", "opd")]
    return letter_row(f"Question: {row['question']}", "Answer:", int(row["cop"]), options)
