"""FinanceIQ: Chinese professional exams of finance (Duxiaoman-DI, 2023), five examples each."""

# ruff: noqa: RUF001  The prompts are Chinese.

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any

from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.choices import chat_score, letter_row
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples
from versatune_plugin.evaluation.task_files import CHOICE_METRICS, SubTasks

__all__ = ["SUBJECTS", "SUB_TASKS", "chat_score", "examples", "load", "score"]

REPOSITORY = "Duxiaoman-DI/FinanceIQ"
REVISION = "fca1d9ceb6925041264d211b9ddf7264e8145248"
LETTERS = "ABCD"

# Name of the sub-task -> name of the files, which the prompt uses too.
SUBJECTS = {
    "certified_public_accountant": "注册会计师（CPA）",
    "banking": "银行从业资格",
    "securities": "证券从业资格",
    "funds": "基金从业资格",
    "insurance": "保险从业资格CICE",
    "economist": "经济师",
    "tax_advisor": "税务师",
    "futures": "期货从业资格",
    "financial_planner": "理财规划师",
    "actuary": "精算师-金融数学",
}
SUB_TASKS = SubTasks("financeiq", {"subjects": tuple(SUBJECTS)}, usual=CHOICE_METRICS)

examples = first_examples("FinanceIQ", "the split dev")


@loader("financeiq", REPOSITORY, REVISION)
def load(files: BenchmarkFiles, subtask: str) -> Splits:
    """``test``, and ``dev``, whose five rows are the examples.

    Args:
        subtask: one of `SUBJECTS`.
    """
    subject = SUBJECTS[subtask]
    found = {}
    for split in ("dev", "test"):
        name = f"data/{split}/{subject}.csv"
        with files.get(name, name).open(encoding="utf-8-sig", newline="") as lines:
            found[split] = [_row(subject, row) for row in csv.DictReader(lines)]
    return found


def _row(subject: str, row: Mapping[str, str]) -> dict[str, Any]:
    options = [row[letter].strip() for letter in LETTERS]
    introduction = f"以下是关于{subject}的单项选择题，请直接给出正确答案的选项。\n\n"
    gold = LETTERS.index(row["Answer"].strip())
    return letter_row(f"题目：{row['Question'].strip()}", "答案是：", gold, options, introduction=introduction)
