from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.mixture.contract import Policy, Signal, Start
from versatune_plugin.mixture.registry import POLICIES
from versatune_plugin.mixture.weights import Vector, admissible

NAMES = ("code", "law", "medicine")


def make(name: str, prior: Vector, rows: Vector, domains: tuple[str, ...] = NAMES, **options: float) -> Policy:
    policy = POLICIES[name]
    return policy(policy.Options(**options), Start(domains, prior, rows))


def test_algorithm_2_by_hand() -> None:
    policy = make("versatune", np.array([0.5, 0.3, 0.2]), np.ones(3), sigma=0.5)
    assert policy.initial_weights().tolist() == [0.5, 0.3, 0.2]
    weights = policy.initial_weights()
    reference = np.array([1.0, 1.0, 2.0])
    # gamma = (1/2, 0, 1/2), then (0, 0, 1/3), then all zero.
    for loss, expected in (
        ([2.0, 1.0, 4.0], [0.625 / 1.175, 0.3 / 1.175, 0.25 / 1.175]),
        ([0.5, 1.0, 3.0], [0.625 / 1.21666667, 0.3 / 1.21666667, 0.29166667 / 1.21666667]),
        ([0.5, 1.0, 2.0], [0.625 / 1.21666667, 0.3 / 1.21666667, 0.29166667 / 1.21666667]),
    ):
        signal = Signal(1, weights, np.array(loss), np.ones(3), None, reference)
        weights = admissible(policy.update(signal))
        assert weights.tolist() == pytest.approx(expected, abs=1e-8)


def test_potential_and_forgetting_by_hand() -> None:
    loss, before = np.array([2.0, 1.0, 0.0]), np.array([1.0, 2.0, 1.0])
    signal = Signal(3, np.ones(3) / 3, loss, np.ones(3), before, np.array([1.5, 3.0, 0.5]))
    assert signal.potential is not None
    assert signal.potential.tolist() == [0.25, 0.0, 0.0]
    assert signal.forgetting.tolist() == [1.0, 0.0, 0.0]
    first = Signal(1, np.ones(3) / 3, loss, np.ones(3))
    assert first.forgetting.tolist() == [0.0, 0.0, 0.0]
    assert first.potential is None


def test_the_rule_run_every_step_collapses_as_the_algorithms_page_says() -> None:
    """The top weight is .28 after 50 updates and .91 after 500: hence an interval and a floor."""
    gamma = np.array([0.30, 0.20, 0.10, 0.25, 0.15, 0.05])
    weights = np.full(6, 1 / 6)
    policy = make("versatune", weights, np.ones(6), tuple("abcdef"), sigma=0.1)
    tops = {}
    for number in range(1, 501):
        weights = admissible(policy.update(Signal(number, weights, np.ones(6), np.ones(6), None, 1 - gamma)))
        tops[number] = weights.max()
    assert tops[50] == pytest.approx(0.28, abs=0.005)
    assert tops[500] == pytest.approx(0.91, abs=0.005)


def test_static_mixtures_by_hand() -> None:
    prior, rows = np.array([0.5, 0.3, 0.2]), np.array([10.0, 30.0, 60.0])
    expected = {
        "constant": [0.5, 0.3, 0.2],
        "uniform": [1 / 3, 1 / 3, 1 / 3],
        "inverse": [0.25, 0.35, 0.4],
        "proportional": [0.1, 0.3, 0.6],
    }
    for name, weights in expected.items():
        policy = make(name, prior, rows)
        assert not policy.moves
        assert admissible(policy.initial_weights()).tolist() == pytest.approx(weights), name
        signal = Signal(5, np.array([0.2, 0.2, 0.6]), np.ones(3), np.ones(3))
        assert policy.update(signal).tolist() == [0.2, 0.2, 0.6]


def test_inverse_of_a_single_domain_is_that_domain() -> None:
    assert admissible(make("inverse", np.ones(1), np.ones(1), ("law",)).initial_weights()).tolist() == [1.0]


@st.composite
def situations(draw: st.DrawFn) -> tuple[str, Vector, Vector, list[Vector], Vector, float]:
    k = draw(st.integers(1, 6))
    vector = st.lists(st.floats(0.01, 10), min_size=k, max_size=k).map(np.array)
    prior, rows, reference = draw(vector), draw(vector) * 100, draw(vector)
    losses = draw(st.lists(vector, min_size=3, max_size=6))
    floor = draw(st.floats(0, 0.9)) / k
    return draw(st.sampled_from(sorted(POLICIES))), prior / prior.sum(), rows, losses, reference, floor


def follow(
    name: str,
    domains: tuple[str, ...],
    prior: Vector,
    rows: Vector,
    losses: list[Vector],
    reference: Vector,
    floor: float,
) -> list[Vector]:
    policy = make(name, prior, rows, domains)
    path, before = [admissible(policy.initial_weights(), floor)], None
    for step, loss in enumerate(losses, start=1):
        signal = Signal(step, path[-1], loss, np.ones(len(loss)), before, reference)
        path.append(admissible(policy.update(signal), floor))
        before = loss
        # A policy that is stopped and started again in the middle goes on alike.
        state = policy.state_dict()
        policy = make(name, prior, rows, domains)
        policy.load_state_dict(state)
    return path


@given(situations())
def test_every_mixture_stays_a_mixture(situation: tuple[str, Vector, Vector, list[Vector], Vector, float]) -> None:
    name, prior, rows, losses, reference, floor = situation
    domains = tuple(f"d{index}" for index in range(len(prior)))
    for weights in follow(name, domains, prior, rows, losses, reference, floor):
        assert np.isfinite(weights).all()
        assert weights.sum() == pytest.approx(1, abs=1e-9)
        assert weights.min() >= floor - 1e-12


@given(situations())
def test_order_and_names_of_the_domains_do_not_matter(
    situation: tuple[str, Vector, Vector, list[Vector], Vector, float],
) -> None:
    name, prior, rows, losses, reference, floor = situation
    order = np.random.default_rng(len(losses)).permutation(len(prior))
    domains = tuple(f"d{index}" for index in range(len(prior)))
    renamed = tuple(f"other {index}" for index in order)
    one = follow(name, domains, prior, rows, losses, reference, floor)
    two = follow(name, renamed, prior[order], rows[order], [loss[order] for loss in losses], reference[order], floor)
    for left, right in zip(one, two, strict=True):
        assert left[order] == pytest.approx(right, abs=1e-9)


def test_a_policy_without_state_refuses_one() -> None:
    with pytest.raises(ValueError, match="keeps no state"):
        make("uniform", np.ones(1), np.ones(1), ("law",)).load_state_dict({"step": 3})
