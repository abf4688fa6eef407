"""Answers that a careful human has judged, through the scores of the tasks for chat models.

``VERSATUNE_CASES`` names a file of JSON lines: ``task`` (the benchmark's name first), ``doc`` (what of the row matters;
of a program its ``task_id``), ``answer``, and ``human``, the right score.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from versatune_plugin.eval_tasks.agieval import utils as agieval
from versatune_plugin.eval_tasks.humaneval import utils as humaneval
from versatune_plugin.eval_tasks.lawbench import chat as lawbench
from versatune_plugin.eval_tasks.legalbench import chat as legalbench
from versatune_plugin.eval_tasks.mbpp import utils as mbpp
from versatune_plugin.eval_tasks.scieval import utils as scieval
from versatune_plugin.evaluation.benchmark_files import VARIABLE, BenchmarkFiles
from versatune_plugin.evaluation.sandbox.executor import CONSENT

VARIABLE_OF_CASES = "VERSATUNE_CASES"
SCORES = {
    "scieval": scieval.chat_score,
    "agieval": agieval.chat_free_score,
    "legalbench": legalbench.chat_score,
    "lawbench": lawbench.chat_score,
    "humaneval": humaneval.chat_score,
    "mbpp": mbpp.chat_score,
}


def score(case: Mapping[str, Any], programs: Mapping[str, Mapping[str, Any]]) -> float:
    """Between 0 and 1: where a row has no score of its own, whether it is right as a whole."""
    doc = programs.get(str(case["doc"].get("task_id")), case["doc"])
    found = SCORES[case["task"].split()[0]](doc, [case["answer"]])
    return float(found["exact_match"] if isinstance(found["vt_score"], tuple) else found["vt_score"])


def test_at_least_95_percent_as_the_human_reads_them_and_none_right_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not os.environ.get(VARIABLE_OF_CASES) or not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE_OF_CASES} names no file of judged answers, or {VARIABLE} no folder of benchmarks")
    monkeypatch.setenv(CONSENT, "1")
    text = Path(os.environ[VARIABLE_OF_CASES]).read_text(encoding="utf-8")
    cases = [json.loads(line) for line in text.rstrip("\n").split("\n")]
    rows = [
        *humaneval.read_rows(BenchmarkFiles("humaneval", humaneval.REPOSITORY)),
        *mbpp.read_rows(BenchmarkFiles("mbpp", mbpp.REPOSITORY)),
    ]
    programs = {row["task_id"]: row for row in rows}
    judged = [(score(case, programs), case) for case in cases]
    assert [case for found, case in judged if found > case["human"]] == []
    missed = [case for found, case in judged if found != case["human"]]
    print(f"{len(cases) - len(missed)} of {len(cases)} as the human; not: {missed}")
    assert len(missed) <= len(cases) / 20
