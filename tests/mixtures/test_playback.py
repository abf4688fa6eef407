from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.making import NAMES, bounded, control, make, measured
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.mixtures.registry import MIXTURES


def shares(code: float, law: float, medicine: float) -> dict[str, float]:
    return {"medicine": medicine, "code": code, "law": law}


START = {"kind": "start", "mixture": "versatune", "total_steps": 20, "weights": shares(0.5, 0.3, 0.2)}
RUN: list[dict[str, Any]] = [
    START,
    {"kind": "measure", "step": 0, "weights": shares(0.5, 0.3, 0.2)},
    {"kind": "update", "step": 10, "weights": shares(0.2, 0.6, 0.2)},
    {"kind": "scheduled", "step": 14, "weights": shares(0.0, 0.0, 1.0)},
    {"kind": "measure", "step": 20, "weights": shares(0.0, 0.0, 1.0)},
    {"kind": "end", "step": 20},
]


def record(folder: Path, lines: list[dict[str, Any]], tail: str = "") -> Path:
    path = folder / "versatune.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail, encoding="utf-8")
    return path


def test_the_mean_of_a_run_is_weighted_by_steps(tmp_path: Path) -> None:
    """10 steps of (.5, .3, .2), 4 of (.2, .6, .2) and 6 of medicine alone."""
    mixture = make("replay", [1 / 3] * 3, replay=record(tmp_path, RUN))
    expected = [5.8 / 20, 5.4 / 20, 8.8 / 20]
    assert bounded(mixture, mixture.initial_weights(), floor=0.2).tolist() == pytest.approx(expected)
    assert not mixture.requirements(mixture.options).moves
    assert MIXTURES["replay"].Options(replay=tmp_path / "versatune.jsonl").problems(NAMES) == []


def test_a_mean_may_leave_a_domain_under_the_floor(tmp_path: Path) -> None:
    path = record(tmp_path, [{**START, "weights": shares(1, 0, 0)}, {"kind": "end", "step": 5}])
    mixture = make("replay", [1 / 3] * 3, replay=path)
    assert bounded(mixture, mixture.initial_weights(), floor=0.1).tolist() == [1.0, 0.0, 0.0]


def test_a_run_that_was_killed_is_taken_as_far_as_it_came(tmp_path: Path) -> None:
    """The torn line does not count; the last update counts for one step at least."""
    path = record(tmp_path, RUN[:3], tail='{"kind": "end", "st')
    mixture = make("replay", [1 / 3] * 3, replay=path)
    assert mixture.initial_weights().tolist() == pytest.approx([5.2 / 11, 3.6 / 11, 2.2 / 11])


def test_the_mean_of_a_record_that_begins_later_is_over_its_own_steps(tmp_path: Path) -> None:
    path = record(tmp_path, [{**START, "resumed_at": 8}, *RUN[2:]])
    mixture = make("replay", [1 / 3] * 3, replay=path)
    assert mixture.initial_weights().tolist() == pytest.approx([1.8 / 12, 3.0 / 12, 7.2 / 12])
    assert MIXTURES["replay"].Options(replay=path).problems(NAMES) == []


BY_HAND = [
    {"step": 0, "weights": shares(0.5, 0.3, 0.2)},
    {"step": 10, "weights": shares(2, 6, 2)},
    {"step": 14, "weights": shares(0, 0, 1)},
]


@pytest.mark.parametrize("written", ["by hand", "by a run"])
def test_weights_take_force_at_their_steps(tmp_path: Path, written: str) -> None:
    given = BY_HAND if written == "by hand" else record(tmp_path, RUN)
    assert MIXTURES["schedule"].Options(schedule=given).problems(NAMES) == []
    controller = control("schedule", [1 / 3] * 3, floor=0.05, schedule=given)
    assert controller.weights_at(0).tolist() == pytest.approx([0.5, 0.3, 0.2])
    changes = {step: controller.after_step(step, None) for step in range(1, 21)}
    assert [(step, change.kind) for step, change in changes.items() if change] == [(10, "scheduled"), (14, "scheduled")]
    again = control("schedule", [1 / 3] * 3, floor=0.05, schedule=given)
    assert again.known_weights(13).tolist() == pytest.approx([0.2, 0.6, 0.2])
    assert controller.weights_at(14).tolist() == [0.0, 0.0, 1.0]


def test_what_is_measured_on_the_way_does_not_move_a_schedule() -> None:
    controller = control("schedule", [1 / 3] * 3, update_steps=5, schedule=BY_HAND)
    assert (controller.requirements.moves, controller.requirements.updates) == (True, False)
    seen = {}
    for step in range(1, 16):
        if (change := controller.after_step(step, lambda: measured([3.0, 1.0, 2.0]))) is not None:
            seen[step] = (change.kind, controller.weights.tolist())
    # At step 10 it is measured, and the next weights take force.
    assert seen == {
        5: ("update", pytest.approx([0.5, 0.3, 0.2])),
        10: ("update", pytest.approx([0.2, 0.6, 0.2])),
        14: ("scheduled", [0.0, 0.0, 1.0]),
        15: ("update", [0.0, 0.0, 1.0]),
    }


