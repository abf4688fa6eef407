from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError

from tests.helpers.making import NAMES, control, measured
from versatune_plugin.mixtures.base import Requirements
from versatune_plugin.mixtures.controller import MixtureController
from versatune_plugin.mixtures.observations import BatchObservation, HeldoutObservation, ProbeObservation
from versatune_plugin.mixtures.registry import MIXTURES
from versatune_plugin.mixtures.stages import Stage, plan_stages

ROWS = [40, 100, 30]
PRIOR = [0.5, 0.3, 0.2]
SHARED = [
    {"domains": ["law", "code"], "epochs": 2},
    {"domains": {"medicine": "1/4", "code": "1 / 256", "law": 1}},
    {"steps": 5},
]


def staged(*stages: dict[str, Any], **further: Any) -> MixtureController:
    return control("stages", PRIOR, ROWS, batch_size=8, stages=list(stages), **further)


def begun(controller: MixtureController, last: int) -> dict[int, list[float]]:
    """Which weights take force at which step, where nothing is measured."""
    changes = {}
    for step in range(1, last + 1):
        if controller.after_step(step, None) is not None:
            changes[step] = controller.weights.tolist()
    return changes


def test_stages_are_planned_by_hand() -> None:
    """2 x 140 rows in batches of 8; then 1 (not 0) + 100 + 8 rows; then 5 steps."""
    planned = plan_stages([Stage(**stage) for stage in SHARED], NAMES, ROWS, 8)
    assert [stage.rows.tolist() for stage in planned] == [[40, 100, 0], [1, 100, 8], [40, 100, 30]]
    assert [(stage.first_step, stage.steps) for stage in planned] == [(0, 35), (35, 14), (49, 5)]
    assert [stage.chosen for stage in planned] == [[0, 1], [0, 1, 2], [0, 1, 2]]


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
    (planned,) = plan_stages([Stage(**stage)], NAMES, ROWS, 8)
    assert planned.rows.tolist() == rows
    assert planned.steps == steps


def test_a_fraction_is_read_as_a_number() -> None:
    assert Stage(domains={"law": "1/256", "code": " 3 / 4 ", "medicine": "0.5"}).domains == {
        "law": 1 / 256,
        "code": 0.75,
        "medicine": 0.5,
    }


def test_each_stage_begins_with_its_own_weights() -> None:
    controller = staged(*SHARED, floor=0.05)
    assert controller.weights.tolist() == pytest.approx([40 / 140, 100 / 140, 0.0])
    assert begun(controller, 60) == {
        35: pytest.approx([1 / 109, 100 / 109, 8 / 109]),
        49: pytest.approx([40 / 170, 100 / 170, 30 / 170]),
    }


def test_a_mixture_within_a_stage_sees_only_its_own() -> None:
    """Law and medicine by Algorithm 3: line 8 fails if the stage before counts, or code, or a k of 3."""
    expand = {"domain": "law", "delta": 0.1, "epsilon": 0.5}
    own = {"domains": ["medicine", "law"], "mixture": "versatune", "sigma": 1, "expand": expand, "steps": 20}
    controller = staged({"domains": ["code"], "steps": 4}, own, update_steps=2, reference=[0.1, 1.0, 1.0])
    assert controller.weights.tolist() == [1.0, 0.0, 0.0]
    # In the first stage it is measured for the record.
    for step in range(1, 4):
        controller.after_step(step, lambda: measured([1.0, 2.0, 1.0]))
    change = controller.after_step(4, lambda: measured([1.0, 2.0, 1.0]))
    assert change is not None
    assert change.begins_stage
    assert controller.weights.tolist() == pytest.approx([0.0, 0.6, 0.4])

    # Medicine's loss before was of another stage: nothing is forgotten yet, so law gets 0.6 + 0.1.
    assert controller.after_step(5, None) is None
    controller.after_step(6, lambda: measured([9.0, 2.0, 2.0]))
    assert controller.weights.tolist() == pytest.approx([0.0, 0.7, 0.3])

    # Now it counts: 0.6 / 2 > 0.5 x 0.5 > 0.6 / 3. gamma = (1/2, 11/16).
    controller.after_step(8, lambda: measured([9.0, 2.0, 3.2]))
    moved = [0.7 * 1.5, 0.3 * 27 / 16]
    assert controller.weights.tolist() == pytest.approx([0.0, moved[0] / sum(moved), moved[1] / sum(moved)])

    # And no more.
    law = controller.weights[1] + 0.1
    controller.after_step(10, lambda: measured([90.0, 2.0, 3.2]))
    assert controller.weights.tolist() == pytest.approx([0.0, law, 1 - law])


