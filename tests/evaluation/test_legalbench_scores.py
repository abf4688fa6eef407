"""LegalBench: every scoring rule, and the standard errors of what is no mean."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import balanced_accuracy_score

from versatune_plugin.eval_tasks.legalbench.rows import reference
from versatune_plugin.eval_tasks.legalbench.utils import (
    answer_score,
    balanced_accuracy,
    balanced_accuracy_stderr,
    f1,
    f1_stderr,
)
from versatune_plugin.evaluation.reading.text import normalise


def row(kind: str, right: str, labels: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"kind": kind, "reference": right, "labels": list(labels)}


def score(doc: dict[str, Any], answer: str) -> tuple[Any, float]:
    found = answer_score(doc, [answer])
    return found["vt_score"], found["vt_unparsed"]


def test_normalise_strips_punctuation_and_case() -> None:
    assert normalise(" **Yes.** ") == "yes"
    assert normalise("Phillips v. AWH Corp.") == "phillips v awh corp"
    assert normalise("  \n") == ""


@pytest.mark.parametrize(
    ("answer", "answered", "unparsed"),
    [
        ("Yes", "yes", 0.0),
        (" no.", "no", 0.0),
        ('"YES"', "yes", 0.0),
        ("Yes, because", "", 1.0),
        ("Maybe", "", 1.0),
        ("", "", 1.0),
        (" \n", "", 1.0),
        ("...", "", 1.0),
    ],
)
def test_a_label_is_one_of_the_possible_ones_or_no_answer(answer: str, answered: str, unparsed: float) -> None:
    assert score(row("label", "Yes", ("Yes", "No")), answer) == (("yes", answered), unparsed)


def test_labels_of_several_words() -> None:
    doc = row("label", "Common Law", ("UCC", "Common Law"))
    assert score(doc, "common law") == (("common law", "common law"), 0.0)
    assert score(doc, "U.C.C.") == (("common law", "ucc"), 0.0)
    assert score(doc, "commonlaw") == (("common law", ""), 1.0)


def test_several_labels_are_right_in_any_order_but_only_all_of_them() -> None:
    doc = row("labels", "mere continuation,fraudulent conveyance", ("fraudulent conveyance", "mere continuation"))
    right = "fraudulent conveyance, mere continuation"
    assert score(doc, "Fraudulent conveyance, mere continuation.") == ((right, right), 0.0)
    assert score(doc, "mere continuation,fraudulent conveyance") == ((right, right), 0.0)
    assert score(doc, "mere continuation") == ((right, "mere continuation"), 0.0)
    assert score(doc, "mere continuation, nothing else") == ((right, ""), 1.0)
    assert score(doc, ",") == ((right, ""), 1.0)


def test_balanced_accuracy_by_hand() -> None:
    assert balanced_accuracy([("yes", "yes")] * 3 + [("no", "yes")]) == 0.5
    assert balanced_accuracy([("yes", "yes"), ("yes", ""), ("yes", "no"), ("yes", "no"), ("no", "no")]) == 0.625
    assert balanced_accuracy([("a", "")]) == 0.0
    assert balanced_accuracy([("a", "a")]) == 1.0


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    numbers = random.Random(1)
    right = [numbers.choice("abc") for _ in range(200)]
    answered = [numbers.choice("abc") for _ in range(200)]
    expected = balanced_accuracy_score(right, answered)
    assert balanced_accuracy(list(zip(right, answered, strict=True))) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Phillips v. AWH Corp.", (1.0, 0.0)),
        ("PHILLIPS V AWH CORP, 415 F.3d 1303 (Fed. Cir. 2005)", (1.0, 0.0)),
        ("Phillips v. AWH", (0.0, 0.0)),
        ("", (0.0, 1.0)),
        ("--", (0.0, 1.0)),
    ],
)
def test_a_citation_contains_the_case(answer: str, expected: tuple[float, float]) -> None:
    assert score(row("contained", "Phillips v. AWH Corp."), answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("authorize", (1.0, 0.0)),
        ("Authorizes.", (1.0, 0.0)),
        ("permit, authorizing", (1.0, 0.0)),
        ("the term authorize", (0.0, 0.0)),
        ("permit", (0.0, 0.0)),
        ("", (0.0, 1.0)),
        (" , ", (0.0, 1.0)),
    ],
)
def test_a_definition_is_matched_by_the_stem_of_a_part(answer: str, expected: tuple[float, float]) -> None:
    assert score(row("stemmed", "authorize,authorized"), answer) == expected


@pytest.mark.parametrize(
    ("right", "answer", "expected"),
    [
        ("$62000", "$62,000", (1.0, 0.0)),
        ("$62000", "She owes 62000.00 dollars", (1.0, 0.0)),
        ("$1000", "1099", (1.0, 0.0)),
        ("$1000", "901", (1.0, 0.0)),
        ("$1000", "1100", (0.0, 0.0)),
        ("$1000", "900", (0.0, 0.0)),
        ("$1000", "In 2019 it was $1000", (0.0, 0.0)),
        ("$0", "$0", (1.0, 0.0)),
        ("$0", "1", (0.0, 0.0)),
        ("$0", "none", (0.0, 1.0)),
        ("$0", "", (0.0, 1.0)),
    ],
)
def test_the_first_integer_is_within_a_tenth(right: str, answer: str, expected: tuple[float, float]) -> None:
    assert score(row("number", right), answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Ruth C May, Donna E Ledgerwood", ((2, 0, 0), 0.0)),
        ("donna e. ledgerwood and ruth c. may", ((1, 0, 1), 0.0)),
        ("Ruth C. May", ((1, 0, 1), 0.0)),
        ("Ruth C May, Ruth C May", ((1, 1, 1), 0.0)),
        ("Dr. Ruth C. May, someone, Dr. Donna E. Ledgerwood, Bob", ((2, 2, 0), 0.0)),
        ("Not named", ((0, 1, 2), 0.0)),
        ("", ((0, 0, 2), 1.0)),
    ],
)
def test_names_are_found_wrong_or_missed(answer: str, expected: tuple[tuple[int, int, int], float]) -> None:
    assert score(row("names", "Ruth C May, Donna E Ledgerwood"), answer) == expected


def test_f1_by_hand() -> None:
    assert f1([(2, 0, 0), (1, 0, 0)]) == 1.0
    assert f1([(2, 1, 0), (0, 1, 2)]) == pytest.approx(2 * 2 / (2 * 2 + 2 + 2))
    assert f1([(0, 0, 2)]) == 0.0


def test_answers_that_are_written_as_a_list() -> None:
    assert reference("['Ruth C May', \"Sean O'Hara\"]") == "Ruth C May, Sean O'Hara"
    assert reference("['Not named']") == "Not named"
    assert reference(" Juniper Networks, Inc.") == "Juniper Networks, Inc."


# --- standard errors


def by_scipy(statistic: Any, items: list[Any]) -> float:
    """The bootstrap's standard error by SciPy, which draws places of rows."""
    found = bootstrap(
        (np.arange(len(items)),),
        lambda places: statistic([items[place] for place in places]),
        vectorized=False,
        n_resamples=400,
        rng=np.random.default_rng(3),
        method="basic",
    )
    return float(found.standard_error)


