"""FinEval: Chinese exams of finance, economics, accounting and certificates (Zhang et al., 2023), one example each."""

# ruff: noqa: RUF001  The prompts are Chinese.

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from versatune_plugin.errors import DataError
from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.choices import chat_score, letter_row
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples
from versatune_plugin.evaluation.task_files import CHOICE_METRICS, SubTasks

__all__ = ["SUBJECTS", "SUB_TASKS", "chat_score", "examples", "load", "score"]

REPOSITORY = "SUFE-AIFLM-Lab/FinEval"
REVISION = "f91a4f11b7b81b4431dc5e786b74c327b443049f"
ARCHIVE = "FinEval.zip"
LETTERS = "ABCD"

# Name of the files -> what the prompt calls the subject.
SUBJECTS = {
    "accounting": "会计",
    "advanced_financial_accounting": "高级财务会计",
    "auditing": "审计学",
    "banking_practitioner_qualification_certificate": "银行从业资格证",
    "central_banking": "中央银行学",
    "certified_management_accountant": "管理会计师",
    "certified_practising_accountant": "注册会计师",
    "china_actuary": "中国精算师",
    "commercial_bank_finance": "商业银行金融学",
    "corporate_finance": "公司金融学",
    "corporate_strategy_and_risk_management": "公司战略与风险管理",
    "cost_accounting": "成本会计学",
    "econometrics": "计量经济学",
    "economic_law": "经济法",
    "finance": "金融学",
    "financial_engineering": "金融工程学",
    "financial_management": "财务管理学",
    "financial_markets": "金融市场学",
    "fund_qualification_certificate": "基金从业资格证",
    "futures_practitioner_qualification_certificate": "期货从业资格证",
    "insurance": "保险学",
    "intermediate_financial_accounting": "中级财务会计",
    "international_economics": "国际经济学",
    "international_finance": "国际金融学",
    "investments": "投资学",
    "macroeconomics": "宏观经济学",
    "management_accounting": "管理会计学",
    "microeconomics": "微观经济学",
    "monetary_finance": "货币金融学",
    "political_economy": "政治经济学",
    "public_finance": "财政学",
    "securities_practitioner_qualification_certificate": "证券从业资格证",
    "statistics": "统计学",
    "tax_law": "税法",
}
SUB_TASKS = SubTasks("fineval", {"subjects": tuple(SUBJECTS)}, usual=CHOICE_METRICS)

examples = first_examples("FinEval", "the split dev")


@loader("fineval", REPOSITORY, REVISION)
def load(files: BenchmarkFiles, subtask: str) -> Splits:
    """``val``, whose labels are public, and ``dev``, whose first row is the example.

    Args:
        subtask: one of `SUBJECTS`.
    """
    return {split: [_row(SUBJECTS[subtask], row) for row in _table(files, subtask, split)] for split in ("dev", "val")}


def _table(files: BenchmarkFiles, subject: str, split: str) -> list[dict[str, str]]:
    name = f"{subject}_{split}.csv"
    path = files.get(ARCHIVE, f"data/{split}/{name}")
    content = path.read_bytes() if files.local is not None else _from_archive(path, name)
    # All cells stay strings ("NA" and "None" are answers), and the byte order mark goes.
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def _from_archive(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        found = [member for member in archive.namelist() if PurePosixPath(member).name == name]
        if len(found) != 1:
            raise DataError(f"{path} (from {REPOSITORY}) holds {len(found)} files named {name}; one is expected")
        return archive.read(found[0])


def _row(subject: str, row: Mapping[str, str]) -> dict[str, Any]:
    options = [row[letter].strip() for letter in LETTERS]
    introduction = f"以下是中国关于{subject}考试的单项选择题，请选出其中的正确答案。\n\n"
    gold = LETTERS.index(row["answer"].strip())
    return letter_row(row["question"].strip(), "答案：", gold, options, introduction=introduction)
