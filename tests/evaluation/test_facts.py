"""What is said of a benchmark in several places is the same everywhere: the record, YAML, code and pages."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from lm_eval.utils import load_yaml_config

from versatune_plugin.eval_tasks.__main__ import sub_tasks
from versatune_plugin.evaluation.benchmarks import BENCHMARKS, DOMAINS, PREFIXES

TASKS = Path(__file__).resolve().parents[2] / "eval_tasks"
MEANS = {"rows": r"mean over rows", "sub-tasks": r"mean (?:over|of) (?:the )?(?:10 )?(?:sub-tasks|subjects|exams)"}
benchmarks = pytest.mark.parametrize("name", BENCHMARKS)
variants = pytest.mark.parametrize("suffix", PREFIXES)


def page(name: str) -> str:
    return (TASKS / name / "README.md").read_text(encoding="utf-8")


def config(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_yaml_config(str(path), mode="simple")
    return found


def leaves(name: str, suffix: str) -> list[dict[str, Any]]:
    """The tasks of a benchmark that ask something: one of each template."""
    if BENCHMARKS[name].mean is None:
        return [config(TASKS / name / f"{PREFIXES[suffix]}{name}.yaml")]
    mark = f"{suffix.replace('-', '_')}_"
    return [config(TASKS / name / f"{mark}{template}") for template in sub_tasks(name).names]


@benchmarks
def test_the_record_says_whether_answers_are_generated(name: str) -> None:
    asked = {leaf["output_type"] for leaf in leaves(name, "")}
    assert BENCHMARKS[name].generated is ("generate_until" in asked)


def test_the_page_lists_the_benchmarks_that_a_chat_cannot_answer() -> None:
    (listed,) = re.findall(r"not (medqa, [^:]*) and the exams of agieval:", (TASKS / "README.md").read_text("utf-8"))
    assert listed.split(", ") == [name for name, benchmark in BENCHMARKS.items() if not benchmark.generated]


@benchmarks
@variants
def test_a_group_averages_what_its_tasks_measure_and_has_their_version(name: str, suffix: str) -> None:
    if BENCHMARKS[name].mean is None:
        return
    group = config(TASKS / name / f"{PREFIXES[suffix]}{name}.yaml")
    measured = {metric["metric"] for leaf in leaves(name, suffix) for metric in leaf["metric_list"]}
    averaged = [metric["metric"] for metric in group["aggregate_metric_list"]]
    assert set(averaged) <= measured
    assert {metric["weight_by_size"] for metric in group["aggregate_metric_list"]} == {BENCHMARKS[name].mean == "rows"}
    assert group["metadata"]["version"] == max(leaf["metadata"]["version"] for leaf in leaves(name, suffix))


@benchmarks
def test_the_page_says_how_sub_tasks_are_averaged(name: str) -> None:
    mean = BENCHMARKS[name].mean
    assert mean is None or re.search(MEANS[mean], page(name)), name


@benchmarks
def test_the_page_names_the_source_that_the_code_takes(name: str) -> None:
    module = importlib.import_module(f"versatune_plugin.eval_tasks.{name}.utils")
    if name in ("lawbench", "legalbench"):
        module = importlib.import_module(f"versatune_plugin.eval_tasks.{name}.rows")
    if name == "agieval":
        revisions = list(module.REVISIONS.values())
        assert "hails/agieval-" in page(name)
    else:
        revisions = [module.REVISION[:7]]
        assert module.REPOSITORY in page(name)
    assert all(revision in page(name) for revision in revisions)


def test_the_table_of_all_benchmarks_is_that_of_the_record() -> None:
    text = (TASKS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\[`versatune_.*) \|$", text, re.MULTILINE)
    assert {domain: re.findall(r"versatune_(\w+)`\]\((\w+)/README\.md\)", cell) for domain, cell in rows} == {
        domain: [(name, name) for name in names] for domain, names in DOMAINS.items()
    }
