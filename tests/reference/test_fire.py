"""Reference losses under fire: killed where they are written, and out of room."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers.under_fire import killed_at_random

PLUGINS = ["versatune_plugin.VersaTunePlugin", "tests.helpers.fire_plugin.FirePlugin"]


def reference(axolotl: Axolotl, tiny: Tiny, folder: Path, *argv: str, **env: str) -> Finished:
    section = {
        "mixture": "versatune",
        "knowledge": "uniform",
        "reference": str(folder / "reference.json"),
        "update_steps": 5,
        "heldout": 4,
    }
    cfg = tiny.config(folder / "out", plugins=PLUGINS, learning_rate=5e-3, versatune=section)
    (folder / "cfg.yml").write_text(yaml.safe_dump(cfg))
    return axolotl.run(
        "axolotl.cli.main", "versatune", "reference", "cfg.yml", "--epochs", "1", *argv, cwd=folder, env=env
    )


@pytest.fixture(scope="module")
def whole(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a measurement that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    finished = reference(axolotl, tiny, folder)
    assert finished.status == 0, finished.output
    return (folder / "reference.json").read_bytes()


def test_killed_while_each_file_is_written(axolotl: Axolotl, tiny: Tiny, whole: bytes, tmp_path: Path) -> None:
    # How many domains each process finds measured, up to the last, which finds the whole file.
    aims = {"record:half@2": 0, "0.json:renaming@1": 0, "1.json:after@1": 0, "reference.json:half@1": 2}
    for aim, known in aims.items():
        finished = reference(axolotl, tiny, tmp_path, FIRE=aim)
        assert finished.status == -9, (aim, finished.output)
        assert finished.output.count("(already measured)") == known, aim
        assert not (tmp_path / "reference.json").exists()
    killed = reference(axolotl, tiny, tmp_path, FIRE="reference.json:after@1")
    assert killed.status == -9
    assert killed.output.count("(already measured)") == 3
    assert (tmp_path / "reference.parts").exists()
    finished = reference(axolotl, tiny, tmp_path)
    assert finished.status == 0, finished.output
    assert ": reference loss" not in finished.output
    assert (tmp_path / "reference.json").read_bytes() == whole
    assert sorted(path.name for path in tmp_path.glob("*reference*")) == [".reference.json.lock", "reference.json"]


@pytest.mark.slow
def test_other_settings_measure_anew(axolotl: Axolotl, tiny: Tiny, whole: bytes, tmp_path: Path) -> None:
    changed = json.loads(whole)
    changed["made_under"]["learning_rate"] = "0.1"
    (tmp_path / "reference.json").write_text(json.dumps(changed))
    finished = reference(axolotl, tiny, tmp_path)
    assert finished.status == 0, finished.output
    assert finished.output.count(": reference loss") == 3
    assert (tmp_path / "reference.json").read_bytes() == whole


def test_out_of_room_and_nowhere_to_write(axolotl: Axolotl, tiny: Tiny, whole: bytes, tmp_path: Path) -> None:
    failed = reference(axolotl, tiny, tmp_path, FIRE_LIMIT="final-model@2")
    assert failed.status == 2
    assert "versatune: domain 'law': its run cannot write to" in failed.output
    assert "The domains before it are kept" in failed.output
    finished = reference(axolotl, tiny, tmp_path)
    assert finished.status == 0, finished.output
    assert finished.output.count("(already measured)") == 1
    assert (tmp_path / "reference.json").read_bytes() == whole
    refused = reference(axolotl, tiny, tmp_path, "--out", "cfg.yml/reference.json")
    assert refused.status == 2
    assert "versatune: cfg.yml/reference.json cannot be written (Not a directory" in refused.output


@pytest.mark.slow
def test_killed_at_random(axolotl: Axolotl, tiny: Tiny, whole: bytes, tmp_path: Path) -> None:
    began = time.monotonic()
    timed = tmp_path / "timed"
    timed.mkdir()
    assert reference(axolotl, tiny, timed).status == 0
    length = time.monotonic() - began
    finished = killed_at_random(15, 0, length, tmp_path, lambda env: reference(axolotl, tiny, tmp_path, **env))
    assert finished.status == 0, finished.output
    assert (tmp_path / "reference.json").read_bytes() == whole
