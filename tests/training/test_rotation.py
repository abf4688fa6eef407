"""Which checkpoints ``save_total_limit`` removes, whatever the clock of the machine says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import Axolotl, Tiny
from versatune_plugin.training.checkpoint import remove_surplus


def left(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in folder.glob("checkpoint-*"))


@pytest.mark.parametrize(
    ("steps", "limit", "step", "best", "torn", "stay"),
    [
        ([1, 2, 3], 2, 3, None, [], [2, 3]),
        ([9, 10, 11], 2, 11, None, [], [10, 11]),
        ([1, 2, 3], 3, 3, None, [], [1, 2, 3]),
        ([1, 2, 3], None, 3, None, [], [1, 2, 3]),
        ([1, 2, 3], 0, 3, None, [], [1, 2, 3]),
        ([1, 2, 3], 2, 3, 1, [], [1, 3]),
        ([1, 2, 3], 1, 3, 1, [], [1, 3]),
        ([1, 2, 3], 1, 3, 3, [], [3]),
        ([1, 2, 3], 2, 3, None, [2], [1, 3]),
        ([1, 2, 3, 4], 2, 4, None, [2], [3, 4]),
        # Of an earlier run, or of steps that are done again.
        ([1, 2, 7, 8], 3, 2, None, [], [1, 2, 8]),
        ([1, 2, 7, 8], 2, 2, None, [1], [2, 8]),
        ([1, 2, 7, 8], 2, 2, None, [], [1, 2]),
    ],
)
def test_what_is_removed(
    tmp_path: Path, steps: list[int], limit: int | None, step: int, best: int | None, torn: list[int], stay: list[int]
) -> None:
    for number in steps:
        (tmp_path / f"checkpoint-{number}").mkdir()
        # The later the step, the older it looks.
        os.utime(tmp_path / f"checkpoint-{number}", (10_000 - 100 * number,) * 2)
    (tmp_path / "checkpoint-mine").mkdir()
    of_best = None if best is None else str(tmp_path / f"checkpoint-{best}")
    remove_surplus(tmp_path, limit, step, of_best, {tmp_path / f"checkpoint-{number}" for number in torn})
    assert (tmp_path / "checkpoint-mine").exists()
    (tmp_path / "checkpoint-mine").rmdir()
    assert left(tmp_path) == stay


def test_a_clock_that_runs_backwards_keeps_the_newest(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(
        tmp_path / "out",
        plugins=["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"],
        max_steps=8,
        save_strategy="steps",
        save_steps=2,
        save_total_limit=2,
        versatune={"mixture": "uniform"},
    )
    finished = axolotl.train(cfg, env={"SPY_CLOCK": "backwards"})
    assert finished.status == 0, finished.output
    assert left(tmp_path / "out") == [6, 8]
