"""Which parts of a row are its text."""

from __future__ import annotations

from typing import Any

import pytest

from versatune_plugin.knowledge.judges.fields import text_of, text_paths

QUESTIONS = ["Is a lien a right?", "What is tort law", "Who may appeal", "合同是什么"]
ANSWERS = ["Yes.", "A wrong that courts remedy by damages, not by punishment.", "Whoever lost the case.", "双方的约定"]


def conversation(number: int, role: str, said: str) -> list[dict[str, Any]]:
    return [
        {role: "system", said: "Be brief."},
        {role: "human", said: QUESTIONS[number]},
        {role: "gpt", said: ANSWERS[number]},
    ]


@pytest.mark.parametrize(
    ("row", "prompt", "text"),
    [
        pytest.param(
            lambda n: {"output": ANSWERS[n], "input": "", "instruction": QUESTIONS[n], "id": str(n), "lang": "en"},
            lambda n: f"<s>Below is an instruction.\n### Instruction:\n{QUESTIONS[n]}\n### Response:\n{ANSWERS[n]}",
            lambda n: f"{QUESTIONS[n]}\n{ANSWERS[n]}",
            id="keys in another order, labels beside",
        ),
        pytest.param(
            lambda n: {"id": f"row-{n}", "conversations": conversation(n, "from", "value")},
            lambda n: f"human\nBe brief.\n{QUESTIONS[n]}\ngpt\n{ANSWERS[n]}\nsystem",
            lambda n: f"Be brief.\n{QUESTIONS[n]}\n{ANSWERS[n]}",
            id="turns, not their roles",
        ),
        pytest.param(
            lambda n: {"messages": [{"role": "user", "content": [{"type": "text", "text": QUESTIONS[n]}]}]},
            lambda n: f"user text {QUESTIONS[n]}",
            lambda n: QUESTIONS[n],
            id="parts of a message",
        ),
        pytest.param(
            lambda n: {"segments": [{"label": False, "text": QUESTIONS[n]}, {"label": True, "text": ANSWERS[n]}]},
            lambda n: QUESTIONS[n] + ANSWERS[n],
            lambda n: f"{QUESTIONS[n]}\n{ANSWERS[n]}",
            id="segments",
        ),
        pytest.param(
            lambda n: {"context": "of damages and cases" if n == 1 else None, "q": QUESTIONS[n], "unused": ANSWERS[n]},
            lambda n: ("long " * 30 if n == 1 else "") + QUESTIONS[n] + (" || of damages and cases" if n == 1 else ""),
            lambda n: QUESTIONS[n] + ("\nof damages and cases" if n == 1 else ""),
            id="a part that few rows have, one that the format does not read",
        ),
        pytest.param(lambda n: {"input_ids": [n, 2, 3]}, lambda n: QUESTIONS[n], lambda n: "", id="tokens"),
    ],
)
def test_the_parts_that_the_format_reads_in_its_order(row: Any, prompt: Any, text: Any) -> None:
    rows = [row(number) for number in range(4)]
    paths = text_paths(rows, [prompt(number) for number in range(4)])
    assert [text_of(one, paths) for one in rows] == [text(number) for number in range(4)]
