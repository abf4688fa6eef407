"""With a learning rate of 5 ln 2 and free logits, a difference of 0.2 between R and sum(R) p is a factor of 2."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from tests.mixtures.making import NAMES, bounded, make
from versatune_plugin.mixtures.base import Policy, Signal
from versatune_plugin.mixtures.registry import POLICIES
from versatune_plugin.mixtures.weights import Vector

DOUBLING = 5 * math.log(2)


def free(**options: Any) -> Policy:
    return make("skills", [0.5, 0.3, 0.2], [10, 30, 60], scorer_learning_rate=DOUBLING, hidden=0, **options)


def symmetric(code_law: float, code_medicine: float, law_medicine: float) -> Vector:
    return np.array([[1, code_law, code_medicine], [code_law, 1, law_medicine], [code_medicine, law_medicine, 1]])


def after(policy: Policy, **measured: Any) -> list[float]:
    # The weights in force do not enter: the scorer keeps its own.
    signal = Signal(1, np.array([0.8, 0.1, 0.1]), **{name: np.asarray(value) for name, value in measured.items()})
    return bounded(policy, policy.update(signal)).tolist()


def test_transferability_by_hand() -> None:
    """R = mean cosine. 1/3 each; then sum(R) p = (1, .5, .25); then (.25, 1, .5)."""
    policy = free(reward="cossim", ema=1)
    assert policy.initial_weights().tolist() == pytest.approx([1 / 3] * 3)
    # R = (.8, .6, .4), (.6, .7, .45), (.45, .6, .7): factors (2, 1, 1/2), (1/4, 2, 2), (2, 1/4, 2).
    for cosines, expected in (
        ((1.0, 0.4, -0.2), (4, 2, 1)),
        ((0.775, 0.025, 0.325), (1, 4, 2)),
        ((0.025, 0.325, 0.775), (2, 1, 4)),
    ):
        weights = after(policy, similarity=symmetric(*cosines))
        assert weights == pytest.approx([w / sum(expected) for w in expected], abs=1e-12)


def test_difficulty_by_hand() -> None:
    """R = perplexity now / before. The last R is in proportion to p, and moves nothing."""
    policy = free(reward="diff", ema=1)
    for difficulty, expected in (
        ((0.8, 0.6, 0.4), (4, 2, 1)),
        ((1.0, 1.0, 0.8), (1, 8, 8)),
        ((0.1, 0.8, 0.8), (1, 8, 8)),
    ):
        weights = after(policy, difficulty=difficulty)
        assert weights == pytest.approx([w / sum(expected) for w in expected], abs=1e-12)


def test_the_average_over_updates_by_hand() -> None:
    """beta = 1/2: R = (.8, .6, .4), then half of it and half new = (1, 1, .8), then half of that = (.8, 1.4, 1.2)."""
    policy = free(reward="diff", ema=0.5)
    for difficulty, expected in (
        ((0.8, 0.6, 0.4), (4, 2, 1)),
        ((1.2, 1.4, 1.2), (1, 8, 8)),
        ((0.6, 1.8, 1.6), (4, 2, 1)),
    ):
        weights = after(policy, difficulty=difficulty)
        assert weights == pytest.approx([w / sum(expected) for w in expected], abs=1e-12)


def test_the_share_of_the_new_reward_is_beta() -> None:
    """0.9 (1, 1, .8) + 0.1 R = (.98, .96, .76): less than sum(R) p = 2.7 (4, 2, 1) / 7 by (3.94, -1.32, -2.62) / 7."""
    policy = free(reward="diff", ema=0.9)
    after(policy, difficulty=(0.8, 0.6, 0.4))
    raised = [w * 2 ** (5 * d / 7) for w, d in zip((4, 2, 1), (-3.94, 1.32, 2.62), strict=True)]
    weights = after(policy, difficulty=(1.0, 1.0, 0.8))
    assert weights == pytest.approx([w / sum(raised) for w in raised], abs=1e-12)


def test_similarity_to_a_target_by_hand() -> None:
    """MoSpec: R = (.8, 1, .6), (.3, 1, .45), (.65, 1, .1): factors (1, 2, 1/2), (1/2, 1, 2), (4, 1, 1/4)."""
    policy = free(reward="cossim", ema=1, target="law")
    for cosines, expected in (
        ((0.8, -0.3, 0.6), (2, 4, 1)),
        ((0.3, 0.9, 0.45), (1, 4, 2)),
        ((0.65, 0.2, 0.1), (8, 8, 1)),
    ):
        weights = after(policy, similarity=symmetric(*cosines))
        assert weights == pytest.approx([w / sum(expected) for w in expected], abs=1e-12)


def test_the_difficulty_of_a_target_counts_double() -> None:
    policy = free(reward="diff", ema=1, target="law")
    for difficulty, expected in (
        ((0.8, 0.3, 0.4), (4, 2, 1)),
        ((1.0, 0.5, 0.8), (1, 8, 8)),
        ((0.1, 0.4, 0.8), (1, 8, 8)),
    ):
        told = np.array(difficulty)
        weights = after(policy, difficulty=told)
        assert weights == pytest.approx([w / sum(expected) for w in expected], abs=1e-12)
        assert told.tolist() == list(difficulty)


@pytest.mark.parametrize(
    ("tau", "weights"),
    [(math.inf, [1, 1, 1]), (1, [1, 3, 6]), (2, [1, math.sqrt(3), math.sqrt(6)]), (0.5, [1, 9, 36])],
)
@pytest.mark.parametrize("hidden", [0, 64])
def test_the_first_weights_follow_the_temperature(tau: float, weights: list[float], hidden: int) -> None:
    policy = make("skills", [0.5, 0.3, 0.2], [10, 30, 60], tau=tau, hidden=hidden)
    assert policy.initial_weights().tolist() == pytest.approx([w / sum(weights) for w in weights])


def test_fixed_rewards_lead_to_their_shares() -> None:
    policy = make("skills", [0.5, 0.3, 0.2], reward="diff", hidden=0, scorer_learning_rate=0.1)
    for _ in range(3000):
        weights = after(policy, difficulty=(1.5, 0.9, 0.6))
    assert weights == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)


def test_a_temperature_near_zero_leaves_a_state_that_can_be_saved() -> None:
    policy = make("skills", [0.5, 0.5], [1, 1000], ("code", "law"), tau=0.001)
    after_one = policy.update(Signal(1, np.array([0.5, 0.5]), similarity=np.ones((2, 2))))
    assert after_one.tolist() == pytest.approx([0.0, 1.0])
    json.dumps(policy.state_dict(), allow_nan=False)


def test_a_batch_comes_from_one_domain_unless_mixed() -> None:
    skills = POLICIES["skills"]
    assert skills.draws_single(skills.Options())
    assert not skills.draws_single(skills.Options(batches="mixed"))


def test_the_target_must_be_one_of_the_runs() -> None:
    options = POLICIES["skills"].Options
    assert "target: 'poetry' is no domain" in options(target="poetry").complaints(NAMES)[0]
    assert options(target="law").complaints(NAMES) == []
    assert options().complaints(NAMES) == []


@pytest.mark.parametrize("hidden", [0, 4])
def test_a_run_that_is_stopped_goes_on_alike(hidden: int) -> None:
    options = {"reward": "diff", "ema": 0.5, "hidden": hidden}
    policy, other = (make("skills", [0.5, 0.3, 0.2], seed=seed, **options) for seed in (1, 2))
    after(policy, difficulty=(0.8, 0.6, 0.4))
    other.load_state_dict(json.loads(json.dumps(policy.state_dict(), allow_nan=False)))
    for difficulty in ((1.2, 1.4, 1.2), (0.6, 1.8, 1.6)):
        assert after(other, difficulty=difficulty) == after(policy, difficulty=difficulty)
