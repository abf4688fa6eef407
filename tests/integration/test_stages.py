"""Staged runs through Axolotl's command line: rows, learning rate, a fresh start for each stage, resume."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.batches import batches
from tests.integration.test_run import digest, updates
from versatune_plugin.artifacts.record import read_record

REFERENCE = {"law": 1.0, "code": 2.0, "medicine": 0.5}
# Of 60, 40 and 30 rows four each are held out; a quarter of 36 and 26 rows are 9 and 6 (6.5 rounds to even).
FIRST, SECOND = 16, 54
SECTION: dict[str, Any] = {
    "mixture": "stages",
    "heldout": 4,
    "knowledge": "uniform",
    "reference": REFERENCE,
    "update_steps": 6,
    "floor": 0.05,
    "stages": [
        {"domains": ["code", "medicine"], "warmup_ratio": 0.25, "lr_scheduler": "linear"},
        {
            "domains": {"law": 1, "code": "1/4", "medicine": "1/4"},
            "epochs": 3,
            "mixture": "versatune",
            "sigma": 2.0,
            "learning_rate": 5e-4,
            "warmup_ratio": 0.1,
        },
    ],
}


@dataclass
class Run:
    out: Path
    config: dict[str, Any]
    batches: dict[int, list[str]]


@pytest.fixture(scope="module")
def run(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("stages")
    cfg = tiny.config(
        folder / "out",
        plugins=["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"],
        save_strategy="steps",
        save_steps=8,
        save_total_limit=20,
        versatune=SECTION,
    )
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(folder / "batches")})
    assert finished.status == 0, finished.output
    assert "Stages, and the rows that they draw from" in finished.output
    return Run(folder / "out", cfg, batches(folder / "batches"))


def drawn(run: Run, steps: range) -> Counter[str]:
    return Counter(row for step in steps for row in run.batches[step])


def test_stages_have_their_rows_and_no_other(run: Run) -> None:
    stages = read_record(run.out)[0]["stages"]
    assert [(stage["first_step"], stage["steps"]) for stage in stages] == [(0, FIRST), (FIRST, SECOND)]
    assert [stage["rows"] for stage in stages] == [
        {"code": 36, "law": 0, "medicine": 26},
        {"code": 9, "law": 56, "medicine": 6},
    ]
    assert len(run.batches) == FIRST + SECOND
    first, second = drawn(run, range(FIRST)), drawn(run, range(FIRST, FIRST + SECOND))
    assert {row.split()[0] for row in first} == {"code", "medicine"}
    # Proportional: every row once, but for those that fill up the last batch.
    assert sum(first.values()) - len(first) == FIRST * 4 - (36 + 26)
    kinds = Counter(row.split()[0] for row in second)
    assert kinds == {"code": 9, "law": 56, "medicine": 6}
    assert all(second[row] > 3 for row in second if not row.startswith("law"))
    assert {row for row in second if not row.startswith("law")} <= set(first)


def test_each_stage_warms_up_and_decays_on_its_own(run: Run) -> None:
    last = max(run.out.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))
    history = json.loads((last / "trainer_state.json").read_text())["log_history"]
    seen = {line["step"] - 1: line["learning_rate"] for line in history if "learning_rate" in line}
    assert len(seen) >= FIRST + SECOND - 8
    for step, rate in seen.items():
        if step < FIRST:
            expected = 1e-3 * (step / 4 if step < 4 else 1 - (step - 4) / (FIRST - 4))
        else:
            own, warmup = step - FIRST, 6
            cosine = 0.5 * (1 + math.cos(math.pi * (own - warmup) / (SECOND - warmup)))
            expected = 5e-4 * (own / warmup if own < warmup else cosine)
        assert rate == pytest.approx(expected, abs=1e-12), step


def test_the_mixture_of_a_stage_moves_within_it(run: Run) -> None:
    start, *record = read_record(run.out)
    assert start["weights"] == pytest.approx({"code": 36 / 62, "law": 0.0, "medicine": 26 / 62})
    moves = [line for line in record if line["kind"] in ("update", "scheduled")]
    kinds = [("update", 6), ("update", 12), ("scheduled", FIRST)]
    kinds += [("update", step) for step in range(FIRST + 6, FIRST + SECOND, 6)]
    assert [(line["kind"], line["step"]) for line in moves] == kinds
    assert moves[0]["weights"] == moves[1]["weights"] == start["weights"]
    weights = moves[2]["weights"]
    assert weights == pytest.approx(dict.fromkeys(weights, 1 / 3))
    for line in moves[3:]:
        raw = {n: weights[n] * (1 + 2 * max((line["loss"][n] - REFERENCE[n]) / line["loss"][n], 0)) for n in weights}
        weights = {name: value / sum(raw.values()) for name, value in raw.items()}
        assert line["weights"] == pytest.approx(weights, abs=1e-9)


def test_a_stage_is_a_fine_tuning_of_its_own(run: Run, axolotl: Axolotl, tmp_path: Path) -> None:
    """The second stage alone, from the model that the first one made, ends with the same model and weights."""
    alone = {
        **run.config,
        "output_dir": str(tmp_path / "out"),
        "base_model": str(run.out / f"checkpoint-{FIRST}"),
        "versatune": {**SECTION, "stages": SECTION["stages"][1:]},
    }
    finished = axolotl.train(alone, env={"SPY_BATCHES": str(tmp_path / "batches")})
    assert finished.status == 0, finished.output
    seen = batches(tmp_path / "batches")
    assert [seen[step] for step in range(SECOND)] == [run.batches[FIRST + step] for step in range(SECOND)]
    together = [line["weights"] for line in updates(run.out) if line["step"] > FIRST and line["kind"] == "update"]
    assert [line["weights"] for line in updates(tmp_path / "out") if line["kind"] == "update"] == together
    assert digest(tmp_path / "out") == digest(run.out)


@pytest.mark.parametrize("step", [8, FIRST, 32])
def test_resumed_equals_uninterrupted_bit_for_bit(run: Run, axolotl: Axolotl, tmp_path: Path, step: int) -> None:
    out = tmp_path / "out"
    cfg = {**run.config, "output_dir": str(out), "resume_from_checkpoint": str(run.out / f"checkpoint-{step}")}
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(tmp_path / "batches")})
    assert finished.status == 0, finished.output
    assert batches(tmp_path / "batches") == {number: run.batches[number] for number in range(step, FIRST + SECOND)}
    assert updates(out) == [line for line in updates(run.out) if line["step"] > step]
    assert digest(out) == digest(run.out)


def test_changed_stages_are_no_resume(run: Run, axolotl: Axolotl, tmp_path: Path) -> None:
    shutil.copytree(run.out / "checkpoint-8", tmp_path / "checkpoint-8")
    stages = [SECTION["stages"][0], {**SECTION["stages"][1], "sigma": 1.0}]
    cfg = {
        **run.config,
        "output_dir": str(tmp_path / "out"),
        "resume_from_checkpoint": str(tmp_path / "checkpoint-8"),
        "versatune": {**SECTION, "stages": stages},
    }
    finished = axolotl.train(cfg)
    assert finished.status == 2
    assert "versatune.options.stages" in finished.output


def test_a_killed_run_goes_on_in_the_same_record(run: Run, axolotl: Axolotl, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(run.out, out)
    for folder in out.glob("checkpoint-*"):
        if int(folder.name.split("-")[1]) > 32:
            shutil.rmtree(folder)
    finished = axolotl.train({**run.config, "output_dir": str(out), "auto_resume_from_checkpoints": True})
    assert finished.status == 0, finished.output
    assert updates(out) == updates(run.out)
    assert [line["step"] for line in read_record(out) if line["kind"] == "scheduled"] == [FIRST]


def test_a_stage_that_stands_still_beside_a_bandit_is_not_measured(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path
) -> None:
    stages = [{"steps": 4}, {"steps": 4, "mixture": "odm"}]
    section = {"mixture": "stages", "stages": stages, "heldout": 4}
    finished = axolotl.train(tiny.config(tmp_path / "out", versatune=section))
    assert finished.status == 0, finished.output
    seen = [(line["kind"], line["step"]) for line in updates(tmp_path / "out")]
    assert seen == [("measure", 0), ("scheduled", 4), ("update", 5), ("update", 6), ("update", 7), ("measure", 8)]
