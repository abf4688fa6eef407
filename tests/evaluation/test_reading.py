"""What a careful human reads in a chat model's answer: right ones in many forms, and none for a wrong reason."""

# ruff: noqa: RUF001  Answers are written in full-width characters, too.

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.eval_tasks.agieval import utils as agieval
from versatune_plugin.eval_tasks.lawbench import chat as lawbench
from versatune_plugin.eval_tasks.legalbench import chat as legalbench
from versatune_plugin.eval_tasks.scieval import utils as scieval
from versatune_plugin.evaluation.reading.programs import program
from versatune_plugin.evaluation.reading.text import answer

CHOICE = {"kind": "multiple-choice", "reference": "B", "guesses": ["A", "B", "C", "D"]}
JUDGE = {"kind": "judge", "reference": "no", "guesses": ["yes", "no", "maybe"]}
RIGHT, WRONG, UNREAD = (1.0, 0.0), (0.0, 0.0), (0.0, 1.0)
FORMS = (
    "{}", " {}.", "({})", "**{}**", "\\boxed{{{}}}", "\n\n{}", "The answer is {}.", "Answer: {}", "**Answer:** {}",
    "The correct answer is **{}**.", "<think>\nFirst A, then D.\n</think>\n\n{}", "<think></think>\n{}", "{}<|im_end|>",
    "`{}`", '"{}"', "答案：{}", "Let me see.\n\nThe final answer is {}",
)  # fmt: skip


def scores(found: dict[str, float]) -> tuple[float, float]:
    return found["vt_score"], found["vt_unparsed"]


@given(form=st.sampled_from(FORMS), letter=st.sampled_from("ABCD"))
def test_a_letter_in_any_form_is_that_letter(form: str, letter: str) -> None:
    assert scores(scieval.chat_score(CHOICE, [form.format(letter)])) == (RIGHT if letter == "B" else WRONG)


@given(form=st.sampled_from(FORMS), number=st.sampled_from(["30", "31", "-30", "3"]))
def test_a_number_in_any_form_is_that_number(form: str, number: str) -> None:
    assert agieval.chat_free_score({"answer": "30"}, [form.format(number)])["vt_score"] == float(number == "30")


@pytest.mark.parametrize(
    "text",
    ["", " B and C", "A or B", "None of the above", "Can not be determined", "<think>It is B", "I cannot answer that."],
)
def test_what_names_no_one_option_is_unread(text: str) -> None:
    assert scores(scieval.chat_score(CHOICE, [text])) == UNREAD


def test_words_of_a_sentence_are_no_answer() -> None:
    assert scores(scieval.chat_score({**CHOICE, "reference": "C"}, ["Can not be determined"])) == UNREAD
    assert scores(scieval.chat_score(CHOICE, ["Before that, cells divide; the answer is D"])) == WRONG
    for text in ("It cannot be determined.", "unknown", "yes or no or maybe", "Not known"):
        assert scieval.chat_score(JUDGE, [text])["vt_score"] == 0.0, text
    for text in ("No.", "**No**", "The answer is no.", "No, because it melts."):
        assert scores(scieval.chat_score(JUDGE, [text])) == RIGHT, text


@pytest.mark.parametrize(
    ("reference", "right", "wrong"),
    [
        (
            "30",
            ("$30$", "30 degrees", "３０", "\\[30\\]", "15+15=30", "30, since 6*5=30"),
            ("The answer is 31, not 30", "3,0"),
        ),
        ("\\frac{1}{2}", ("1/2", "0.5", "$\\dfrac12$"), ("50%", "2", "-1/2")),
        ("x+1", ("$1+x$", "x + 1"), ("x-1", "x")),
        ("$5$;$10$", ("第一空为5，第二空为10", "a=5, b=10"), ("5", "10;5")),
        ("10,\\!000", ("10,000", "$10{,}000$"), ("10", "1,000")),
    ],
)
def test_formulas_are_compared_by_value(reference: str, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    for text in right:
        assert scores(agieval.chat_free_score({"answer": reference}, [text])) == RIGHT, text
    for text in wrong:
        assert agieval.chat_free_score({"answer": reference}, [text])["vt_score"] == 0.0, text


def test_legal_answers() -> None:
    hearsay = {"kind": "label", "reference": "Yes", "labels": ["Yes", "No"], "subtask": "hearsay"}
    for text in ("Yes", " Yes, because it is.", "The answer is Yes.", '"Yes"', "\nYes", "Yes (hearsay)"):
        found = legalbench.chat_score(hearsay, [text])
        assert (found["vt_score"], found["vt_unparsed"]) == (("yes", "yes"), 0.0), text
    for text in ("", "是", "Yes or No", "It depends."):
        assert legalbench.chat_score(hearsay, [text])["vt_unparsed"] == 1.0, text
    tax = {"kind": "number", "reference": "$12,000", "labels": [], "subtask": "sara_numeric"}
    for text in ("$12,000", "$1.2e4", "The tax under section 1 is $12,000"):
        assert legalbench.chat_score(tax, [text])["vt_score"] == 1.0, text
    assert legalbench.chat_score(tax, ["$18,000"])["vt_score"] == 0.0


def test_chinese_legal_answers() -> None:
    choice = {"subtask": "1-2", "answer": "正确答案：B。", "reference": "[正确答案]B"}
    for text in ("[正确答案]B<eoa>", "答案：Ｂ", "选项B正确，因为选项A是错的。", "正确答案是B。A错误。", "\\boxed{B}"):
        assert scores(lawbench.chat_score(choice, [text])) == RIGHT, text
    for text in ("", "B和A", "我无法回答"):
        assert lawbench.chat_score(choice, [text])["vt_score"] == 0.0, text
    amount = {"subtask": "3-7", "answer": "上文涉及到的犯罪金额:8500.0元。", "reference": "[金额]8500.0元"}
    for text, right in (("8,500元", 1.0), ("0.85万元", 1.0), ("一万元", 0.0)):
        assert lawbench.chat_score(amount, [text])["vt_score"] == right, text


HEAD = 'from typing import List\n\n\ndef double(x: int) -> int:\n    """Twice x."""\n'
FUNCTION = "def double(x):\n    return 2 * x\n"


@pytest.mark.parametrize(
    "text",
    [
        FUNCTION,
        f"```python\n{FUNCTION}```",
        f"First:\n```bash\npip install x\n```\n```python\n{FUNCTION}```\nDone.",
        f"```python\ndef double(x): ...\n```\nIn full:\n```python\n{FUNCTION}```",
        f"Here it is:\n\n{FUNCTION}",
        f"[BEGIN]\n{FUNCTION}[DONE]",
        f"~~~python\n{FUNCTION}~~~",
        f"<think>\n```python\ndef double(x):\n    return x\n```\n</think>\n```python\n{FUNCTION}```",
        f"{FUNCTION}<|im_end|>",
        "    return 2 * x\n",
        "```python\n    return 2 * x\n```",
    ],
)
def test_the_program_in_an_answer(text: str) -> None:
    found = program(answer(text), "double", HEAD)
    assert found is not None
    space: dict[str, object] = {}
    exec(compile(found, "<found>", "exec"), space)
    assert space["double"](21) == 42  # type: ignore[operator]


def test_no_program() -> None:
    for text in ("", "I cannot help with that.", "<think>\ndef double(x):\n    return 2 * x\n"):
        assert program(answer(text), "double", HEAD) is None