def test_the_error_of_balanced_accuracy_is_that_of_a_bootstrap_over_rows() -> None:
    numbers = random.Random(4)
    items = []
    for _ in range(60):
        right = numbers.choice("aaaab")
        items.append((right, numbers.choice((right, right, "c", ""))))
    found = balanced_accuracy_stderr(items)
    assert found == balanced_accuracy_stderr(items)
    assert found == pytest.approx(by_scipy(balanced_accuracy, items), rel=0.12)


def test_the_error_of_balanced_accuracy_by_hand() -> None:
    """Two classes of 200 rows, half and all of them right: sqrt(1/4 / 200) / 2."""
    items = [("a", "a" if place % 2 else "") for place in range(200)] + [("b", "b")] * 200
    assert balanced_accuracy_stderr(items) == pytest.approx((0.25 / 200) ** 0.5 / 2, rel=0.12)
    assert balanced_accuracy_stderr([("a", "a")] * 3 + [("b", "b")]) == 0.0


def test_the_error_of_f1_is_that_of_a_bootstrap_over_rows() -> None:
    numbers = random.Random(5)
    items = [tuple(numbers.randint(0, most) for most in (2, 1, 6)) for _ in range(40)]
    assert f1_stderr(items) == pytest.approx(by_scipy(f1, items), rel=0.12)
    assert f1_stderr([(1, 0, 0), (2, 0, 0)]) == 0.0


def test_one_row_has_no_standard_error() -> None:
    assert balanced_accuracy_stderr([("a", "a")]) == f1_stderr([(1, 0, 0)]) == "N/A"


def test_the_rows_of_a_standard_error_are_those_of_the_score() -> None:
    """Behind the score itself, since lm-eval writes N/A in the same place when it is done with that."""
    found = answer_score(row("label", "Yes", ("Yes", "No")), ["no"])
    assert list(found) == ["vt_score", "vt_unparsed", "exact_match", "vt_score_stderr"]
    assert found["vt_score_stderr"] == found["vt_score"] == ("yes", "no")
    assert answer_score(row("names", "A B"), ["a b"])["vt_score_stderr"] == (1, 0, 0)
    assert list(answer_score(row("number", "$5"), ["5"])) == ["vt_score", "vt_unparsed", "exact_match"]


@pytest.mark.parametrize(
    ("kind", "reference", "printed", "whole"),
    [
        ("label", "Yes", "yes.", 1.0),
        ("label", "Yes", "no", 0.0),
        ("number", "$100", "95", 1.0),
        ("names", "A B, C D", "a b, c d", 1.0),
        ("names", "A B, C D", "a b", 0.0),
        ("names", "A B", "a b, c d", 0.0),
    ],
)
def test_an_exact_match_is_a_whole_row_that_is_right(kind: str, reference: str, printed: str, whole: float) -> None:
    assert answer_score(row(kind, reference, ("Yes", "No")), [printed])["exact_match"] == whole
