"""MMLU-Sci: the natural sciences, mathematics and engineering of MMLU (Hendrycks et al., 2021), without examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.choices import chat_score, letter_row
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples
from versatune_plugin.evaluation.task_files import CHOICE_METRICS, SubTasks

__all__ = ["SUBJECTS", "SUB_TASKS", "chat_score", "examples", "load", "score"]

REPOSITORY = "cais/mmlu"
REVISION = "c30699e8356da336a370243923dbaf21066bb9fe"

# MMLU's own categories physics, chemistry, biology, mathematics and engineering.
SUBJECTS = (
    "astronomy",
    "college_physics",
    "conceptual_physics",
    "high_school_physics",
    "college_chemistry",
    "high_school_chemistry",
    "college_biology",
    "high_school_biology",
    "abstract_algebra",
    "college_mathematics",
    "elementary_mathematics",
    "high_school_mathematics",
    "high_school_statistics",
    "electrical_engineering",
)
SUB_TASKS = SubTasks("mmlu_sci", {"subjects": SUBJECTS}, version=1.1, usual=CHOICE_METRICS)

examples = first_examples("MMLU", "the split dev, which a local folder may lack")


@loader("mmlu", REPOSITORY, REVISION)
def load(files: BenchmarkFiles, subtask: str) -> Splits:
    """The test split of one subject, and ``dev`` for examples.

    Args:
        subtask: one of `SUBJECTS`.
    """
    found = {
        "dev": files.examples("dev", f"{subtask}_dev.jsonl", subtask),
        "test": files.rows("test", f"{subtask}_test.jsonl", subtask),
    }
    subject = subtask.replace("_", " ")
    return {split: [_row(subject, row) for row in rows] for split, rows in found.items()}


def _row(subject: str, row: Mapping[str, Any]) -> dict[str, Any]:
    introduction = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    question = row["question"].strip()
    return letter_row(question, "Answer:", int(row["answer"]), row["choices"], introduction=introduction)
