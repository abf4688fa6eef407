"""AGIEval's two exams whose answers are generated: the real references, and what is and is not equal to one."""

from __future__ import annotations

import os

import pytest

from tests.helpers.runs import ours
from versatune_plugin.eval_tasks.agieval.utils import FREE, free_score, load
from versatune_plugin.evaluation.benchmark_files import VARIABLE

RIGHT, WRONG, UNPARSED = (
    {"vt_score": score, "vt_unparsed": unparsed} for score, unparsed in ((1.0, 0.0), (0.0, 0.0), (0.0, 1.0))
)
LINES = r"$y=\frac1e x$;$y=-\frac1e x$"
FORMS = (
    "{}",
    " {}",
    "{}.",
    "答案是{}",
    "答案是{}。",
    "The answer is {}",
    "The answer is {}.",
    r"\boxed{{{}}}",
    r"$\boxed{{{}}}$.",
)


@pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name a folder with agieval")
@pytest.mark.parametrize(("exam", "count"), list(zip(FREE, (118, 1000), strict=True)))
def test_every_reference_is_right_in_every_form(exam: str, count: int) -> None:
    rows = list(load(exam)["test"])
    assert len(rows) == count
    for row in rows:
        assert row["reference"] == row["answer"]
        bare = row["answer"].replace("\\$", "").replace("$", "")
        printed = [form.format(answer) for answer in (row["answer"], bare) for form in FORMS]
        assert [text for text in printed if ours(free_score(row, [text])) != RIGHT] == []


@pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name a folder with agieval")
def test_no_other_reference_is_right() -> None:
    # Not of math, which has one number in several notations.
    answers = {row["answer"].replace("$", "") for row in load("gaokao-mathcloze")["test"]}
    pairs = [(answer, other) for answer in answers for other in answers if answer != other]
    assert [pair for pair in pairs if free_score({"answer": pair[0]}, [pair[1]])["vt_score"]] == []


@pytest.mark.parametrize(
    ("answer", "printed", "expected"),
    [
        (LINES, LINES, RIGHT),
        (LINES, r"$y=-\frac1e x$", WRONG),
        (LINES, r"$y=\frac1e x$", WRONG),
        (LINES, r"\boxed{y=-\frac1e x}", WRONG),
        ("$5$;$10$", "5；10。", RIGHT),  # noqa: RUF001
        ("$5$;$10$", "5", WRONG),
        ("$5$;$10$", "10", WRONG),
        ("7", " 7, since 3 + 4 is 7.", RIGHT),
        ("7", "所以共有7个", RIGHT),
        ("7", "3 + 4 = 7.", RIGHT),
        ("7", "8", WRONG),
        ("7", "-7", WRONG),
        ("7", "The answer is 1.7.", WRONG),
        ("2", r"\frac{1}{2}", WRONG),
        (r"\frac{1}{2}", r"\dfrac12", RIGHT),
        (r"\frac{1}{2}", "1/2", RIGHT),
        (r"\frac{1}{2}", r"\frac{3}{2}", WRONG),
        ("2i", "2i", RIGHT),
        ("2i", "3i", WRONG),
        ("(1,2)", "(3,2)", WRONG),
        ("x = 3", "3", RIGHT),
        ("x - 3z = 0", "0", WRONG),
        ("x - 3z = 0", "The answer is $x-3z=0$.", RIGHT),
        (r"\$6", "It costs $6.", RIGHT),
        (r"\text{even}", r"\text{odd}", WRONG),
        ("7", "I do not know.", UNPARSED),
        ("7", "", UNPARSED),
        ("7", " \n", UNPARSED),
    ],
)
def test_what_equals_the_reference(answer: str, printed: str, expected: dict[str, float]) -> None:
    assert ours(free_score({"answer": answer}, [printed])) == expected
