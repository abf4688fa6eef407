"""Rows for reports: trained on by nobody, steering nothing, measured at the start and at the end."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.batches import batches
from tests.integration.test_run import NAMES, SECTION, digest, updates
from versatune_plugin.artifacts.record import read_record

SPIED = ["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"]


def of_the_tests(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k != "seconds"} for line in read_record(folder) if line["kind"] == "test"]


@pytest.fixture(scope="module")
def run(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("run")
    cfg = tiny.config(
        folder / "out",
        plugins=SPIED,
        num_epochs=2,
        save_strategy="steps",
        save_steps=10,
        save_total_limit=10,
        use_tensorboard=True,
        versatune={**SECTION, "test_rows": 6, "split_seed": 3},
    )
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(folder / "batches")})
    assert finished.status == 0, finished.output
    (folder / "printed").write_text(finished.output)
    return folder, cfg


def test_they_are_measured_at_start_and_end_and_never_trained_on(run: tuple[Path, dict[str, Any]], tiny: Tiny) -> None:
    folder, _ = run
    record = read_record(folder / "out")
    kinds = [line["kind"] for line in record]
    assert kinds == ["start", "measure", "test", *["update"] * (len(kinds) - 6), "measure", "test", "end"]
    assert record[0]["test_rows"] == dict.fromkeys(NAMES, 6)
    assert (record[0]["seed"], record[0]["split_seed"]) == (7, 3)
    start, end = of_the_tests(folder / "out")
    assert (start["step"], end["step"]) == (0, record[-1]["step"])
    for name in NAMES:
        # An untrained model of 259 tokens stands at ln 259.
        assert start["loss"][name] == pytest.approx(math.log(259), rel=0.05)
        assert end["loss"][name] < start["loss"][name] - 1
        # A byte is a token here, and a row's end token is one more.
        assert end["bits_per_byte"][name] == pytest.approx(end["loss"][name] / math.log(2), rel=0.2)
    rows = {row for step in batches(folder / "batches").values() for row in step}
    sizes = {name: len(file.read_text().splitlines()) for name, file in tiny.files.items()}
    for name in NAMES:
        assert record[0]["training_rows"][name] == sizes[name] - 4 - 6
        assert sum(row.startswith(name) for row in rows) <= sizes[name] - 4 - 6
    printed = (folder / "printed").read_text()
    assert "held out" in printed
    assert " test " in printed


def test_they_change_neither_what_is_held_out_nor_what_steers(
    run: tuple[Path, dict[str, Any]], axolotl: Axolotl, tiny: Tiny, tmp_path: Path
) -> None:
    """Before the first step, models of the same weights have the same held-out losses only on the same rows."""
    cfg = {**run[1], "output_dir": str(tmp_path / "out"), "max_steps": 1, "save_strategy": "no", "seed": 8}
    del cfg["save_steps"]
    cfg["versatune"] = {**SECTION, "split_seed": 3}
    finished = axolotl.train(cfg)
    assert finished.status == 0, finished.output
    assert updates(tmp_path / "out")[0]["loss"] == updates(run[0] / "out")[0]["loss"]
    other = {**cfg, "output_dir": str(tmp_path / "other"), "versatune": SECTION}
    finished = axolotl.train(other)
    assert finished.status == 0, finished.output
    assert updates(tmp_path / "other")[0]["loss"] != updates(run[0] / "out")[0]["loss"]


@pytest.mark.parametrize("step", [30, "last"])
def test_a_resumed_run_measures_the_end_alone(
    run: tuple[Path, dict[str, Any]], axolotl: Axolotl, tmp_path: Path, step: int | str
) -> None:
    import shutil

    folder, cfg = run
    shutil.copytree(folder / "out", tmp_path / "out")
    last = read_record(folder / "out")[-1]["step"]
    start = last if step == "last" else step
    cfg = {**cfg, "output_dir": str(tmp_path / "out")}
    cfg["resume_from_checkpoint"] = str(tmp_path / "out" / f"checkpoint-{start}")
    finished = axolotl.train(cfg)
    assert finished.status == 0, finished.output
    assert of_the_tests(tmp_path / "out") == of_the_tests(folder / "out")
    assert updates(tmp_path / "out") == updates(folder / "out")
    assert digest(tmp_path / "out") == digest(folder / "out")


def test_other_test_rows_are_another_run(run: tuple[Path, dict[str, Any]], axolotl: Axolotl, tmp_path: Path) -> None:
    folder, cfg = run
    cfg = {**cfg, "output_dir": str(tmp_path / "out"), "resume_from_checkpoint": str(folder / "out" / "checkpoint-30")}
    finished = axolotl.train({**cfg, "versatune": {**cfg["versatune"], "test_rows": 5}})
    assert finished.status == 2
    assert "test: 6 " in finished.message


def test_trackers_hear_of_them(run: tuple[Path, dict[str, Any]]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = (run[0] / "out" / "runs").glob("*/events.*")
    accumulator = EventAccumulator(str(events))
    accumulator.Reload()
    for name in NAMES:
        series = accumulator.Scalars(f"train/versatune/test_loss/{name}")
        expected = [line["loss"][name] for line in of_the_tests(run[0] / "out")]
        assert [one.value for one in series] == pytest.approx(expected, rel=1e-5)


def test_more_rows_than_there_are(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", versatune={"mixture": "uniform", "heldout": 4, "test_rows": 26})
    finished = axolotl.train(cfg)
    assert finished.status == 2
    assert (
        "domain 'medicine' has 30 rows with a token to learn, and `heldout` (4) and `test_rows` (26) take 30 of them"
        in " ".join(finished.message.split())
    )
    assert "'law'" not in finished.message


def test_they_may_be_the_only_ones_measured(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", max_steps=2, versatune={"mixture": "uniform", "heldout": 0, "test_rows": 2})
    finished = axolotl.train(cfg)
    assert finished.status == 0, finished.output
    assert [json.loads(line)["kind"] for line in (tmp_path / "out" / "versatune.jsonl").read_text().splitlines()] == [
        "start",
        "test",
        "test",
        "end",
    ]