def test_a_schedule_goes_on_after_a_stop() -> None:
    controller, other = (control("schedule", [1 / 3] * 3, schedule=BY_HAND) for _ in range(2))
    for step in range(1, 13):
        controller.after_step(step, None)
    other.load_state_dict(json.loads(json.dumps(controller.state_dict())), 12)
    assert other.weights.tolist() == pytest.approx([0.2, 0.6, 0.2])
    other.after_step(13, None)
    other.after_step(14, None)
    assert other.weights.tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([1, 5], "steps are [1, 5]; they must begin at 0 and rise"),
        ([0, 5, 5], "steps are [0, 5, 5]; they must begin at 0 and rise"),
        ([0, 7, 3], "steps are [0, 7, 3]; they must begin at 0 and rise"),
        ([], "steps are []; they must begin at 0 and rise"),
    ],
)
def test_steps_begin_at_0_and_rise(steps: list[int], told: str) -> None:
    options = MIXTURES["schedule"].Options(schedule=[{"step": step, "weights": shares(1, 1, 1)} for step in steps])
    assert options.problems(NAMES) == [f"schedule: its {told}"]


def test_the_weights_of_every_stretch_are_of_the_runs_domains() -> None:
    stretches = [{"step": 0, "weights": shares(1, 1, 1)}, {"step": 3, "weights": {"code": 1, "law": -1, "poetry": 1}}]
    problems = MIXTURES["schedule"].Options(schedule=stretches).problems(NAMES)
    assert len(problems) == 3
    assert all(text.startswith("schedule[1].weights: ") for text in problems)
    for told in ("unknown domain 'poetry'", "no entry for domain 'medicine'", "law is -1"):
        assert any(told in text for text in problems)


def test_a_record_that_begins_later_cannot_be_played_back(tmp_path: Path) -> None:
    path = record(tmp_path, [{**START, "resumed_at": 8}, *RUN[2:]])
    (told,) = MIXTURES["schedule"].Options(schedule=path).problems(NAMES)
    assert "begins at step 8, so the steps before it are unknown" in told


@pytest.mark.parametrize("name", ["replay", "schedule"])
@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "no record of a run"),
        (RUN[1:], "no record of a run"),
        ([{**START, "weights": {"code": 1, "law": 1, "poetry": 1}}], "unknown domain 'poetry'"),
        ([{**START, "weights": shares(0, 0, 0)}, *RUN[1:]], "every entry is zero"),
    ],
)
def test_a_record_of_something_else_is_told(tmp_path: Path, name: str, lines: list[dict[str, Any]], told: str) -> None:
    problems = MIXTURES[name].Options(**{name: record(tmp_path, lines)}).problems(NAMES)
    assert any(text.startswith(f"{name}: ") and told in text for text in problems)


@pytest.mark.parametrize("name", ["replay", "schedule"])
def test_a_record_that_is_not_there_or_not_json_is_told(tmp_path: Path, name: str) -> None:
    options = MIXTURES[name].Options
    (told,) = options(**{name: tmp_path / "none.jsonl"}).problems(NAMES)
    assert told == f"{name}: {tmp_path / 'none.jsonl'}: no such file; name another one"
    path = record(tmp_path, [START], tail="law: 0.5\n")
    (told,) = options(**{name: path}).problems(NAMES)
    assert "line 2: not JSON" in told
    with pytest.raises(VersaTuneError, match="line 2: not JSON"):
        make(name, [1 / 3] * 3, **{name: path}).initial_weights()


@pytest.mark.parametrize("name", ["replay", "schedule"])
@pytest.mark.parametrize(
    "lines",
    [
        [{name: value for name, value in START.items() if name != "weights"}, *RUN[1:]],
        [{**START, "weights": None}, *RUN[1:]],
        [{**START, "weights": {"code": None, "law": 1, "medicine": 1}}, *RUN[1:]],
        [START, {"kind": "update", "step": 10}],
        [START, {"kind": "update", "weights": shares(1, 1, 1)}],
        [START, {"step": 10}],
        [START, {"kind": "update", "step": 10, "weights": {"code": 1, "law": 1, "poetry": 1}}],
    ],
    ids=["no weights", "null weights", "null weight", "update without weights", "no step", "no kind", "other domains"],
)
def test_a_damaged_record_is_told_before_the_run(tmp_path: Path, name: str, lines: list[dict[str, Any]]) -> None:
    problems = MIXTURES[name].Options(**{name: record(tmp_path, lines)}).problems(NAMES)
    assert problems
    assert all(text.startswith(f"{name}: ") for text in problems)
