"""From what a model wrote to a program that is run and scored; HumanEval and MBPP have this in common."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from versatune_plugin.evaluation.reading import programs
from versatune_plugin.evaluation.reading.text import answer
from versatune_plugin.evaluation.sandbox.executor import execute

# Expressions that the guesses of a row return.
CONSTANTS = ("None", "True", "0", "[]")

_FENCE = "```"
_FENCED = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
# A first line that may be code and not a remark before a fenced block.
_CODE = re.compile(r"[ \t]+\S|(?:def|class|import|from|@)\b|@|\w+ *=")


def program_score(doc: Mapping[str, Any], program: str | None) -> dict[str, float]:
    """``vt_score`` 1.0 if a program passes the row's tests; ``vt_unparsed`` 1.0 if there is none, or it is no Python.

    Args:
        doc: the row, with its ``tests``.
        program: all of it; None where none could be read.
    """
    if program is None:
        return {"vt_score": 0.0, "vt_unparsed": 1.0, "pass@1": 0.0}
    verdict = execute(program, doc["tests"]).verdict
    passed = float(verdict == "passed")
    return {"vt_score": passed, "vt_unparsed": float(verdict == "not compiled"), "pass@1": passed}


def completion_score(doc: Mapping[str, Any], text: str) -> dict[str, float]:
    """`program_score` of what goes behind the row's ``head``; nothing but space is none."""
    return program_score(doc, doc["head"] + text if text.strip() else None)


def chat_score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """`program_score` of the last whole program in the answer that defines the function asked for."""
    return program_score(doc, programs.program(answer(results[0]), doc["name"], doc["head"]))


def fenced(program: str) -> str:
    """A program as a block of Markdown."""
    return f"{_FENCE}python\n{program.strip()}\n{_FENCE}\n"


def unfenced(text: str) -> tuple[str, str | None]:
    """The text before the first fence, and the first block between fences."""
    block = _FENCED.search(text)
    return text.partition(_FENCE)[0], block.group(1) if block else None


def unix(text: str) -> str:
    """With line ends as Python writes them."""
    return text.replace("\r\n", "\n")


def cut(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of the stop strings."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


def is_code(before: str, program: str) -> bool:
    """Whether what stands before a fence is code, and not a remark; the program is what would become of it.

    A lone fence at the end of code closes one that the model took as opened before its answer.
    """
    if not _CODE.match(before.lstrip("\n")):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(program)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True
