"""Two runs in one folder, and a run that Ctrl-C ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Axolotl, Finished, Tiny
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.training.folder_lock import LOCK_FILE, FolderLock

SPIED = ["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"]
HOLD = "import sys, time; from pathlib import Path; from versatune_plugin.training.folder_lock import FolderLock; "
HOLD += "lock = FolderLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"


def holding(out: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with holding(out) as other:
        # A child of the holder does not keep it.
        with pytest.raises(
            VersaTuneError, match=rf"{out} is in use by process {other.pid} on .* since 20.*: wait for it"
        ):
            FolderLock(out)
        assert json.loads((out / LOCK_FILE).read_text())["process"] == other.pid
        other.send_signal(signal.SIGKILL)
    lock = FolderLock(out)
    assert json.loads((out / LOCK_FILE).read_text())["process"] == os.getpid()
    lock.release()
    assert list(out.iterdir()) == []
    with holding(out) as other:
        other.kill()


def test_two_runs_at_once_are_one_run_and_a_message(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", plugins=SPIED, max_steps=6, versatune={"mixture": "uniform", "heldout": 4})
    (tmp_path / "cfg.yml").write_text(yaml.safe_dump(cfg))
    go, ended = tmp_path / "go", []
    first = threading.Thread(target=lambda: ended.append(axolotl.train(cfg, env={"SPY_WAIT": f"2:{go}"})))
    first.start()
    try:
        while not (tmp_path / "go.waiting").exists() and first.is_alive():
            time.sleep(0.1)
        second = another(tmp_path)
    finally:
        go.touch()
        first.join()
    assert ended[0].status == 0, ended[0].output
    assert second.status != 0
    assert "out is in use by process" in second.output
    record = read_record(tmp_path / "out")
    assert [line["kind"] for line in record] == ["start", "measure", "measure", "end"]
    assert not (tmp_path / "out" / LOCK_FILE).exists()
    assert not list((tmp_path / "out").glob("versatune.*.jsonl"))


def another(folder: Path) -> Finished:
    """The same configuration in a second server of commands: the first one runs one at a time."""
    server = Axolotl(folder)
    try:
        return server.run("axolotl.cli.train", str(folder / "cfg.yml"))
    finally:
        server.close()


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupted_run_says_so_and_goes_on(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, processes: int) -> None:
    out = tmp_path / "out"
    saving: dict[str, Any] = {"max_steps": 8, "save_strategy": "steps", "save_steps": 3}
    saving |= {"auto_resume_from_checkpoints": True, "micro_batch_size": 2 // processes}
    section = {"mixture": "uniform", "heldout": 4}
    cfg = tiny.config(out, plugins=SPIED, versatune=section, **saving)
    early = axolotl.train(cfg, env={"SPY_INTERRUPT": "1"}, processes=processes)
    assert early.status in (130, -signal.SIGTERM)
    assert "versatune: interrupted; the model is not trained to its end. Nothing is saved yet" in early.output
    late = axolotl.train(cfg, env={"SPY_INTERRUPT": "4"}, processes=processes)
    assert late.status in (130, -signal.SIGTERM)
    assert f"{out / 'checkpoint-3'} is complete: go on from it with `auto_resume_from_checkpoints: true`" in late.output
    assert "Traceback" not in late.outputs[0]
    assert not list(out.glob("*.safetensors"))
    finished = axolotl.train(cfg, processes=processes)
    assert finished.status == 0, finished.output
    assert read_record(out)[-1]["step"] == 8
    assert (out / "model.safetensors").exists()


def test_an_interrupted_reference_measures_nothing_of_the_domain(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    file = tmp_path / "reference.json"
    section = {"mixture": "versatune", "knowledge": "uniform", "reference": str(file), "heldout": 4, "update_steps": 5}
    (tmp_path / "cfg.yml").write_text(yaml.safe_dump(tiny.config(tmp_path / "out", plugins=SPIED, versatune=section)))
    argv = ["axolotl.cli.main", "versatune", "reference", str(tmp_path / "cfg.yml"), "--epochs", "1"]
    stopped = axolotl.run(*argv, env={"SPY_INTERRUPT": "2"})
    assert stopped.status == 130, stopped.output
    assert "versatune: interrupted" in stopped.output
    assert not file.exists()
    assert not list((tmp_path / "reference.parts").glob("?.json"))
    finished = axolotl.run(*argv)
    assert finished.status == 0, finished.output
