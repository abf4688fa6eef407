from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.mixtures.making import NAMES, bounded, heldout, make
from versatune_plugin.mixtures.base import BatchLoss, Policy, Signal
from versatune_plugin.mixtures.registry import POLICIES
from versatune_plugin.mixtures.stages import Stage, settle

ROWS = [40, 100, 30]
PRIOR = [0.5, 0.3, 0.2]
SHARED = [
    {"domains": ["law", "code"], "epochs": 2},
    {"domains": {"medicine": "1/4", "code": "1 / 256", "law": 1}},
    {"steps": 5},
]


def staged(*stages: dict[str, Any], floor: float = 0.0) -> Policy:
    return make("stages", PRIOR, ROWS, batch_size=8, floor=floor, stages=list(stages))


def begun(policy: Policy, last: int) -> dict[int, list[float]]:
    """What turns at which step."""
    turned = {step: policy.turn(step) for step in range(1, last + 1)}
    return {step: bounded(policy, weights).tolist() for step, weights in turned.items() if weights is not None}


def test_stages_are_settled_by_hand() -> None:
    """2 x 140 rows in batches of 8; then 1 (not 0) + 100 + 8 rows; then 5 steps."""
    settled = settle([Stage(**stage) for stage in SHARED], NAMES, ROWS, 8)
    assert [stage.rows.tolist() for stage in settled] == [[40, 100, 0], [1, 100, 8], [40, 100, 30]]
    assert [(stage.first_step, stage.steps) for stage in settled] == [(0, 35), (35, 14), (49, 5)]
    assert [stage.chosen for stage in settled] == [[0, 1], [0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize(
    ("stage", "rows", "steps"),
    [
        ({"domains": ["law"], "epochs": 0.5}, [0, 100, 0], 7),
        ({"domains": ["law"], "epochs": 0.001}, [0, 100, 0], 1),
        ({"domains": {"law": "1/3"}}, [0, 33, 0], 5),
        ({"domains": {"law": 0.5, "medicine": 1e-9}, "epochs": 3}, [0, 50, 1], 20),
        ({"domains": ["medicine"], "steps": 1000}, [0, 0, 30], 1000),
        ({}, [40, 100, 30], 22),
    ],
)
def test_rows_and_steps_of_a_stage_by_hand(stage: dict[str, Any], rows: list[int], steps: int) -> None:
    (settled,) = settle([Stage(**stage)], NAMES, ROWS, 8)
    assert settled.rows.tolist() == rows
    assert settled.steps == steps


def test_a_fraction_is_read_as_a_number() -> None:
    assert Stage(domains={"law": "1/256", "code": " 3 / 4 ", "medicine": "0.5"}).domains == {
        "law": 1 / 256,
        "code": 0.75,
        "medicine": 0.5,
    }


def test_each_stage_begins_with_its_own_weights() -> None:
    policy = staged(*SHARED, floor=0.05)
    assert bounded(policy, policy.initial_weights()).tolist() == pytest.approx([40 / 140, 100 / 140, 0.0])
    assert begun(policy, 60) == {
        35: pytest.approx([1 / 109, 100 / 109, 8 / 109]),
        49: pytest.approx([40 / 170, 100 / 170, 30 / 170]),
    }


def test_a_mixture_within_a_stage_sees_only_its_own() -> None:
    """Law and medicine by Algorithm 3: line 8 fails if the stage before counts, or code, or a k of 3."""
    expand = {"domain": "law", "delta": 0.1, "epsilon": 0.5}
    own = {"domains": ["medicine", "law"], "mixture": "versatune", "sigma": 1, "expand": expand, "steps": 20}
    policy = staged({"domains": ["code"], "steps": 4}, own)
    assert bounded(policy, policy.initial_weights()).tolist() == [1.0, 0.0, 0.0]
    assert begun(policy, 4) == {4: pytest.approx([0.0, 0.6, 0.4])}
    reference = [0.1, 1.0, 1.0]
    weights = np.array([0.0, 0.6, 0.4])

    # Medicine's loss before was of another stage: nothing is forgotten yet, so law gets 0.6 + 0.1.
    signal = heldout(weights, [9.0, 2.0, 2.0], reference, [1.0, 2.0, 1.0], step=6)
    weights = bounded(policy, policy.update(signal))
    assert weights.tolist() == pytest.approx([0.0, 0.7, 0.3])

    # Now it counts: 0.6 / 2 > 0.5 x 0.5 > 0.6 / 3. gamma = (1/2, 11/16).
    signal = heldout(weights, [9.0, 2.0, 3.2], reference, [1.0, 2.0, 2.0], step=8)
    weights = bounded(policy, policy.update(signal))
    moved = [0.7 * 1.5, 0.3 * 27 / 16]
    assert weights.tolist() == pytest.approx([0.0, moved[0] / sum(moved), moved[1] / sum(moved)])

    # And no more.
    law = weights[1] + 0.1
    signal = heldout(weights, [90.0, 2.0, 3.2], reference, [1.0, 2.0, 3.2], step=10)
    weights = bounded(policy, policy.update(signal))
    assert weights.tolist() == pytest.approx([0.0, law, 1 - law])


def test_the_floor_holds_within_a_stage_that_moves_and_nowhere_else() -> None:
    """Law, times e to the 9th, would leave medicine next to nothing."""
    own = {"domains": ["law", "medicine"], "mixture": "dynamic_loading", "steps": 4}
    policy = staged(own, {"domains": {"law": 1, "code": "1/256"}}, floor=0.1)
    assert bounded(policy, policy.initial_weights()).tolist() == pytest.approx([0.0, 0.6, 0.4])
    weights = bounded(policy, policy.update(heldout([0.0, 0.6, 0.4], [1.0, 10.0, 1.0], [1.0] * 3)))
    assert weights.tolist() == pytest.approx([0.0, 0.9, 0.1])
    assert begun(policy, 4) == {4: pytest.approx([1 / 101, 100 / 101, 0.0])}


def test_the_prior_of_a_stage_is_that_of_its_domains() -> None:
    """Law 3 : 2 medicine, so the other way round."""
    policy = staged({"domains": ["law", "medicine"], "mixture": "inverse"})
    assert policy.initial_weights().tolist() == pytest.approx([0.0, 0.4, 0.6])


def test_a_bandit_within_a_stage_is_told_its_own_domains() -> None:
    """Rewards (0, 4) of law and medicine: the softmax of 4 e_1 = 2, and e_2."""
    policy = staged({"domains": ["medicine", "law"], "mixture": "odm", "alpha": 0.5, "steps": 9})
    batches = (BatchLoss(2, 0.5, 4.0), BatchLoss(0, 1.0, 99.0))
    weights = policy.update(Signal(1, np.array([0.0, 0.5, 0.5]), batch_losses=batches))
    exploration = math.sqrt(math.log(2) / 4)
    medicine = (1 - 2 * exploration) / (1 + math.exp(-2)) + exploration
    assert weights.tolist() == pytest.approx([0.0, 1 - medicine, medicine])


def test_a_schedule_within_a_stage_counts_from_its_first_step() -> None:
    stretches = [{"step": 0, "weights": {"law": 1, "medicine": 3}}, {"step": 2, "weights": {"law": 3, "medicine": 1}}]
    own = {"domains": ["law", "medicine"], "mixture": "schedule", "schedule": stretches, "steps": 6}
    policy = staged({"domains": ["code"], "steps": 4}, own)
    assert begun(policy, 10) == {4: [0.0, 0.25, 0.75], 6: [0.0, 0.75, 0.25]}


def test_a_static_stage_leaves_the_weights_as_they_are() -> None:
    policy = staged(*SHARED)
    weights = policy.update(heldout([0.25, 0.75, 0.0], [1.0, 2.0, 3.0], step=5))
    assert weights.tolist() == [0.25, 0.75, 0.0]


def test_a_prior_of_zero_in_all_domains_of_a_stage_is_uniform() -> None:
    policy = make("stages", [1.0, 0.0, 0.0], ROWS, stages=[{"domains": ["law", "medicine"], "mixture": "constant"}])
    assert policy.initial_weights().tolist() == [0.0, 0.5, 0.5]


def test_a_run_that_is_stopped_within_a_stage_goes_on_alike() -> None:
    expand = {"domain": "law", "delta": 0.1, "epsilon": 0.5}
    own = {"domains": ["medicine", "law"], "mixture": "versatune", "expand": expand, "steps": 20}
    policy = staged({"domains": ["code"], "steps": 4}, own, {"steps": 2})
    policy.turn(4)
    reference, before = [0.1, 1.0, 1.0], [1.0, 2.0, 1.0]
    for step in (6, 8):
        # Before the first update of the stage, and after it.
        other = staged({"domains": ["code"], "steps": 4}, own, {"steps": 2})
        other.load_state_dict(json.loads(json.dumps(policy.state_dict())))
        signal = heldout([0.0, 0.6, 0.4], [9.0, 2.0, 2.0], reference, before, step)
        told = policy.update(signal).tolist()
        assert other.update(signal).tolist() == told
        assert told[1] == pytest.approx(0.7 if step == 6 else 0.9 / 1.5)
        assert other.turn(24) is not None
        assert other.state_dict()["stage"] == 2


def test_a_mixture_within_a_stage_keeps_what_it_remembers() -> None:
    own = {"domains": ["medicine", "law"], "mixture": "odm", "steps": 20}
    policy, other = staged(own), staged(own)
    weights = np.array([0.0, 0.5, 0.5])
    policy.update(Signal(1, weights, batch_losses=(BatchLoss(1, 0.5, 4.0), BatchLoss(2, 0.5, 1.0))))
    other.load_state_dict(json.loads(json.dumps(policy.state_dict())))
    signal = Signal(2, weights, batch_losses=(BatchLoss(1, 0.5, 3.0),))
    assert other.update(signal).tolist() == policy.update(signal).tolist()


def test_what_is_read_follows_the_stage() -> None:
    policy = staged(
        {"steps": 2},
        {"mixture": "odm", "steps": 2},
        {"mixture": "skills", "steps": 2},
        {"mixture": "increase", "domain": "law"},
    )
    read = [policy.reads_now]
    for step in (2, 4, 6):
        policy.turn(step)
        read.append(policy.reads_now)
    assert read == ["nothing", "training losses", "probes", "held-out losses"]


@pytest.mark.parametrize(
    ("stages", "moves", "reads", "prior", "reference", "interval"),
    [
        ([{}], False, {"nothing"}, False, False, None),
        ([{"mixture": "constant"}], False, {"nothing"}, True, False, None),
        ([{}, {"mixture": "versatune"}], True, {"nothing", "held-out losses"}, True, True, None),
        ([{}, {"mixture": "odm"}], True, {"nothing", "training losses"}, False, False, 1),
        ([{"mixture": "odm"}, {"mixture": "skills"}], True, {"training losses", "probes"}, False, False, None),
        (
            [{"mixture": "odm"}, {"mixture": "schedule", "schedule": [{"step": 0, "weights": {"law": 1}}]}],
            True,
            {"training losses", "nothing"},
            False,
            False,
            1,
        ),
    ],
)
def test_a_run_of_stages_asks_for_what_all_of_them_need(
    stages: list[dict[str, Any]], moves: bool, reads: set[str], prior: bool, reference: bool, interval: int | None
) -> None:
    policy = POLICIES["stages"]
    traits = policy.traits(policy.Options(stages=stages))
    assert (traits.moves, traits.reads, traits.uses_prior, traits.uses_reference) == (moves, reads, prior, reference)
    assert traits.update_steps == interval


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ({"domains": ["law", "poetry"]}, "stages[1].domains: 'poetry' is no domain"),
        ({"domains": {"poetry": "1/2"}}, "stages[1].domains: 'poetry' is no domain"),
        ({"domains": ["law", "law"]}, "stages[1].domains: ['law', 'law'] must name each domain once"),
        ({"domains": []}, "stages[1].domains: [] must name each domain once, and at least one"),
        ({"domains": ["law"], "mixture": "single", "domain": "code"}, "'code' is no domain"),
        ({"domains": ["law"], "mixture": "versatune", "expand": {"domain": "law"}}, "names every domain"),
        (
            {"domains": ["law"], "mixture": "schedule", "schedule": [{"step": 0, "weights": {"law": 1, "code": 1}}]},
            "unknown domain 'code'",
        ),
    ],
)
def test_what_is_wrong_with_a_stage_is_told_with_its_number(stage: dict[str, Any], told: str) -> None:
    (complaint,) = POLICIES["stages"].Options(stages=[{}, stage]).complaints(NAMES)
    assert complaint.startswith("stages[1].")
    assert told in complaint


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ({"epochs": 1, "steps": 2}, "epochs and steps both say how long it is"),
        ({"mixture": "alchemy"}, "unknown mixture 'alchemy'; choose one of versatune, constant"),
        ({"mixture": "stages", "stages": [{}]}, "unknown mixture 'stages'"),
        ({"mixture": "versatune", "sigma": -1}, "options of its mixture 'versatune': sigma is -1"),
        ({"mixture": "versatune", "sigmma": 1}, "options of its mixture 'versatune': sigmma is 1"),
        ({"epoch": 1}, "options of its mixture 'proportional': epoch is 1"),
        ({"mixture": "temperature"}, "tau"),
        ({"domains": {"law": "1/0"}}, "write a number, or a fraction like 1/256"),
        ({"domains": {"law": "half"}}, "write a number, or a fraction like 1/256"),
        ({"domains": {"law": "3/2"}}, "less than or equal to 1"),
        ({"domains": {"law": 0}}, "greater than 0"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"epochs": 0}, "greater than 0"),
        ({"lr_scheduler": "polynomial"}, "'cosine', 'linear' or 'constant'"),
        ("law", "valid dictionary"),
    ],
)
def test_a_stage_that_cannot_be_is_refused(stage: Any, told: str) -> None:
    with pytest.raises(ValidationError) as refused:
        POLICIES["stages"].Options(stages=[{}, stage])
    assert told in str(refused.value)
    assert "stages.1" in str(refused.value)


def test_there_is_at_least_one_stage() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        POLICIES["stages"].Options(stages=[])