def test_the_floor_holds_within_a_stage_that_moves_and_nowhere_else() -> None:
    """Law, times e to the 9th, would leave medicine next to nothing."""
    own = {"domains": ["law", "medicine"], "mixture": "dynamic_loading", "steps": 4}
    controller = staged(
        own, {"domains": {"law": 1, "code": "1/256"}}, floor=0.1, update_steps=2, reference=[1.0, 1.0, 1.0]
    )
    assert controller.weights.tolist() == pytest.approx([0.0, 0.6, 0.4])
    controller.after_step(2, lambda: measured([1.0, 10.0, 1.0]))
    assert controller.weights.tolist() == pytest.approx([0.0, 0.9, 0.1])
    controller.after_step(4, None)
    assert controller.weights.tolist() == pytest.approx([1 / 101, 100 / 101, 0.0])


def test_the_prior_of_a_stage_is_that_of_its_domains() -> None:
    """Law 3 : 2 medicine, so the other way round."""
    controller = staged({"domains": ["law", "medicine"], "mixture": "inverse"})
    assert controller.weights.tolist() == pytest.approx([0.0, 0.4, 0.6])


def test_a_bandit_within_a_stage_is_told_its_own_domains() -> None:
    """Rewards (0, 4) of law and medicine: the softmax of 4 e_1 = 2, and e_2."""
    controller = staged({"domains": ["medicine", "law"], "mixture": "odm", "alpha": 0.5, "steps": 9}, update_steps=1)
    assert controller.observes_batches
    change = controller.after_step(1, None, batch=(2, 4.0))
    assert change is not None
    assert change.measurement is None
    exploration = math.sqrt(math.log(2) / 4)
    medicine = (1 - 2 * exploration) / (1 + math.exp(-2)) + exploration
    assert controller.weights.tolist() == pytest.approx([0.0, 1 - medicine, medicine])


def test_a_schedule_within_a_stage_counts_from_its_first_step() -> None:
    segments = [{"step": 0, "weights": {"law": 1, "medicine": 3}}, {"step": 2, "weights": {"law": 3, "medicine": 1}}]
    own = {"domains": ["law", "medicine"], "mixture": "schedule", "schedule": segments, "steps": 6}
    controller = staged({"domains": ["code"], "steps": 4}, own)
    assert begun(controller, 10) == {4: [0.0, 0.25, 0.75], 6: [0.0, 0.75, 0.25]}
    assert controller.known_weights(3).tolist() == [1.0, 0.0, 0.0]
    assert controller.known_weights(5).tolist() == [0.0, 0.25, 0.75]


def test_a_prior_of_zero_in_all_domains_of_a_stage_is_uniform() -> None:
    stage = {"domains": ["law", "medicine"], "mixture": "constant"}
    assert control("stages", [1.0, 0.0, 0.0], ROWS, stages=[stage]).weights.tolist() == [0.0, 0.5, 0.5]


def test_a_run_that_is_stopped_within_a_stage_goes_on_alike() -> None:
    expand = {"domain": "law", "delta": 0.1, "epsilon": 0.5}
    own = {"domains": ["medicine", "law"], "mixture": "versatune", "expand": expand, "steps": 20}
    stages = ({"domains": ["code"], "steps": 4}, own, {"steps": 2})
    controller = staged(*stages, update_steps=2, reference=[0.1, 1.0, 1.0])
    losses = {4: [1.0, 2.0, 1.0], 6: [9.0, 2.0, 2.0], 8: [9.0, 2.0, 3.0], 24: [1.0, 1.0, 1.0]}
    for step in range(1, 25):
        # Before the first update of the stage, after it, and at its end.
        other = staged(*stages, update_steps=2, reference=[0.1, 1.0, 1.0])
        other.load_state_dict(json.loads(json.dumps(controller.state_dict())), step - 1)
        measure = partial(measured, losses.get(step, [1.0, 1.5, 1.0]))
        assert (controller.after_step(step, measure) is None) == (other.after_step(step, measure) is None)
        assert other.weights.tolist() == controller.weights.tolist()
        assert other.state_dict() == controller.state_dict()
    assert controller.stage == 2


