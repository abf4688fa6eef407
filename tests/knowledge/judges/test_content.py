"""What a judge reads of a text."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.helpers.tiny import WORDS
from versatune_plugin.knowledge.judges.content import NOTHING, content, repeated, without_markup

PREAMBLE = "Below is an instruction that describes a task. Write a response."
SYSTEM = (
    "You are a helpful, respectful and honest assistant.",
    "You answer as an expert would, clearly and at length.",
    "Think step by step, then give the final answer in one line.",
    "Below, a user talks to an artificial intelligence that knows much.",
)


def said(count: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    words = " ".join(WORDS.values()).split()
    return [" ".join(draw.choice(words) for _ in range(12)) for _ in range(count)]


def halves(text: str) -> tuple[str, str]:
    words = text.split()
    return " ".join(words[:6]), " ".join(words[6:])


LAYOUTS: dict[str, Callable[[int, str, str], str]] = {
    "bare": lambda number, one, other: f"{one}\n{other}",
    "alpaca": lambda number, one, other: f"{PREAMBLE}\n\n### Instruction:\n{one}\n\n### Response:\n{other}",
    "one line": lambda number, one, other: f"USER: {one} ASSISTANT: {other}",
    "numbered": lambda number, one, other: f"Question {number}: {one} => {other}",
    "chat": lambda number, one, other: f"<|im_start|>user\n{one}<|im_end|>\n<|im_start|>assistant\n{other}",
    "inst": lambda number, one, other: f"<s>[INST] {one} [/INST] {other}</s>",
    "four system prompts": lambda number, one, other: f"{SYSTEM[number % 4]}\n{one}\n\n\n{other}",
    "two rows of three": lambda number, one, other: f"{PREAMBLE if number % 3 else ''}{one}\n{other}",
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_only_what_rows_say_is_left_of_any_layout(layout: Callable[[int, str, str], str]) -> None:
    texts = said(60)
    rows = [without_markup(layout(number, *halves(text)), ["</s>"]) for number, text in enumerate(texts)]
    without = repeated([said(60, seed=1), rows])
    assert [content(row, without) for row in rows] == texts


def test_what_a_few_rows_say_is_content() -> None:
    rows = [f"import os\nvalue = {text}" if number % 3 == 0 else text for number, text in enumerate(said(60))]
    assert content("import os\nlien = tort", repeated([rows])) == "import os lien = tort"
    clauses = [
        f"{text} in accordance with the terms of this agreement" if number < 2 else text
        for number, text in enumerate(rows)
    ]
    assert content(clauses[1], repeated([clauses])) == clauses[1]


def test_a_phrase_of_one_file_is_found_among_many_files_rows() -> None:
    files = [said(200), [f"{PREAMBLE} {text}" for text in said(20, seed=1)]]
    assert content(f"{PREAMBLE} tort", repeated(files)) == "tort"
    assert content(f"{PREAMBLE} tort", repeated([[text for file in files for text in file]])) == f"{PREAMBLE} tort"


def test_nothing_but_the_layout_goes_where_nothing_is_repeated() -> None:
    assert content("  Fever,\n\n chronic_dose; 3.5  mg\t(once) ", NOTHING) == "Fever, chronic_dose; 3.5 mg (once)"
    assert content("", NOTHING) == ""
    marks = "<|begin_of_text|>a<\uff5cUser\uff5c>b<start_of_turn>c[/INST]d<<SYS>>e<think>f"
    assert without_markup(marks).split() == list("abcdef")
    turns = "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|start_header_id|>system<|end_header_id|>\n\nc"
    assert without_markup(turns, ["<|im_start|>", "<|im_end|>"]).split() == list("abc")
    assert without_markup("<|im_start|>user manual").strip() == "user manual"
    assert without_markup("if a < b and c > d: x[INSTANCE] <section>") == "if a < b and c > d: x[INSTANCE] <section>"
