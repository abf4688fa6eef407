"""Our own mixtures pass the contract that others' have to; a mixture that breaks it is caught."""

from __future__ import annotations

import math
from typing import Any

import pytest

from versatune_plugin.mixtures.base import Mixture, MixtureOptions, Requirements
from versatune_plugin.mixtures.observations import HeldoutObservation
from versatune_plugin.mixtures.registry import MIXTURES, plain_mixtures, register_mixture
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.testing import MixtureContract

THIRDS = {"code": 0.5, "law": 0.3, "medicine": 0.2}
OPTIONS: dict[str, tuple[dict[str, Any], ...]] = {
    "versatune": ({}, {"sigma": 2.0, "expand": {"domain": "law", "delta": 0.1}}),
    "inverse": ({}, {"form": "reciprocal"}),
    "temperature": ({"tau": 10}, {"tau": math.inf}),
    "single": ({"domain": "law"},),
    "increase": ({"domain": "law", "delta": 0.25},),
    "skills": ({}, {"reward": "diff", "batches": "mixed", "hidden": 0}),
    "schedule": ({"schedule": [{"step": 0, "weights": THIRDS}, {"step": 5, "weights": {**THIRDS, "law": 3}}]},),
}
# A record of a run is a file; tests/mixtures/test_playback.py has it.
PLAIN = {name: mixture for name, mixture in plain_mixtures().items() if name != "replay"}


@pytest.mark.parametrize("name", PLAIN)
class TestOurs:
    """The contract, once for each of our mixtures."""

    @pytest.mark.parametrize("promise", [name for name in dir(MixtureContract) if name.startswith("test_")])
    def test_it_keeps(self, name: str, promise: str) -> None:
        contract = type("Contract", (MixtureContract,), {"mixture": PLAIN[name], "options": OPTIONS.get(name, ({},))})
        getattr(contract(), promise)()


class Broken(Mixture[HeldoutObservation]):
    """Keeps the contract; the classes below break it in one way each."""

    name, summary, source = "broken", "of a test", "none"
    calls = 0

    @classmethod
    def requirements(cls, options: MixtureOptions) -> Requirements:
        return Requirements(observes=HeldoutObservation)

    def update(self, observation: HeldoutObservation) -> Vector:
        return observation.loss


class Negative(Broken):
    def update(self, observation: HeldoutObservation) -> Vector:
        return observation.loss - 1.0


class Forgetful(Broken):
    def __init__(self, options: MixtureOptions, context: Any) -> None:
        super().__init__(options, context)
        self.seen = 0

    def update(self, observation: HeldoutObservation) -> Vector:
        self.seen += 1
        return observation.loss + self.seen


class Random(Broken):
    def update(self, observation: HeldoutObservation) -> Vector:
        type(self).calls += 1
        return observation.loss + self.calls


class Credulous(Broken):
    def load_state_dict(self, state: Any) -> None:
        return None


class Still(Broken):
    @classmethod
    def requirements(cls, options: MixtureOptions) -> Requirements:
        return Requirements(observes=HeldoutObservation, moves=False)


@pytest.mark.parametrize(
    ("mixture", "promise"),
    [
        (Negative, "test_what_it_proposes_makes_a_mixture"),
        (Forgetful, "test_a_run_that_is_stopped_after_any_step_goes_on_alike"),
        (Random, "test_it_is_deterministic"),
        (Credulous, "test_a_state_of_something_else_is_refused"),
        (Still, "test_it_moves_if_it_says_so"),
    ],
)
def test_a_mixture_that_breaks_a_promise_is_caught(mixture: type[Broken], promise: str) -> None:
    contract: Any = type("Contract", (MixtureContract,), {"mixture": mixture})
    with pytest.raises((AssertionError, RuntimeError)):
        getattr(contract(), promise)()
    getattr(type("Contract", (MixtureContract,), {"mixture": Broken})(), promise)()


def test_a_mixture_is_registered_by_a_decorator_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("versatune_plugin.mixtures.registry.MIXTURES", dict(MIXTURES))
    assert register_mixture(Broken) is Broken
    register_mixture(Broken)
    with pytest.raises(ValueError, match="a mixture called 'broken' is registered already"):
        register_mixture(Negative)


def test_a_proposal_that_is_no_mixture_ends_the_run_by_name() -> None:
    contract: Any = type("Contract", (MixtureContract,), {"mixture": Negative})
    with pytest.raises(RuntimeError, match=r"the mixture 'broken' proposed \[.*\] at step 2"):
        contract().test_it_is_deterministic()