def test_a_state_of_another_stage_is_refused() -> None:
    controller = staged({"domains": ["code"], "steps": 4}, {"steps": 2})
    state = json.loads(json.dumps(controller.state_dict()))
    with pytest.raises(ValueError, match="it stood in stage 1, and step 5 is in stage 2"):
        staged({"domains": ["code"], "steps": 4}, {"steps": 2}).load_state_dict(state, 5)


def test_what_is_observed_follows_the_stage() -> None:
    controller = staged(
        {"steps": 2},
        {"mixture": "odm", "steps": 2},
        {"mixture": "skills", "steps": 2},
        {"mixture": "increase", "domain": "law"},
    )
    observed = [controller.planned.requirements.observes]
    for step in (2, 4, 6):
        controller.after_step(step, None)
        observed.append(controller.planned.requirements.observes)
    assert observed == [None, BatchObservation, ProbeObservation, HeldoutObservation]


def test_where_nothing_is_held_out_nothing_is_measured() -> None:
    controller = control("uniform", PRIOR, ROWS, update_steps=1)
    assert controller.update_due(1)
    assert controller.after_step(1, None) is None


def test_between_stages_that_learn_from_batches_nothing_is_measured() -> None:
    controller = staged({"steps": 4}, {"mixture": "odm", "steps": 4}, update_steps=1)

    def never() -> Any:
        raise AssertionError("it was measured")

    assert controller.after_step(1, never) is None


@pytest.mark.parametrize(
    ("stages", "asked"),
    [
        ([{}], Requirements(moves=False)),
        ([{"mixture": "constant"}], Requirements(moves=False, prior=True)),
        ([{}, {"mixture": "versatune"}], Requirements(observes=HeldoutObservation, prior=True, reference=True)),
        ([{}, {"mixture": "odm"}], Requirements(observes=BatchObservation, update_steps=1)),
        ([{"mixture": "odm"}, {"mixture": "skills"}], Requirements(observes=ProbeObservation)),
        (
            [{"mixture": "odm"}, {"mixture": "schedule", "schedule": [{"step": 0, "weights": {"law": 1}}]}],
            Requirements(observes=BatchObservation, update_steps=1),
        ),
    ],
)
def test_a_run_of_stages_asks_for_what_all_of_them_need(stages: list[dict[str, Any]], asked: Requirements) -> None:
    mixture = MIXTURES["stages"]
    assert mixture.requirements(mixture.Options(stages=stages)) == asked


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
    (problem,) = MIXTURES["stages"].Options(stages=[{}, stage]).problems(NAMES)
    assert problem.startswith("stages[1].")
    assert told in problem


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ({"epochs": 1, "steps": 2}, "epochs and steps both say how long it is"),
        ({"mixture": "alchemy"}, "unknown mixture 'alchemy'; choose one of versatune, constant"),
        ({"mixture": "stages", "stages": [{}]}, "unknown mixture 'stages'"),
        ({"mixture": "versatune", "sigma": -1}, "of its mixture 'versatune', sigma: is -1"),
        (
            {"mixture": "versatune", "sigmma": 1},
            "of its mixture 'versatune', sigmma: is not known here; did you mean 'sigma'?",
        ),
        ({"epoch": 1}, "of its mixture 'proportional', epoch: is not known here"),
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
        MIXTURES["stages"].Options(stages=[{}, stage])
    assert told in str(refused.value)
    assert "stages.1" in str(refused.value)


def test_there_is_at_least_one_stage() -> None:
    with pytest.raises(ValidationError, match="at least 1 item"):
        MIXTURES["stages"].Options(stages=[])
