"""HellaSwag: which sentence goes on (Zellers et al., 2019), by log-likelihood per character."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.choices import chat_score, choice_row, lettered
from versatune_plugin.evaluation.choices import length_normalised_score as score
from versatune_plugin.evaluation.examples import first_examples

__all__ = ["chat_score", "examples", "load", "score"]

REPOSITORY = "Rowan/hellaswag"
REVISION = "218ec52e09a7e7462a5400043bb9a69a41d06b76"
# WikiHow's own marks, which are no text.
MARK = re.compile(r"\[[a-z]+\]", re.IGNORECASE)

examples = first_examples("HellaSwag", "the training split, which a local folder may lack")


@loader("hellaswag", REPOSITORY, REVISION)
def load(files: BenchmarkFiles) -> Splits:
    """The validation split, whose labels are public, and the first rows of the training split, for examples."""
    found = {
        "train": files.examples("train", "hellaswag_train.jsonl"),
        "validation": files.rows("validation", "hellaswag_val.jsonl"),
    }
    return {split: [_row(row) for row in rows] for split, rows in found.items()}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    context = f"{row['ctx_a']} {row['ctx_b'].capitalize()}"
    endings = [_plain(ending) for ending in row["endings"]]
    query = _plain(f"{row['activity_label']}: {context}")
    # Under log-likelihood a choice is an ending; who is to name one has to see them all.
    chat_query = f"{query}\n\nWhich ending goes on best?\n{lettered(endings)}\nAnswer:"
    return choice_row(query, endings, int(row["label"]), endings, chat_query=chat_query)


def _plain(text: str) -> str:
    return " ".join(MARK.sub("", text.replace(" [title]", ". ")).split())
