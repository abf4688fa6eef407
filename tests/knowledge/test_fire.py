"""Detection under fire: killed where it writes, and out of room."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers.under_fire import killed_at_random

SECTION = {"mixture": "versatune", "knowledge": "knowledge.json", "reference": "reference.json"}
PLUGINS = ["versatune_plugin.VersaTunePlugin", "tests.helpers.fire_plugin.FirePlugin"]
SIZES = {"texts": 40, "iterations": 2, "batch-size": 8, "max-new-tokens": 24, "tolerance": 0, "max-unparsed": 0}
OPTIONS = [part for name, value in SIZES.items() for part in (f"--{name}", str(value))]
TEXTS, JUDGEMENTS = "knowledge.texts.jsonl", "knowledge.judgements.jsonl"


def detect(axolotl: Axolotl, tiny: Tiny, folder: Path, *argv: str, **env: str) -> Finished:
    folder.mkdir(exist_ok=True)
    cfg = tiny.config(folder / "out", plugins=PLUGINS, versatune=SECTION)
    (folder / "cfg.yml").write_text(yaml.safe_dump(cfg))
    return axolotl.run("axolotl.cli.main", "versatune", "detect", "cfg.yml", *OPTIONS, *argv, cwd=folder, env=env)


def contents(folder: Path) -> list[Any]:
    knowledge = json.loads((folder / "knowledge.json").read_text())
    del knowledge["finished"]
    return [knowledge, *((folder / name).read_bytes() for name in (TEXTS, JUDGEMENTS)), sorted(folder.glob("*.tmp"))]


@pytest.fixture(scope="module")
def whole(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    finished = detect(axolotl, tiny, folder)
    assert finished.status == 0, finished.output
    return folder


def test_killed_in_the_middle_of_each_file(axolotl: Axolotl, tiny: Tiny, whole: Path, tmp_path: Path) -> None:
    aims = (f"{TEXTS}:half@3", f"{JUDGEMENTS}:half@2", f"{TEXTS}:renaming@1", "knowledge.json:renaming@1")
    for aim in aims:
        finished = detect(axolotl, tiny, tmp_path, FIRE=aim)
        assert finished.status == -9, (aim, finished.output)
        assert not (tmp_path / "knowledge.json").exists()
    finished = detect(axolotl, tiny, tmp_path)
    assert finished.status == 0, finished.output
    assert contents(tmp_path) == contents(whole)


def test_out_of_room_and_nowhere_to_write(axolotl: Axolotl, tiny: Tiny, whole: Path, tmp_path: Path) -> None:
    failed = detect(axolotl, tiny, tmp_path, FIRE_LIMIT=f"{TEXTS}@2")
    assert failed.status == 2
    assert f"versatune: {TEXTS}: cannot be written (File too large" in failed.output
    assert "Free space there, or make it writable, and run the same command again" in failed.output
    finished = detect(axolotl, tiny, tmp_path)
    assert finished.status == 0, finished.output
    assert contents(tmp_path) == contents(whole)
    refused = detect(axolotl, tiny, tmp_path, "--out", "cfg.yml/knowledge.json")
    assert refused.status == 2
    assert "versatune: cfg.yml/knowledge.json cannot be written (Not a directory" in refused.output


@pytest.mark.slow
def test_killed_at_random(axolotl: Axolotl, tiny: Tiny, whole: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    assert detect(axolotl, tiny, tmp_path / "timed").status == 0
    length = time.monotonic() - began
    folder = tmp_path / "killed"
    finished = killed_at_random(15, 0, length, tmp_path, lambda env: detect(axolotl, tiny, folder, **env))
    assert finished.status == 0, finished.output
    assert contents(folder) == contents(whole)
