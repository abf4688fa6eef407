"""Whole runs through Axolotl's command line: mixture, record, trackers, resume."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.batches import batches
from tests.helpers.tiny import write_model
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.sampling.row_plan import RowPlan

SECTION: dict[str, Any] = {
    "mixture": "versatune",
    "knowledge": {"law": 0.5, "code": 0.3, "medicine": 0.2},
    "reference": {"law": 1.0, "code": 2.0, "medicine": 0.5},
    "heldout": 4,
    "update_steps": 5,
    "sigma": 1.0,
}
NAMES = ("code", "law", "medicine")


def digest(folder: Path, name: str = "model.safetensors") -> str:
    return hashlib.sha256((folder / name).read_bytes()).hexdigest()


def updates(folder: Path) -> list[dict[str, Any]]:
    """Updates, turns and measurements without the wall clock."""
    lines = [line for line in read_record(folder) if line["kind"] in ("update", "scheduled", "measure")]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@dataclass
class Run:
    out: Path
    config: dict[str, Any]
    batches: dict[int, list[str]]
    output: str


@pytest.fixture(scope="module")
def run(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs of 30 steps, eleven updates, a checkpoint every ten steps, dropout on."""
    folder = tmp_path_factory.mktemp("run")
    cfg = tiny.config(
        folder / "out",
        base_model=str(write_model(folder / "model", dropout=0.1)),
        plugins=["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"],
        num_epochs=2,
        save_strategy="steps",
        save_steps=10,
        save_total_limit=10,
        use_tensorboard=True,
        versatune=SECTION,
    )
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(folder / "batches")})
    assert finished.status == 0, finished.output
    return Run(folder / "out", cfg, batches(folder / "batches"), finished.output)


def test_the_start_is_impossible_to_miss(run: Run) -> None:
    assert "VersaTune is active: mixture 'versatune', 3 domains" in run.output
    assert "60 optimizer steps of 4 rows, 30 to an epoch" in run.output


def test_batches_are_those_of_the_plan_with_no_lag(run: Run) -> None:
    record = read_record(run.out)
    start = record[0]
    schedule = WeightSchedule(0, np.array([start["weights"][name] for name in NAMES]))
    for line in record:
        if line["kind"] == "update":
            schedule.append(line["step"], np.array([line["weights"][name] for name in NAMES]))
    plan = RowPlan(NAMES, [start["training_rows"][name] for name in NAMES], schedule, 4, 7)
    for step in range(60):
        planned = Counter(NAMES[index] for index in plan.advance().domains)
        assert Counter(row.split()[0] for row in run.batches[step]) == planned, f"step {step}"


def test_the_weights_move_as_algorithm_2_says(run: Run) -> None:
    record = read_record(run.out)
    weights = record[0]["weights"]
    lines = [line for line in record if line["kind"] == "update"]
    assert [line["step"] for line in lines] == list(range(5, 60, 5))
    for line in lines:
        reference = SECTION["reference"]
        raw = {n: weights[n] * (1 + max((line["loss"][n] - reference[n]) / line["loss"][n], 0)) for n in NAMES}
        weights = {name: raw[name] / sum(raw.values()) for name in NAMES}
        assert line["weights"] == pytest.approx(weights, abs=1e-12)
    assert max(abs(lines[-1]["weights"][n] - record[0]["weights"][n]) for n in NAMES) > 0.1


def test_the_record_counts_what_was_trained(run: Run) -> None:
    record = read_record(run.out)
    assert [line["kind"] for line in record] == ["start", "measure", *["update"] * 11, "measure", "end"]
    end = record[-1]
    seen = Counter(row.split()[0] for rows in run.batches.values() for row in rows)
    assert end["rows"] == dict(seen)
    assert end["rows"] == {n: pytest.approx(end["passes"][n] * record[0]["training_rows"][n]) for n in NAMES}
    assert all(end["tokens"][name] > end["rows"][name] for name in NAMES)
    first, last = record[1], record[-2]
    assert all(last["loss"][name] < first["loss"][name] for name in NAMES)


def test_heldout_rows_are_never_trained_and_no_row_comes_twice_in_a_pass(run: Run) -> None:
    start = read_record(run.out)[0]
    rows = [row for step in range(60) for row in run.batches[step]]
    for name in NAMES:
        own = [row for row in rows if row.startswith(name)]
        size = start["training_rows"][name]
        first_pass = own[:size]
        assert len(set(first_pass)) == len(first_pass)
        assert len(set(own)) <= size


