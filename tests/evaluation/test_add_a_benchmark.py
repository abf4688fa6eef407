"""The page "Add a benchmark": its files, written as it says, are a benchmark that lm-eval runs and `scores` reads."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from tests.evaluation.test_task_files import missing_parts
from tests.helpers.runs import ROOT, Evaluation, evaluate
from versatune_plugin.evaluation.benchmark_files import VARIABLE
from versatune_plugin.evaluation.benchmarks import BENCHMARKS, Benchmark
from versatune_plugin.evaluation.results import read_runs

PAGE = (ROOT / "docs" / "add_a_benchmark.md").read_text(encoding="utf-8")
BLOCKS = {
    title: dedent(text)
    for title, text in re.findall(r'^ +```\w+ title="([^"]+)"\n(.*?)^ +```$', PAGE, re.MULTILINE | re.DOTALL)
}
TASKS = ("versatune_capitals", "versatune-chat_capitals")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All files of the page, where it says."""
    made = tmp_path_factory.mktemp("benchmark")
    for title, text in BLOCKS.items():
        if "/" in title:
            (made / title).parent.mkdir(parents=True, exist_ok=True)
            (made / title).write_text(text, encoding="utf-8")
    return made


def run(kind: str, folder: Path) -> Evaluation:
    options = ("--include_path", str(folder))
    environment = {VARIABLE: str(folder / "data")}
    return evaluate(kind, folder / kind, *options, tasks=",".join(TASKS), env=environment)


def test_a_perfect_model_gets_1_and_one_without_an_answer_0(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    perfect = run("gold", folder)
    for task in TASKS:
        assert (perfect.score(task), perfect.unparsed(task), perfect.rows[task]) == (1.0, 0.0, 3), task
    silent = run("nothing", folder)
    for task in TASKS:
        assert (silent.score(task), silent.unparsed(task)) == (0.0, 1.0), task

    record = eval(BLOCKS["the record"], {"Benchmark": Benchmark})  # noqa: S307  the line of our own page
    assert isinstance(BENCHMARKS, dict)
    monkeypatch.setitem(BENCHMARKS, record.name, record)
    plain, chat = read_runs([folder / "gold"])
    assert plain.benchmarks["capitals"].value == chat.benchmarks["capitals"].value == 1.0
    assert not plain.benchmarks["capitals"].limited
    assert plain.sources["capitals"].where == str(folder / "data")


def test_its_page_has_all_parts() -> None:
    assert missing_parts(BLOCKS["capitals/README.md"], "capitals") == []


def test_what_the_page_points_to_is_there() -> None:
    for path in re.findall(r"`((?:tests|eval_tasks|versatune_plugin|evaluation)/[\w./]*)`", PAGE):
        assert (ROOT / path).exists() or (ROOT / "versatune_plugin" / path).exists(), path
