from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from versatune_plugin.mixtures.scorer import Scorer
from versatune_plugin.mixtures.weights import Vector


def objective(parameters: dict[str, Vector], rewards: Vector) -> float:
    """sum_i R(i) log p(i), written out anew: softmax(W2 tanh(W1 1 + b1) + b2)."""
    hidden = np.tanh(parameters["w1"] @ np.ones(len(rewards)) + parameters["b1"])
    logits = parameters["w2"] @ hidden + parameters["b2"]
    return float((rewards * (logits - np.log(np.exp(logits).sum()))).sum())


def parameters_of(scorer: Scorer, k: int, hidden: int) -> dict[str, Vector]:
    shapes = {"w1": (hidden, k), "b1": (hidden,), "w2": (k, hidden), "b2": (k,)}
    state = json.loads(json.dumps(scorer.state_dict()))
    assert set(state) == set(shapes)
    return {name: np.array(state[name], dtype=np.float64).reshape(shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("hidden", [0, 1, 5])
def test_a_step_is_the_numerical_gradient_of_the_rewards_log_probability(hidden: int) -> None:
    """After two steps, when no layer is zero any more."""
    rewards, rate, k = np.array([0.9, 0.2, 0.5]), 0.3, 3
    scorer = Scorer(np.array([0.5, 0.3, 0.2]), hidden, rate, seed=3)
    scorer.reinforce(np.array([0.1, 0.7, 0.4]))
    scorer.reinforce(np.array([0.8, 0.3, 0.6]))
    before = parameters_of(scorer, k, hidden)
    scorer.reinforce(rewards)
    after = parameters_of(scorer, k, hidden)
    for name, value in before.items():
        taken = (after[name] - value) / rate
        for place in np.ndindex(value.shape):
            sides = []
            for shift in (1e-5, -1e-5):
                moved = value.copy()
                moved[place] += shift
                sides.append(objective({**before, name: moved}, rewards))
            assert taken[place] == pytest.approx((sides[0] - sides[1]) / 2e-5, abs=1e-8), (name, place)
        assert value.size == 0 or np.abs(taken).max() > 1e-4, name


@pytest.mark.parametrize("hidden", [0, 64])
def test_it_starts_at_the_prior_whatever_its_first_layer(hidden: int) -> None:
    for seed in (0, 1):
        scorer = Scorer(np.array([5.0, 3.0, 2.0]), hidden, 0.1, seed)
        assert scorer.probabilities.tolist() == pytest.approx([0.5, 0.3, 0.2], abs=1e-15)


def test_the_seed_decides_the_path() -> None:
    ends = []
    for seed in (1, 1, 2):
        scorer = Scorer(np.ones(3), 8, 0.1, seed)
        ends.append([scorer.reinforce(np.array([0.9, 0.2, 0.5])).tolist() for _ in range(5)][-1])
    assert ends[0] == ends[1]
    assert ends[0] != ends[2]


@settings(max_examples=15)
@given(st.integers(2, 5).flatmap(lambda k: st.tuples(*[st.lists(st.floats(0.1, 1), min_size=k, max_size=k)] * 2)))
def test_free_logits_under_fixed_rewards_converge_to_their_shares(situation: tuple[list[float], list[float]]) -> None:
    prior, rewards = np.array(situation[0]), np.array(situation[1])
    scorer = Scorer(prior, 0, 0.2, seed=0)
    for _ in range(1200):
        weights = scorer.reinforce(rewards)
    assert weights.tolist() == pytest.approx((rewards / rewards.sum()).tolist(), abs=1e-6)
    assert scorer.reinforce(rewards).tolist() == pytest.approx(weights.tolist(), abs=1e-9)


def test_a_scorer_of_one_domain_stays_there() -> None:
    scorer = Scorer(np.ones(1), 4, 0.5, seed=0)
    assert [scorer.reinforce(np.array([0.7])).tolist() for _ in range(3)] == [[1.0]] * 3


def test_its_state_is_of_its_shape() -> None:
    scorer, other = Scorer(np.ones(3), 4, 0.5, seed=0), Scorer(np.ones(3), 4, 0.5, seed=9)
    scorer.reinforce(np.array([0.1, 0.7, 0.4]))
    other.load_state_dict(json.loads(json.dumps(scorer.state_dict(), allow_nan=False)))
    rewards = np.array([0.3, 0.1, 0.9])
    assert other.reinforce(rewards).tolist() == scorer.reinforce(rewards).tolist()