def test_trackers_show_what_the_record_says(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = next((run.out / "runs").iterdir())
    events = EventAccumulator(str(folder))
    events.Reload()
    lines = [line for line in read_record(run.out) if line["kind"] in ("update", "measure")]
    for shown, key in (("weight", "weights"), ("loss", "loss"), ("passes", "passes")):
        scalars = events.Scalars(f"train/versatune/{shown}/law")
        assert [event.step for event in scalars] == [line["step"] for line in lines]
        assert [event.value for event in scalars] == pytest.approx([line[key]["law"] for line in lines], rel=1e-6)


@pytest.mark.parametrize("step", [20, 30, 40])
def test_resumed_equals_uninterrupted_bit_for_bit(run: Run, axolotl: Axolotl, tmp_path: Path, step: int) -> None:
    out = tmp_path / "out"
    cfg = {**run.config, "output_dir": str(out), "resume_from_checkpoint": str(run.out / f"checkpoint-{step}")}
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(tmp_path / "batches")})
    assert finished.status == 0, finished.output
    assert batches(tmp_path / "batches") == {number: run.batches[number] for number in range(step, 60)}
    assert updates(out) == [line for line in updates(run.out) if line["step"] > step]
    assert digest(out) == digest(run.out)


def test_auto_resume_continues_the_same_record(run: Run, axolotl: Axolotl, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(run.out, out)
    for step in (30, 40, 50, 60):
        shutil.rmtree(out / f"checkpoint-{step}")
    # A killed writer leaves half a line behind.
    with (out / "versatune.jsonl").open("a") as file:
        file.write('{"kind": "upd')
    finished = axolotl.train({**run.config, "output_dir": str(out), "auto_resume_from_checkpoints": True})
    assert finished.status == 0, finished.output
    assert updates(out) == updates(run.out)
    assert [line["step"] for line in read_record(out) if line["kind"] == "resume"] == [20]
    assert digest(out) == digest(run.out)


def test_lora_trains_and_resumes_bit_for_bit(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(
        tmp_path / "whole",
        adapter="lora",
        lora_r=4,
        lora_alpha=8,
        lora_dropout=0.1,
        lora_target_linear=True,
        **{f"lora_{part}_kernel": False for part in ("mlp", "qkv", "o")},  # these need CUDA
        num_epochs=1,
        save_strategy="steps",
        save_steps=10,
        versatune=SECTION,
    )
    whole = axolotl.train(cfg)
    assert whole.status == 0, whole.output
    again = {
        **cfg,
        "output_dir": str(tmp_path / "again"),
        "resume_from_checkpoint": str(tmp_path / "whole" / "checkpoint-10"),
    }
    resumed = axolotl.train(again)
    assert resumed.status == 0, resumed.output
    assert digest(tmp_path / "again", "adapter_model.safetensors") == digest(
        tmp_path / "whole", "adapter_model.safetensors"
    )
    assert updates(tmp_path / "again") == [line for line in updates(tmp_path / "whole") if line["step"] > 10]


def test_measuring_changes_no_bit_of_the_model(run: Run, axolotl: Axolotl, tmp_path: Path) -> None:
    section = {"mixture": "constant", "knowledge": SECTION["knowledge"], "heldout": 4}
    for name, change in (("seldom", {}), ("often", {"update_steps": 3})):
        cfg = {**run.config, "output_dir": str(tmp_path / name), "save_strategy": "no", "num_epochs": 1}
        cfg.pop("save_steps")
        finished = axolotl.train({**cfg, "versatune": {**section, **change}})
        assert finished.status == 0, finished.output
    assert len(updates(tmp_path / "seldom")) == 2
    assert len(updates(tmp_path / "often")) == 11
    assert digest(tmp_path / "seldom") == digest(tmp_path / "often")


def test_a_policy_that_keeps_the_prior_is_constant(run: Run, axolotl: Axolotl, tmp_path: Path) -> None:
    # Reference losses far above any loss leave nothing to learn: gamma is 0 and Algorithm 2 stands still.
    still = {**SECTION, "reference": dict.fromkeys(NAMES, 100.0)}
    constant = {"mixture": "constant", "knowledge": SECTION["knowledge"], "heldout": 4}
    for name, section in (("still", still), ("constant", constant)):
        cfg = {**run.config, "output_dir": str(tmp_path / name), "save_strategy": "no", "num_epochs": 1}
        cfg.pop("save_steps")
        finished = axolotl.train({**cfg, "versatune": section})
        assert finished.status == 0, finished.output
    assert digest(tmp_path / "still") == digest(tmp_path / "constant")


@pytest.mark.parametrize(("micro_batch", "accumulation"), [(1, 4), (4, 1)])
def test_the_split_into_micro_batches_leaves_global_batches_alone(
    run: Run, axolotl: Axolotl, tmp_path: Path, micro_batch: int, accumulation: int
) -> None:
    cfg = {
        **run.config,
        "output_dir": str(tmp_path / "out"),
        "micro_batch_size": micro_batch,
        "gradient_accumulation_steps": accumulation,
        "max_steps": 12,
        "versatune": {"mixture": "constant", "knowledge": SECTION["knowledge"], "heldout": 4},
    }
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(tmp_path / "batches")})
    assert finished.status == 0, finished.output
    seen = batches(tmp_path / "batches")
    # The first five steps are drawn with the same weights as the run's, before its first update.
    assert {step: seen[step] for step in range(5)} == {step: run.batches[step] for step in range(5)}


