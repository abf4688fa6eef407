"""The same tasks under the newest lm-eval that is supported, unpacked beside the installed one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.evaluation.test_after_training import write_medicine
from tests.helpers.runs import ROOT, evaluate
from versatune_plugin.evaluation.benchmarks import BENCHMARKS
from versatune_plugin.evaluation.results import read_runs

VERSION = "0.4.13"


@pytest.fixture(scope="module")
def lm_eval(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH that has this version; its dependencies are those of the installed one."""
    folder = tmp_path_factory.mktemp("lm_eval")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    finished = subprocess.run([*command, f"lm_eval=={VERSION}"], capture_output=True, text=True)
    if finished.returncode != 0:
        pytest.skip(f"lm_eval {VERSION} cannot be downloaded: {finished.stderr[-300:]}")
    return folder


@pytest.mark.slow
def test_the_twelve_by_their_pattern_with_the_reference_as_the_answer(lm_eval: Path, tmp_path: Path) -> None:
    if not os.environ.get("VERSATUNE_EVAL_DATA"):
        pytest.skip("VERSATUNE_EVAL_DATA does not name a folder with rows of the twelve benchmarks")
    env = {"PYTHONPATH": os.pathsep.join([str(lm_eval), str(ROOT)])}
    gold = evaluate("gold", tmp_path, "--limit", "2", env=env)
    (file,) = tmp_path.rglob("results*.json")
    assert json.loads(file.read_text())["lm_eval_version"] == VERSION
    assert {name for name in gold.results if name.startswith("versatune_")} == {f"versatune_{b}" for b in BENCHMARKS}
    assert {name: gold.score(name) for name in gold.results if gold.score(name) != 1} == {}
    leaves = [leaf for benchmark in BENCHMARKS for leaf in gold.leaves(benchmark)]
    assert len(leaves) == len(set(leaves)) == len(gold.rows)
    # A standard error of our own takes its place there, too.
    errors = [gold.results[leaf]["vt_score_stderr,none"] for leaf in gold.leaves("legalbench")]
    assert {error for leaf, error in zip(gold.leaves("legalbench"), errors, strict=True) if gold.rows[leaf] > 1} == {0}


@pytest.mark.slow
def test_its_results_differ_from_the_installed_ones_by_their_version_alone(lm_eval: Path, tmp_path: Path) -> None:
    rows = {"VERSATUNE_EVAL_DATA": str(write_medicine(tmp_path / "rows"))}
    newer = rows | {"PYTHONPATH": os.pathsep.join([str(lm_eval), str(ROOT)])}
    for name, env in (("installed", rows), ("newer", newer)):
        evaluate("gold", tmp_path / name, tasks="versatune_medqa,versatune_medmcqa", env=env)
    installed, other = read_runs([tmp_path / "installed", tmp_path / "newer"])
    found = {(one.setting, one.value) for unlike in other.unlike(installed).values() for one in unlike}
    assert found == {("lm_eval_version", f'"{VERSION}"')}
