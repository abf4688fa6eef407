"""Multiple choice by log-likelihood: rows of one shape for every such benchmark, and their score."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LETTERS = "ABCDEFGHIJ"


def choice_row(query: str, choices: Sequence[str], gold: int | list[int], **further: Any) -> dict[str, Any]:
    """A row as every multiple-choice task of ours has it.

    Args:
        query: all that the model is shown, up to where its answer begins.
        choices: what it may go on with, without the blank before it, which is the task's ``target_delimiter`` (and
            which lm-eval leaves out behind a chat template).
        gold: index of the right one, or of all that are right.
        further: columns that only this benchmark has.
    """
    return {"query": query, "choices": list(choices), "gold": gold, **further}


def lettered(options: Iterable[str], mark: str = ". ") -> str:
    """The options, one a line, behind ``A. ``, ``B. ``, ..."""
    return "\n".join(f"{letter}{mark}{option}" for letter, option in zip(LETTERS, options, strict=False))


def choice_score(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]], by_length: bool = False
) -> dict[str, float]:
    """The score of one row: 1 if the likeliest choice is right.

    A model that prefers nothing (all log-likelihoods equal, or none of them a number) has not answered: score 0, and
    counted as unparsed.

    Args:
        doc: the row, as `choice_row` makes it.
        results: log-likelihood and whether it is the greedy continuation, for each choice.
        by_length: divide by the choice's length in characters, as lm-eval's ``acc_norm`` does; for choices that are
            whole sentences.
    """
    values = [value for value, _ in results]
    if by_length:
        lengths = [max(len(choice), 1) for choice in doc["choices"]]
        values = [value / length for value, length in zip(values, lengths, strict=True)]
    if any(math.isnan(value) for value in values) or max(values) == min(values):
        return {"vt_score": 0.0, "vt_unparsed": 1.0}
    best = max(range(len(values)), key=values.__getitem__)
    right = doc["gold"] if isinstance(doc["gold"], list) else [doc["gold"]]
    return {"vt_score": float(best in right), "vt_unparsed": 0.0}


def length_normalised_score(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """`choice_score` with each log-likelihood divided by the length of its choice."""
    return choice_score(doc, results, by_length=True)
