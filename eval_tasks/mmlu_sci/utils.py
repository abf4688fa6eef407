"""MMLU-Sci: the natural sciences, mathematics and engineering of MMLU (Hendrycks et al., 2021), without examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import Dataset

from versatune_plugin.evaluation.choices import LETTERS, chat_score, choice_row, lettered
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples
from versatune_plugin.evaluation.files import Files
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


def load(
    subtask: str, versatune_eval_data: str | None = None, source: dict[str, str] | None = None, **_: Any
) -> dict[str, Dataset]:
    """The test split of one subject, and ``dev`` for examples.

    Args:
        subtask: one of `SUBJECTS`.
        versatune_eval_data: the local folder, if any.
        source: as of `Files`.
    """
    files = Files("mmlu", REPOSITORY, REVISION, versatune_eval_data, source)
    found = {
        "dev": files.examples("dev", f"{subtask}_dev.jsonl", subtask),
        "test": files.rows("test", f"{subtask}_test.jsonl", subtask),
    }
    subject = subtask.replace("_", " ")
    return files.datasets({split: [_row(subject, row) for row in rows] for split, rows in found.items()})


def _row(subject: str, row: Mapping[str, Any]) -> dict[str, Any]:
    options = row["choices"]
    query = f"{row['question'].strip()}\n{lettered(options)}\nAnswer:"
    introduction = f"The following are multiple choice questions (with answers) about {subject}.\n\n"
    return choice_row(query, LETTERS[: len(options)], int(row["answer"]), options, introduction=introduction)
