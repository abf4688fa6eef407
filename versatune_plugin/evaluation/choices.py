"""Multiple choice, by log-likelihood or by the letter that is answered: rows of one shape, and their scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from versatune_plugin.evaluation.reading.options import option_letter, option_letters
from versatune_plugin.evaluation.reading.text import answer

LETTERS = "ABCDEFGHIJ"


def choice_row(
    query: str, choices: Sequence[str], gold: int | list[int], options: Sequence[str], **further: Any
) -> dict[str, Any]:
    """A row as every multiple-choice task of ours has it.

    Args:
        query: all that the model is shown, up to where its answer begins.
        choices: what it may go on with, without the blank before it, which is the task's ``target_delimiter`` (and
            which lm-eval leaves out behind a chat template).
        gold: index of the right one, or of all that are right.
        options: what they say, without a letter.
        further: columns that only this benchmark has.
    """
    right = gold if isinstance(gold, list) else [gold]
    return {
        "query": query,
        "choices": list(choices),
        "gold": gold,
        "options": list(options),
        "reference": ", ".join(LETTERS[index] for index in right),
        "guesses": list(LETTERS[: len(choices)]),
        **further,
    }


def letter_row(question: str, mark: str, gold: int, options: Sequence[str], **further: Any) -> dict[str, Any]:
    """`choice_row` of a question that is followed by its options, one a line, and answered by the letter of one.

    Args:
        question: what stands before the options.
        mark: what stands behind them, for example ``Answer:``.
        gold: as of `choice_row`.
        options: the same.
        further: the same.
    """
    query = f"{question}\n{lettered(options)}\n{mark}"
    return choice_row(query, LETTERS[: len(options)], gold, options, **further)


def lettered(options: Iterable[str], mark: str = ". ") -> str:
    """The options, one a line, behind ``A. ``, ``B. ``, ..."""
    return "\n".join(f"{letter}{mark}{option}" for letter, option in zip(LETTERS, options, strict=False))


def choice_score(
    doc: Mapping[str, Any], results: Sequence[tuple[float, bool]], by_length: bool = False
) -> dict[str, float]:
    """The score of one row: 1 if the likeliest choice is right.

    A model that prefers nothing (all log-likelihoods equal, or none of them a number) has not answered: score 0, and
    counted as unparsed. ``acc`` and ``acc_norm`` beside it are lm-eval's, to which such a row is an answer.

    Args:
        doc: the row, as `choice_row` makes it.
        results: log-likelihood and whether it is the greedy continuation, for each choice.
        by_length: divide by the choice's length in characters, as lm-eval's ``acc_norm`` does; for choices that are
            whole sentences.
    """
    values = np.array([value for value, _ in results])
    per_character = values / [max(len(choice), 1) for choice in doc["choices"]]
    right = doc["gold"] if isinstance(doc["gold"], list) else [doc["gold"]]
    usual = {
        "acc": float(np.argmax(values) in right),
        "acc_norm": float(np.argmax(per_character) in right),
    }
    scored = per_character if by_length else values
    if any(math.isnan(value) for value in scored) or max(scored) == min(scored):
        return {"vt_score": 0.0, "vt_unparsed": 1.0, **usual}
    return {"vt_score": usual["acc_norm" if by_length else "acc"], "vt_unparsed": 0.0, **usual}


def length_normalised_score(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """`choice_score` with each log-likelihood divided by the length of its choice."""
    return choice_score(doc, results, by_length=True)


def chat_score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """1 if a careful human reads the right letter in what the model says to the user; unparsed if he reads none.

    Of a row with several right options one of them is enough, as in `choice_score`; where a question may have several
    (column ``several``), a list of letters has to be all that are right.

    Args:
        doc: the row, as `choice_row` makes it.
        results: the one generated text.
    """
    text, letters = answer(results[0]), LETTERS[: len(doc["choices"])]
    read = option_letter(text, letters, dict(zip(letters, doc["options"], strict=True)))
    if read is None and doc.get("several"):
        read = option_letters(text, letters)
    right = doc["reference"].split(", ")
    score = float(read is not None and (read in right or list(read) == right))
    return {"vt_score": score, "vt_unparsed": float(read is None), "exact_match": score}
