from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from tests.helpers.situations import STEPS, Situation, resolved, situations
from versatune_plugin.mixtures.base import StaticMixture
from versatune_plugin.mixtures.registry import MIXTURES
from versatune_plugin.mixtures.stages import StagedMixture
from versatune_plugin.mixtures.weights import Vector

every = pytest.mark.parametrize("name", sorted(MIXTURES))
examples = settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
# Presets of stages change from stage to stage, and static ones stay.
MOVING = [name for name in sorted(MIXTURES) if not issubclass(MIXTURES[name], StaticMixture) and name != "multitask"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the records lie that are played back."""
    return tmp_path_factory.mktemp("records")


def order_of(situation: Situation, seed: int) -> Vector:
    return np.random.default_rng(seed).permutation(len(situation.names))


@every
@examples
@given(data=st.data())
def test_every_mixture_stays_a_mixture(name: str, folder: Path, data: st.DataObject) -> None:
    situation = data.draw(situations(name))
    path = situation.drive(folder)
    assert len(path) == STEPS + 1
    bounded = not issubclass(MIXTURES[name], StagedMixture) and situation.controller(folder).planned.bounded
    for weights in path:
        assert weights.shape == (len(situation.names),)
        assert np.isfinite(weights).all()
        assert weights.sum() == pytest.approx(1, abs=1e-9)
        if bounded:
            assert weights.min() >= situation.floor - 1e-12
            assert weights.max() <= situation.cap + 1e-9
    if issubclass(MIXTURES[name], StaticMixture):
        assert all(np.array_equal(weights, path[0]) for weights in path)


@every
@examples
@given(data=st.data())
def test_the_order_of_the_domains_does_not_matter(name: str, folder: Path, data: st.DataObject) -> None:
    situation = data.draw(situations(name))
    order = order_of(situation, data.draw(st.integers(0, 99)))
    one, two = situation.drive(folder), situation.permuted(order).drive(folder, order)
    for left, right in zip(one, two, strict=True):
        assert left[order] == pytest.approx(right, abs=1e-9)


@every
@examples
@given(data=st.data())
def test_the_names_of_the_domains_do_not_matter(name: str, folder: Path, data: st.DataObject) -> None:
    """Not even to the last bit; the new names sort the other way round."""
    situation = data.draw(situations(name))
    one, two = situation.drive(folder), situation.renamed(lambda index: f"field {9 - index}").drive(folder)
    for left, right in zip(one, two, strict=True):
        assert left.tolist() == right.tolist()


@every
@examples
@given(data=st.data())
def test_a_run_that_is_stopped_at_any_step_goes_on_alike(name: str, folder: Path, data: st.DataObject) -> None:
    situation = data.draw(situations(name))
    one, two = situation.drive(folder), situation.drive(folder, restarted=True)
    for left, right in zip(one, two, strict=True):
        assert left.tolist() == right.tolist()


@examples
@given(data=st.data())
def test_outside_a_stage_nothing_is_drawn(folder: Path, data: st.DataObject) -> None:
    situation = data.draw(situations("stages"))
    stages = situation.controller(folder).stages
    for step, weights in enumerate(situation.drive(folder)):
        stage = [planned for planned in stages if planned.first_step <= step][-1]
        assert weights[stage.rows == 0].sum() == 0


@pytest.mark.parametrize("name", MOVING)
def test_what_can_move_does_move_in_these_situations(name: str, folder: Path) -> None:
    """Or the properties above would say little."""

    def moves(situation: Situation) -> bool:
        path = situation.drive(folder)
        return len({tuple(weights.tolist()) for weights in path}) > 2 - (name in ("dmt", "mixed_sequential"))

    find(situations(name), moves, settings=settings(max_examples=300, database=None, phases=[Phase.generate]))


def test_placeholders_become_names_and_records(folder: Path) -> None:
    given = {"order": ["@1", "@0"], "share": "1/2", "schedule": {"record": [{"step": 0, "weights": {"@1": 1}}]}}
    options = resolved(given, ("law", "code"), folder)
    assert options["order"] == ["code", "law"]
    assert options["share"] == "1/2"
    first = json.loads(Path(options["schedule"]).read_text(encoding="utf-8").splitlines()[0])
    assert (first["kind"], first["weights"]) == ("start", {"code": 1})
