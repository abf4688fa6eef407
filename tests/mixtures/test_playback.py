from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.mixtures.making import NAMES, bounded, heldout, make
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.mixtures.registry import POLICIES


def shares(code: float, law: float, medicine: float) -> dict[str, float]:
    return {"medicine": medicine, "code": code, "law": law}


START = {"kind": "start", "mixture": "versatune", "total_steps": 20, "weights": shares(0.5, 0.3, 0.2)}
RUN: list[dict[str, Any]] = [
    START,
    {"kind": "measure", "step": 0, "weights": shares(0.5, 0.3, 0.2)},
    {"kind": "update", "step": 10, "weights": shares(0.2, 0.6, 0.2)},
    {"kind": "turn", "step": 14, "weights": shares(0.0, 0.0, 1.0)},
    {"kind": "measure", "step": 20, "weights": shares(0.0, 0.0, 1.0)},
    {"kind": "end", "step": 20},
]


def record(folder: Path, lines: list[dict[str, Any]], tail: str = "") -> Path:
    path = folder / "versatune.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail, encoding="utf-8")
    return path


def test_the_mean_of_a_run_is_weighted_by_steps(tmp_path: Path) -> None:
    """10 steps of (.5, .3, .2), 4 of (.2, .6, .2) and 6 of medicine alone."""
    policy = make("replay", [1 / 3] * 3, floor=0.2, replay=record(tmp_path, RUN))
    assert bounded(policy, policy.initial_weights()).tolist() == pytest.approx([5.8 / 20, 5.4 / 20, 8.8 / 20])
    for step in (10, 14):
        assert policy.turn(step) is None
        assert policy.update(heldout([0.1, 0.2, 0.7], [1.0] * 3, step=step)).tolist() == [0.1, 0.2, 0.7]
    assert POLICIES["replay"].Options(replay=tmp_path / "versatune.jsonl").complaints(NAMES) == []


def test_a_mean_may_leave_a_domain_under_the_floor(tmp_path: Path) -> None:
    path = record(tmp_path, [{**START, "weights": shares(1, 0, 0)}, {"kind": "end", "step": 5}])
    policy = make("replay", [1 / 3] * 3, floor=0.1, replay=path)
    assert bounded(policy, policy.initial_weights()).tolist() == [1.0, 0.0, 0.0]


def test_a_run_that_was_killed_is_taken_as_far_as_it_came(tmp_path: Path) -> None:
    """The torn line does not count; the last update counts for one step at least."""
    path = record(tmp_path, RUN[:3], tail='{"kind": "end", "st')
    policy = make("replay", [1 / 3] * 3, replay=path)
    assert policy.initial_weights().tolist() == pytest.approx([5.2 / 11, 3.6 / 11, 2.2 / 11])


def test_the_mean_of_a_record_that_begins_later_is_over_its_own_steps(tmp_path: Path) -> None:
    path = record(tmp_path, [{**START, "resumed_at": 8}, *RUN[2:]])
    policy = make("replay", [1 / 3] * 3, replay=path)
    assert policy.initial_weights().tolist() == pytest.approx([1.8 / 12, 3.0 / 12, 7.2 / 12])
    assert POLICIES["replay"].Options(replay=path).complaints(NAMES) == []


BY_HAND = [
    {"step": 0, "weights": shares(0.5, 0.3, 0.2)},
    {"step": 10, "weights": shares(2, 6, 2)},
    {"step": 14, "weights": shares(0, 0, 1)},
]


@pytest.mark.parametrize("written", ["by hand", "by a run"])
def test_weights_turn_at_their_steps(tmp_path: Path, written: str) -> None:
    given = BY_HAND if written == "by hand" else record(tmp_path, RUN)
    assert POLICIES["schedule"].Options(schedule=given).complaints(NAMES) == []
    policy = make("schedule", [1 / 3] * 3, floor=0.05, schedule=given)
    assert bounded(policy, policy.initial_weights()).tolist() == pytest.approx([0.5, 0.3, 0.2])
    turned = {step: policy.turn(step) for step in range(1, 21)}
    begun = {step: bounded(policy, weights).tolist() for step, weights in turned.items() if weights is not None}
    assert begun == {10: pytest.approx([0.2, 0.6, 0.2]), 14: [0.0, 0.0, 1.0]}


def test_a_schedule_reads_nothing_and_moves() -> None:
    policy = make("schedule", [1 / 3] * 3, schedule=BY_HAND)
    traits = policy.traits(policy.options)
    assert (traits.moves, traits.reads, traits.updates, traits.measures) == (True, {"nothing"}, False, False)
    assert policy.update(heldout([0.1, 0.2, 0.7], [3.0, 1.0, 2.0])).tolist() == [0.1, 0.2, 0.7]


def test_a_schedule_goes_on_after_a_stop() -> None:
    policy = make("schedule", [1 / 3] * 3, schedule=BY_HAND)
    policy.load_state_dict(json.loads(json.dumps(policy.state_dict())))
    weights = policy.turn(14)
    assert weights is not None
    assert weights.tolist() == [0.0, 0.0, 1.0]


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
    options = POLICIES["schedule"].Options(schedule=[{"step": step, "weights": shares(1, 1, 1)} for step in steps])
    assert options.complaints(NAMES) == [f"schedule: its {told}"]


def test_the_weights_of_every_stretch_are_of_the_runs_domains() -> None:
    stretches = [{"step": 0, "weights": shares(1, 1, 1)}, {"step": 3, "weights": {"code": 1, "law": -1, "poetry": 1}}]
    complaints = POLICIES["schedule"].Options(schedule=stretches).complaints(NAMES)
    assert len(complaints) == 3
    assert all(text.startswith("schedule[1].weights: ") for text in complaints)
    for told in ("unknown domain 'poetry'", "no entry for domain 'medicine'", "law is -1"):
        assert any(told in text for text in complaints)


def test_a_record_that_begins_later_cannot_be_played_back(tmp_path: Path) -> None:
    path = record(tmp_path, [{**START, "resumed_at": 8}, *RUN[2:]])
    (told,) = POLICIES["schedule"].Options(schedule=path).complaints(NAMES)
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
    complaints = POLICIES[name].Options(**{name: record(tmp_path, lines)}).complaints(NAMES)
    assert any(text.startswith(f"{name}: ") and told in text for text in complaints)


@pytest.mark.parametrize("name", ["replay", "schedule"])
def test_a_record_that_is_not_there_or_not_json_is_told(tmp_path: Path, name: str) -> None:
    options = POLICIES[name].Options
    (told,) = options(**{name: tmp_path / "none.jsonl"}).complaints(NAMES)
    assert told == f"{name}: {tmp_path / 'none.jsonl'}: no such file"
    path = record(tmp_path, [START], tail="law: 0.5\n")
    (told,) = options(**{name: path}).complaints(NAMES)
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
    complaints = POLICIES[name].Options(**{name: record(tmp_path, lines)}).complaints(NAMES)
    assert complaints
    assert all(text.startswith(f"{name}: ") for text in complaints)