def test_a_loss_that_is_not_finite_leaves_the_weights_and_the_run_goes_on(
    run: Run, axolotl: Axolotl, tmp_path: Path
) -> None:
    cfg = {**run.config, "output_dir": str(tmp_path / "out"), "num_epochs": 1, "save_strategy": "no"}
    cfg.pop("save_steps")
    finished = axolotl.train(cfg, env={"SPY_SPOIL": "10:law"})
    assert finished.status == 0, finished.output
    assert "held-out loss of law is not finite at step 10" in finished.output
    by_step = {line["step"]: line for line in read_record(tmp_path / "out") if line["kind"] == "update"}
    assert by_step[10]["not_finite"] == ["law"]
    assert by_step[10]["loss"]["law"] is None
    assert by_step[10]["weights"] == by_step[5]["weights"]
    assert by_step[15]["weights"] != by_step[10]["weights"]
    assert json.loads((tmp_path / "out" / "versatune.jsonl").read_text().splitlines()[-1])["step"] == 30


def test_max_passes_ends_the_run_with_everything_saved(run: Run, axolotl: Axolotl, tmp_path: Path) -> None:
    for choice, status in (("stop", 0), ("error", 2)):
        out = tmp_path / choice
        section = {**SECTION, "max_passes": 1.0, "on_exhausted": choice}
        finished = axolotl.train({**run.config, "output_dir": str(out), "versatune": section})
        assert finished.status == status, finished.output
        assert "max_passes (1) reached" in finished.output
        end = read_record(out)[-1]
        assert end["kind"] == "end"
        assert end["exhausted"]
        assert all(passes <= 1.0 for passes in end["passes"].values())
        assert (out / f"checkpoint-{end['step']}" / "versatune_state.json").exists()


def test_an_epoch_is_as_long_as_samples_per_epoch_says(run: Run, axolotl: Axolotl, tmp_path: Path) -> None:
    section = {"mixture": "proportional", "samples_per_epoch": 50, "unit": "tokens"}
    cfg = {**run.config, "output_dir": str(tmp_path / "out"), "versatune": section, "save_strategy": "no"}
    cfg.pop("save_steps")
    evaluation = {"val_set_size": 0.1, "eval_strategy": "steps", "eval_steps": 10}
    finished = axolotl.train({**cfg, **evaluation, "num_epochs": 1.5})
    assert finished.status == 0, finished.output
    start, end = read_record(tmp_path / "out")[0], read_record(tmp_path / "out")[-1]
    assert (start["steps_per_epoch"], start["total_steps"], end["step"]) == (13, 20, 20)
    # Axolotl's own validation split is taken from every domain before ours, and evaluated as ever: after the first step
    # and at steps 10 and 20.
    assert finished.output.count("'eval_loss'") == 3
    shares = np.array([end["tokens"][name] for name in NAMES], dtype=float)
    wanted = np.array([start["weights"][name] for name in NAMES])
    assert shares / shares.sum() == pytest.approx(wanted, abs=0.08)
