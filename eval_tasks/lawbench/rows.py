"""LawBench's rows: the official prompt, and what a perfect model prints."""

# ruff: noqa: RUF001  The prompts and answers are Chinese.

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from datasets import load_dataset

from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.task_files import SubTasks

REPOSITORY = "open-compass/LawBench"
REVISION = "e30981bb3ff54c41571f222e0b23e92d27375388"

TITLES = {
    "1-1": "Article recitation",
    "1-2": "Knowledge question answering",
    "2-2": "Dispute focus identification",
    "2-3": "Marital disputes identification",
    "2-4": "Issue topic identification",
    "2-5": "Reading comprehension",
    "2-6": "Named entity recognition",
    "2-7": "Opinion summarisation",
    "2-8": "Argument mining",
    "2-9": "Event detection",
    "2-10": "Trigger word extraction",
    "3-1": "Article prediction by fact",
    "3-2": "Article prediction by scene",
    "3-3": "Charge prediction",
    "3-4": "Prison term prediction without article",
    "3-5": "Prison term prediction with article",
    "3-6": "Case analysis",
    "3-7": "Criminal damages calculation",
    "3-8": "Consultation",
}
# 2-1 is left out: its official score needs lists that have no licence (README.md).
SUB_TASKS = SubTasks(
    "lawbench",
    {
        "labels": ("1-2", "2-2", "2-3", "2-4", "2-8", "2-9", "2-10", "3-1", "3-3", "3-4", "3-5", "3-6", "3-7"),
        "texts": ("1-1", "2-5", "2-6", "2-7", "3-2", "3-8"),
    },
)
LETTERS = {"1-2": "ABCD", "2-8": "ABCDE", "3-6": "ABCD"}


@functools.cache
def labels() -> dict[str, list[str]]:
    """Sub-task -> its labels: those that the instruction lists, of 3-3 those that the official score looks for."""
    listed: dict[str, list[str]] = json.loads(Path(__file__).with_name("labels.json").read_text(encoding="utf-8"))
    return listed | {subtask: list(letters) for subtask, letters in LETTERS.items()}


@loader("lawbench", REPOSITORY, REVISION)
def load(files: BenchmarkFiles, subtask: str) -> Splits:
    """All rows that have a score: 500, and 496 of 3-4 and 3-5, where the score skips four sentences of life or death.

    Args:
        subtask: one of `TITLES`.

    Raises:
        VersaTuneError: the file cannot be had.
    """
    kept = [row for row in _read(files, subtask) if _scored(subtask, row["answer"])]
    guesses = _guesses(subtask, [row["answer"] for row in kept])
    rows = [
        {
            "query": f"{row['instruction']}\n{row['question']}",
            "reference": _REFERENCES.get(subtask, str)(row["answer"]),
            "guesses": guesses,
            "subtask": subtask,
            "question": row["question"],
            "answer": row["answer"],
        }
        for row in kept
    ]
    return {"test": rows}


def _read(files: BenchmarkFiles, subtask: str) -> list[dict[str, str]]:
    name = f"one_shot/{subtask}.json"
    if files.local is not None:
        if (files.local / name).is_file():
            text = (files.local / name).read_text(encoding="utf-8")
        else:
            text = gzip.decompress(files.get(name, f"{name}.gz").read_bytes()).decode("utf-8")
        rows: list[dict[str, str]] = json.loads(text)
        return rows
    # The authors have put it on GitHub only.
    address = f"https://raw.githubusercontent.com/{REPOSITORY}/{REVISION}/data/{name}"
    try:
        return list(load_dataset("json", data_files={"test": address}, split="test"))
    except Exception as error:
        raise files.unavailable(address, name, error) from error


def _scored(subtask: str, answer: str) -> bool:
    return subtask not in ("3-4", "3-5") or ("死刑" not in answer and "无期" not in answer)


def _guesses(subtask: str, answers: list[str]) -> list[str]:
    if subtask in ("3-1", "3-4", "3-5"):
        return sorted({_REFERENCES[subtask](answer) for answer in answers})
    return [f"[答案]{label}" for label in labels()[subtask]] if subtask in labels() and subtask != "2-6" else []


def _behind(mark: str, prefix: str, suffix: str = "") -> Callable[[str], str]:
    return lambda answer: mark + answer.removeprefix(prefix).removesuffix(suffix)


def _entities(answer: str) -> str:
    # The official score reads one kind of entity a line, and no value of one character at the very end.
    return answer.replace(";", "\n") + "\n" if answer.strip() else "无"


# The answer as the instruction asks for it, less the end mark, where generation stops.
_REFERENCES: Mapping[str, Callable[[str], str]] = {
    "1-1": _behind("", "答案:"),
    "1-2": _behind("[正确答案]", "正确答案：", "。"),
    "2-2": _behind("[争议焦点]", "争议焦点类别：", "。"),
    "2-3": _behind("[类别]", "类别:", "。"),
    "2-4": _behind("[类别]", ""),
    "2-5": _behind("", "回答:"),
    "2-6": _entities,
    "2-8": _behind("", "", "<eoa>"),
    "3-1": _behind("[法条]", "法条:"),
    "3-3": _behind("[罪名]", "罪名:"),
    "3-4": _behind("[刑期]", "刑期:"),
    "3-5": _behind("[刑期]", "刑期:"),
    "3-6": _behind("[正确答案]", "正确答案:", "。"),
    "3-7": _behind("[金额]", "上文涉及到的犯罪金额:", "。"),
}
