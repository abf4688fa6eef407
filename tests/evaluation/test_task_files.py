"""The tasks as lm-eval sees them: names, groups, and files that are what the generator writes."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from versatune_plugin.eval_tasks.__main__ import sub_tasks, write_all
from versatune_plugin.evaluation import task_files
from versatune_plugin.evaluation.benchmarks import BENCHMARKS, DOMAINS, Benchmark

TASKS = Path(__file__).resolve().parents[2] / "eval_tasks"


@pytest.mark.parametrize("benchmark", task_files.WITH_SUB_TASKS)
def test_the_files_are_what_the_generator_writes(benchmark: str) -> None:
    files = sub_tasks(benchmark).files()
    there = {f"leaves/{path.name}" for path in (TASKS / benchmark / "leaves").iterdir()}
    assert there == {name for name in files if name.startswith("leaves/")}
    for name, text in files.items():
        assert (TASKS / benchmark / name).read_text(encoding="utf-8") == text
        assert yaml.safe_load(text)


def test_writing_removes_leaves_that_are_no_more(tmp_path: Path) -> None:
    old = tmp_path / "agieval" / "leaves" / "vt_agieval_old.yaml"
    old.parent.mkdir(parents=True)
    old.write_text("task: vt_agieval_old\n")
    write_all(tmp_path)
    assert not old.exists()
    assert (tmp_path / "agieval" / "leaves" / "vt_agieval_math.yaml").exists()


def test_the_pattern_selects_the_twelve_and_no_leaf() -> None:
    from lm_eval.tasks import TaskManager

    names = TaskManager(include_path=str(TASKS), include_defaults=False).all_tasks
    assert {name for name in names if fnmatch(name, "versatune_*")} == {f"versatune_{name}" for name in BENCHMARKS}
    chat = {name for name in names if fnmatch(name, "versatune-chat_*")}
    assert chat == {f"versatune-chat_{name}" for name in BENCHMARKS}
    leaves = [name for name in names if name.startswith("vt_")]
    chat_leaves = {name for name in names if name.startswith("vt-chat_")}
    assert {name.replace("vt_", "vt-chat_", 1) for name in leaves} == chat_leaves
    groups = {
        f"{top}{domain}" for top in ("versatune", "versatune-chat") for domain in ("", *map("-{}".format, DOMAINS))
    }
    assert groups <= set(names)
    assert len(names) == 2 * (len(leaves) + len(BENCHMARKS) + len(DOMAINS) + 1)


def missing_parts(page: str, benchmark: str) -> list[str]:
    """What a benchmark's page does not have."""
    facts = ("licence", "rows", "shot", "metric", "1.0", "## variants", f"versatune-chat_{benchmark}")
    # The parts that lm-eval's guide for new tasks asks for.
    guide = ("## paper", "title: ", "abstract: ", "homepage: ", "## citation", "\n@", "## checklist")
    return [wanted for wanted in (*facts, *guide) if wanted not in page.lower()]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_every_benchmark_is_described(benchmark: str) -> None:
    page = (TASKS / benchmark / "README.md").read_text(encoding="utf-8")
    assert missing_parts(page, benchmark) == []
    assert "```bibtex\n@" in page


def test_the_groups_are_what_the_generator_writes() -> None:
    files = dict(task_files.group_files())
    assert {path.name for path in (TASKS / "groups").iterdir()} == files.keys()
    for name, text in files.items():
        assert (TASKS / "groups" / name).read_text(encoding="utf-8") == text


def test_groups_of_domains_hold_their_two_benchmarks() -> None:
    files = {name: yaml.safe_load(text) for name, text in task_files.group_files()}
    for top in ("versatune", "versatune-chat"):
        for domain, benchmarks in DOMAINS.items():
            assert files[f"{top}-{domain}.yaml"]["task"] == [f"{top}_{name}" for name in benchmarks]
            assert len(benchmarks) == 2
        assert files[f"{top}.yaml"]["task"] == [f"{top}-{domain}" for domain in DOMAINS]


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=lambda benchmark: benchmark.name)
def test_the_page_of_a_benchmark_counts_the_same_rows(benchmark: Benchmark) -> None:
    text = (TASKS / benchmark.name / "README.md").read_text(encoding="utf-8").replace(",", "")
    # Of LegalBench the number of rows that are scored where there are no more.
    assert f"{benchmark.rows - (benchmark.name == 'legalbench')}" in text
