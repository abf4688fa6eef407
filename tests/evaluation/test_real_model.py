"""A real model on all twelve benchmarks through lm-eval's own command line, with ``--limit``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers import smollm
from tests.helpers.runs import ROOT, read
from versatune_plugin.cli import versatune
from versatune_plugin.evaluation.benchmarks import BENCHMARKS
from versatune_plugin.evaluation.results import read_runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("top", "options"),
    [("versatune_", []), ("versatune-chat_", ["--apply_chat_template", "--gen_kwargs", "max_gen_toks=128"])],
    ids=["plain", "chat"],
)
def test_smollm2_has_a_score_on_each_of_the_twelve(tmp_path: Path, top: str, options: list[str]) -> None:
    if not os.environ.get("VERSATUNE_EVAL_DATA"):
        pytest.skip("VERSATUNE_EVAL_DATA does not name a folder with rows of the twelve benchmarks")
    if not smollm.installed():
        pytest.skip(f"SmolLM2 is not installed: {smollm.INSTALL}")
    model, out = smollm.write(tmp_path / "model"), tmp_path / "results" / "smollm2"
    command = [sys.executable, "-m", "lm_eval", "--model", "hf", "--device", "cpu", "--batch_size", "4"]
    command += ["--model_args", f"pretrained={model},dtype=float32,max_length=2048", "--tasks", f"{top}*", *options]
    command += ["--limit", "1", "--output_path", str(out), "--log_samples", "--confirm_run_unsafe_code"]
    finished = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"HF_ALLOW_CODE_EVAL": "1"}, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-4000:]
    found = read(out)
    assert all(rows == 1 for rows in found.rows.values())
    assert all(0 <= found.score(task) <= 1 and 0 <= found.unparsed(task) <= 1 for task in found.results)
    (run,) = read_runs([out])
    assert set(run.benchmarks) == set(BENCHMARKS)
    assert all(score.limited for score in run.benchmarks.values())
    # Of the benchmarks that generate: a model that has learnt something says something.
    assert any(found.unparsed(leaf) < 1 for leaf in found.groups[f"{top}legalbench"])
    shown = CliRunner().invoke(versatune, ["scores", str(out)])
    assert shown.exit_code == 0, shown.output
    assert "average" in shown.output
