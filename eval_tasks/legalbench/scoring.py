"""LegalBench's scores: by row what its metric needs, and the metrics of whole sub-tasks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.evaluation.reading.text import normalise

# A class that no right answer has: an answer outside the possible ones is wrong whatever is right.
NO_CLASS = ""
NOT_KNOWN = "N/A"
DRAWS = 2000  # of the bootstrap: a standard error within 2 %


def answer_score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """What the aggregation of the row's kind needs under ``vt_score``, and whether no answer could be read.

    Where that is no mean, also ``vt_score_stderr``: the same, for the aggregation to its standard error.

    Args:
        doc: the row, as `rows.load` makes it.
        results: the one generated text.
    """
    return row_score(*_BY_KIND[doc["kind"]](doc, results[0]))


def row_score(item: Any, parsed: bool) -> dict[str, Any]:
    """What the aggregations need of a row, as `answer_score` gives it; ``exact_match``: it is right as a whole."""
    # A score of the row; or two classes; or how many names were found, wrong and missed.
    whole = item == 1 if isinstance(item, float) else item[0] == item[1] if len(item) == 2 else not any(item[1:])
    scored = {"vt_score": item, "vt_unparsed": 0.0 if parsed else 1.0, "exact_match": float(whole)}
    # Behind vt_score: lm-eval puts "N/A" there for an aggregation that it does not know.
    return scored if isinstance(item, float) else {**scored, "vt_score_stderr": item}


def balanced_accuracy(items: Sequence[tuple[str, str]]) -> float:
    """The mean over the right classes of the share of their rows that are answered right.

    Args:
        items: right class and answered class of each row.
    """
    from sklearn.metrics import recall_score

    right, answered = zip(*items, strict=True)
    classes = sorted(set(right))
    return float(recall_score(right, answered, labels=classes, average="macro", zero_division=0))


def f1(items: Sequence[tuple[int, int, int]]) -> float:
    """F1 of names over all rows together.

    Args:
        items: of each row the names found, the answers that are no right name, and the names not found.
    """
    found, wrong, missed = (sum(counts) for counts in zip(*items, strict=True))
    return 2 * found / (2 * found + wrong + missed) if found else 0.0


def balanced_accuracy_stderr(items: Sequence[tuple[str, str]]) -> float | str:
    """The standard error of `balanced_accuracy`, by bootstrap over rows; as lm-eval writes it, "N/A" of one row."""
    if len(items) < 2:
        return NOT_KNOWN
    outcomes, draws = _resampled([(right, right == answered) for right, answered in items])
    classes = sorted({right for right, _ in outcomes})
    member = np.array([[right == name for name in classes] for right, _ in outcomes], dtype=float)
    hit = member * np.array([[correct] for _, correct in outcomes])
    rows = draws @ member
    # A class that is not drawn is not averaged over, as in the score itself.
    recall = np.divide(draws @ hit, rows, out=np.zeros_like(rows), where=rows > 0)
    return float(np.std(recall.sum(axis=1) / (rows > 0).sum(axis=1), ddof=1))


def f1_stderr(items: Sequence[tuple[int, int, int]]) -> float | str:
    """The standard error of `f1`, likewise."""
    if len(items) < 2:
        return NOT_KNOWN
    outcomes, draws = _resampled([tuple(item) for item in items])
    found, wrong, missed = (draws @ np.array(outcomes, dtype=float)).T
    whole = 2 * found + wrong + missed
    return float(np.std(np.divide(2 * found, whole, out=np.zeros_like(whole), where=whole > 0), ddof=1))


def _resampled(items: Sequence[Any]) -> tuple[list[Any], NDArray[np.float64]]:
    """The distinct items, and how often each is drawn when all rows are drawn anew with replacement.

    Returns:
        Items, and counts of shape (`DRAWS`, distinct items); the same ones for the same items.
    """
    counted = Counter(items)
    shares = np.array(list(counted.values())) / len(items)
    return list(counted), np.random.default_rng(0).multinomial(len(items), shares, size=DRAWS).astype(np.float64)


def parts(text: str) -> list[str]:
    """The parts of a text between commas, normalised; empty ones are none."""
    return [part for part in map(normalise, text.split(",")) if part]


def _label(doc: Mapping[str, Any], answer: str) -> tuple[tuple[str, str], bool]:
    answered = normalise(answer)
    parsed = answered in {normalise(label) for label in doc["labels"]}
    return (normalise(doc["reference"]), answered if parsed else NO_CLASS), parsed


def _labels(doc: Mapping[str, Any], answer: str) -> tuple[tuple[str, str], bool]:
    answered = set(parts(answer))
    parsed = bool(answered) and answered <= {normalise(label) for label in doc["labels"]}
    right = ", ".join(sorted(set(parts(doc["reference"]))))
    return (right, ", ".join(sorted(answered)) if parsed else NO_CLASS), parsed


def _contained(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    answered = normalise(answer)
    return float(normalise(doc["reference"]) in answered), bool(answered)


def _stemmed(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    answered = stems(parts(answer))
    return float(bool(answered & stems(parts(doc["reference"])))), bool(answered)


def stems(named: Sequence[str]) -> set[str]:
    """The stems (Porter) of terms, normalised."""
    from nltk.stem.porter import PorterStemmer

    stem = PorterStemmer().stem
    return {stem(one) for one in map(normalise, named) if one}


def _number(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    answered, right = _first_integer(answer), _first_integer(doc["reference"])
    if answered is None or right is None:
        return 0.0, False
    return float(is_near(answered, right)), True


def is_near(answered: int, right: int) -> bool:
    """Whether two whole numbers are less than 10 % apart, which is no binary fraction."""
    return answered == right or 10 * abs(answered - right) < right


def _first_integer(text: str) -> int | None:
    found = re.search(r"[0-9]+", text.replace(",", ""))
    return int(found[0]) if found else None


def _names(doc: Mapping[str, Any], answer: str) -> tuple[tuple[int, int, int], bool]:
    answered = parts(answer)
    return found_names(answered, parts(doc["reference"])), bool(answered)


def found_names(answered: Sequence[str], right: Sequence[str]) -> tuple[int, int, int]:
    """The names found, the answers that are no right name, and the names not found; all of `parts`."""
    left = list(answered)
    for name in right:
        place = next((place for place, text in enumerate(left) if name in text), None)
        if place is not None:
            left = left[:place] + left[place + 1 :]
    found = len(answered) - len(left)
    return found, len(left), len(right) - found


_BY_KIND: dict[str, Callable[[Mapping[str, Any], str], tuple[Any, bool]]] = {
    "label": _label,
    "labels": _labels,
    "contained": _contained,
    "stemmed": _stemmed,
    "number": _number,
    "names": _names,
}
