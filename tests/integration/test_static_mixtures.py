"""Mixtures that are known beforehand, on real rows through Axolotl's command line: what is drawn is as weighted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.real_rows import DOMAINS, short_real_rows
from tests.helpers.tiny import config
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.mixtures.registry import MIXTURES

PRIOR = np.array([0.3, 0.1, 0.25, 0.15, 0.12, 0.08])
KNOWLEDGE = dict(zip(DOMAINS, PRIOR.tolist(), strict=True))
EACH, HELDOUT, BATCH, STEPS = 30, 2, 4, 12
ROWS = np.array([(EACH - 5 * number) - HELDOUT for number in range(6)], dtype=float)


def even(weights: Any) -> np.ndarray:
    return np.asarray(weights, dtype=float) / np.sum(weights)


LAW = np.array([float(name == "law") for name in DOMAINS])
STATIC: dict[str, tuple[dict[str, Any], np.ndarray]] = {
    "constant": ({"mixture": "constant", "knowledge": KNOWLEDGE}, PRIOR),
    "uniform": ({"mixture": "uniform"}, even(np.ones(6))),
    "inverse": ({"mixture": "inverse", "knowledge": KNOWLEDGE}, (1 - PRIOR) / 5),
    "reciprocal": ({"mixture": "inverse", "knowledge": KNOWLEDGE, "form": "reciprocal"}, even(1 / PRIOR)),
    "proportional": ({"mixture": "proportional"}, even(ROWS)),
    "temperature": ({"mixture": "temperature", "tau": 2.0}, even(np.sqrt(ROWS))),
    "single": ({"mixture": "single", "domain": "law"}, LAW),
}


@pytest.fixture(scope="module")
def real(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The first domain has 30 rows, each further one five less."""
    folder = tmp_path_factory.mktemp("real")
    files = short_real_rows(folder / "rows", EACH)
    for number, file in enumerate(files.values()):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(lines[: EACH - 5 * number]), encoding="utf-8")
    return Tiny(tiny.model, files, folder / "prepared")


def train(axolotl: Axolotl, real: Tiny, out: Path, section: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    cfg = config(real.model, real.files, out, real.prepared, sequence_len=512, **changes)
    finished = axolotl.train({**cfg, "versatune": {"heldout": HELDOUT, **section}})
    assert finished.status == 0, finished.output
    return read_record(out)


@pytest.mark.parametrize("name", STATIC)
def test_the_rows_drawn_are_those_of_the_weights(axolotl: Axolotl, real: Tiny, tmp_path: Path, name: str) -> None:
    section, weights = STATIC[name]
    start, *_, end = train(axolotl, real, tmp_path / "out", section, max_steps=STEPS)
    assert list(start["weights"].values()) == pytest.approx(weights.tolist(), abs=1e-12)
    drawn = np.array(list(end["rows"].values()))
    assert np.abs(drawn - STEPS * BATCH * weights).max() < 1


def test_weights_by_step_and_their_mean(axolotl: Axolotl, real: Tiny, tmp_path: Path) -> None:
    stretches = [(0, even([6, 5, 4, 3, 2, 1])), (4, LAW), (7, even(np.ones(6))), (10, PRIOR)]
    written = [{"step": step, "weights": dict(zip(DOMAINS, w.tolist(), strict=True))} for step, w in stretches]
    record = train(axolotl, real, tmp_path / "one", {"mixture": "schedule", "schedule": written}, max_steps=STEPS)
    turns = [line for line in record if line["kind"] == "scheduled"]
    assert [line["step"] for line in turns] == [4, 7, 10]
    for line, (_, weights) in zip(turns, stretches[1:], strict=True):
        assert list(line["weights"].values()) == pytest.approx(weights.tolist(), abs=1e-12)
    rows = {line["step"]: np.array(list(line["rows"].values())) for line in (*turns, record[-1])}
    assert (rows[7] - rows[4]).tolist() == (3 * BATCH * LAW).tolist()
    replay = {"mixture": "replay", "replay": str(tmp_path / "one" / "versatune.jsonl")}
    start = train(axolotl, real, tmp_path / "two", replay, max_steps=STEPS)[0]
    lengths = [4, 3, 3, 2]
    mean = sum(length * weights for length, (_, weights) in zip(lengths, stretches, strict=True)) / STEPS
    assert list(start["weights"].values()) == pytest.approx(mean.tolist(), abs=1e-12)


PRESETS: dict[str, tuple[dict[str, Any], list[np.ndarray]]] = {
    "dmt": (
        {"mixture": "dmt", "general": "general", "share": "1/4"},
        # A quarter of 28, 23, 13, 8 and 3 rows; Python rounds halves to even.
        [ROWS * np.array([1, 1, 0, 1, 1, 1]), np.array([7, 6, 18, 3, 2, 1])],
    ),
    "mixed_sequential": (
        {"mixture": "mixed_sequential", "general": "general"},
        [ROWS * np.array([1, 1, 0, 1, 1, 1]), ROWS * np.array([0, 0, 1, 0, 0, 0])],
    ),
    "sequential": (
        {"mixture": "sequential", "order": list(reversed(DOMAINS))},
        [ROWS * np.eye(6)[index] for index in reversed(range(6))],
    ),
    "multitask": ({"mixture": "multitask"}, [ROWS]),
}


@pytest.mark.parametrize("name", PRESETS)
def test_the_stages_of_a_preset(axolotl: Axolotl, real: Tiny, tmp_path: Path, name: str) -> None:
    section, pools = PRESETS[name]
    record = train(axolotl, real, tmp_path / "out", section)
    stages = record[0]["stages"]
    assert [list(stage["rows"].values()) for stage in stages] == [pool.astype(int).tolist() for pool in pools]
    turns = [line for line in record if line["kind"] == "scheduled"]
    assert [line["step"] for line in turns] == [stage["first_step"] for stage in stages[1:]]
    before = np.zeros(6)
    for number, line in enumerate([*turns, record[-1]]):
        drawn = np.array(list(line["rows"].values())) - before
        assert drawn.sum() == stages[number]["steps"] * BATCH
        assert np.abs(drawn - drawn.sum() * even(pools[number])).max() < 1
        before = before + drawn
    assert json.dumps(record[-1]["exhausted"]) == "[]"


def test_every_mixture_is_run_on_real_rows() -> None:
    from tests.integration.test_mixtures import MOVING

    here = {section["mixture"] for section, _ in (*STATIC.values(), *PRESETS.values())} | {"schedule", "replay"}
    # `stages` itself is the presets' class; tests/integration/test_stages.py follows it closely.
    assert here | {section["mixture"] for section, _ in MOVING.values()} | {"stages"} == set(MIXTURES)
