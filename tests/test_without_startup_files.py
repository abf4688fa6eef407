"""VersaTune where Python may run no code at its start: real hosts, the hook switched off or its files not there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conftest import QUIET, Tiny
from tests.helpers.runs import ROOT, read
from tests.test_packaging import Environment
from versatune_plugin.artifacts.record import read_record


@dataclass
class Bare:
    """A Python in which the hook is not active."""

    python: Path
    switch: dict[str, str]

    def run(self, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name != "VERSATUNE_STARTUP"}
        surroundings = {**kept, **QUIET, **self.switch, "PYTHONPATH": str(ROOT)}
        command: Sequence[str | Path] = [self.python, *arguments]
        return subprocess.run(command, cwd=cwd, env=surroundings, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=["switched off", "files absent"])
def bare(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bare:
    if request.param == "switched off":
        return Bare(Path(sys.executable), {"VERSATUNE_STARTUP": "0"})
    return Bare(Environment(tmp_path_factory.mktemp("bare") / "venv").python, {})


def test_the_whole_name_trains(bare: Bare, tiny: Tiny, tmp_path: Path) -> None:
    section = {"mixture": "constant", "knowledge": "proportional", "heldout": 4}
    cfg = tiny.config(tmp_path / "out", plugins=["versatune_plugin.VersaTunePlugin"], max_steps=2, versatune=section)
    (tmp_path / "cfg.yml").write_text(yaml.safe_dump(cfg))
    trained = bare.run("-m", "axolotl.cli.train", "cfg.yml", cwd=tmp_path)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "VersaTune is active: mixture 'constant', 3 domains" in trained.stdout
    assert [line["kind"] for line in read_record(tmp_path / "out")] == ["start", "measure", "measure", "end"]
    # The hook is really off: its short name means nothing here.
    (tmp_path / "cfg.yml").write_text(yaml.safe_dump({**cfg, "plugins": ["versatune"]}))
    assert bare.run("-m", "axolotl.cli.train", "cfg.yml", cwd=tmp_path).returncode == 1


@pytest.mark.skipif("VERSATUNE_EVAL_DATA" not in os.environ, reason="needs rows of the benchmarks")
def test_lm_eval_finds_the_tasks_where_it_is_told(bare: Bare, tmp_path: Path) -> None:
    command = "from versatune_plugin.cli import versatune; versatune()"
    folder = bare.run("-c", command, "tasks", cwd=tmp_path).stdout.strip()
    evaluating = ["-m", "tests.helpers.stand_in", "gold", "--tasks", "versatune_medqa", "--limit", "4"]
    evaluating += ["--output_path", str(tmp_path / "results")]
    told = bare.run(*evaluating, "--include_path", folder, cwd=tmp_path)
    assert told.returncode == 0, told.stderr[-3000:]
    assert read(tmp_path / "results").score("versatune_medqa") == 1
    alone = bare.run(*evaluating, cwd=tmp_path)
    assert alone.returncode != 0
    assert "versatune_medqa" in alone.stdout + alone.stderr
