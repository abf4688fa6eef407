"""With a learning rate of 5 ln 2 and free logits, a difference of 0.2 between R and sum(R) p is a factor of 2."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from tests.helpers.making import NAMES, bounded, make
from versatune_plugin.mixtures.base import Mixture
from versatune_plugin.mixtures.observations import ProbeObservation
from versatune_plugin.mixtures.registry import MIXTURES
from versatune_plugin.mixtures.weights import Vector

DOUBLING = 5 * math.log(2)


def free(**options: Any) -> Mixture[ProbeObservation]:
    return make("skills", [0.5, 0.3, 0.2], [10, 30, 60], scorer_learning_rate=DOUBLING, hidden=0, **options)


def symmetric(code_law: float, code_medicine: float, law_medicine: float) -> Vector:
    return np.array([[1, code_law, code_medicine], [code_law, 1, law_medicine], [code_medicine, law_medicine, 1]])


def after(mixture: Mixture[ProbeObservation], **measured: Any) -> list[float]:
    # The weights in force do not enter: the scorer keeps its own.
    given = {name: np.asarray(value) for name, value in measured.items()}
    return bounded(mixture, mixture.update(probed(np.array([0.8, 0.1, 0.1]), **given))).tolist()


def probed(weights: Vector, similarity: Vector | None = None, difficulty: Vector | None = None) -> ProbeObservation:
    """What a reward does not read is no number."""
    k = len(weights)
    return ProbeObservation(
        step=1,
        weights=weights,
        loss=np.full(k, np.nan),
        tokens=np.ones(k),
        similarity=np.full((k, k), np.nan) if similarity is None else similarity,
        difficulty=np.full(k, np.nan) if difficulty is None else difficulty,
    )


def test_transferability_by_hand() -> None:
    """R = mean cosine. 1/3 each; then sum(R) p = (1, .5, .25); then (.25, 1, .5)."""
    mixture = free(reward="cossim", ema=1)
    assert mixture.initial_weights().tolist() == pytest.approx([1 / 3] * 3)
    # R = (.8, .6, .4), (.6, .7, .45), (.45, .6, .7): factors (2, 1, 1/2), (1/4, 2, 2), (2, 1/4, 2).
    for cosines, expected in (
        ((1.0, 0.4, -0.2), (4, 2, 1)),
        ((0.775, 0.025, 0.325), (1, 4, 2)),
        ((0.025, 0.325, 0.775), (2, 1, 4)),
    ):
        weights = after(mixture, similarity=symmetric(*cosines))
        assert weights == pytest.approx([w / sum(expected) for w in expected], abs=1e-12)


def test_difficulty_by_hand() -> None:
    """R = perplexity now / before. The last R is in proportion to p, and moves nothing."""
    mixture = free(reward="diff", ema=1)
    for difficulty, expected in (
        ((0.8, 0.6, 0.4), (4, 2, 1)),
        ((1.0, 1.0, 0.8), (1, 8, 8)),
        ((0.1, 0.8, 0.8), (1, 8, 8)),
    ):
        weights = after(mixture, difficulty=difficulty)
        assert weights == pytest.approx([w / sum(expected) for w in expected], abs=1e-12)


def test_the_average_over_updates_by_hand() -> None:
    """beta = 1/2: R = (.8, .6, .4), then half of it and half new = (1, 1, .8), then half of that = (.8, 1.4, 1.2)."""
    mixture = free(reward="diff", ema=0.5)
    for difficulty, expected in (
        ((0.8, 0.6, 0.4), (4, 2, 1)),
        ((1.2, 1.4, 1.2), (1, 8, 8)),
        ((0.6, 1.8, 1.6), (4, 2, 1)),
    ):
        weights = after(mixture, difficulty=difficulty)
        assert weights == pytest.approx([w / sum(expected) for w in expected], abs=1e-12)


def test_the_share_of_the_new_reward_is_beta() -> None:
    """0.9 (1, 1, .8) + 0.1 R = (.98, .96, .76): less than sum(R) p = 2.7 (4, 2, 1) / 7 by (3.94, -1.32, -2.62) / 7."""
    mixture = free(reward="diff", ema=0.9)
    after(mixture, difficulty=(0.8, 0.6, 0.4))
    raised = [w * 2 ** (5 * d / 7) for w, d in zip((4, 2, 1), (-3.94, 1.32, 2.62), strict=True)]
    weights = after(mixture, difficulty=(1.0, 1.0, 0.8))
    assert weights == pytest.approx([w / sum(raised) for w in raised], abs=1e-12)


def test_similarity_to_a_target_by_hand() -> None:
    """MoSpec: R = (.8, 1, .6), (.3, 1, .45), (.65, 1, .1): factors (1, 2, 1/2), (1/2, 1, 2), (4, 1, 1/4)."""
    mixture = free(reward="cossim", ema=1, target="law")
    for cosines, expected in (
        ((0.8, -0.3, 0.6), (2, 4, 1)),
        ((0.3, 0.9, 0.45), (1, 4, 2)),
        ((0.65, 0.2, 0.1), (8, 8, 1)),
    ):
        weights = after(mixture, similarity=symmetric(*cosines))
        assert weights == pytest.approx([w / sum(expected) for w in expected], abs=1e-12)


def test_the_difficulty_of_a_target_counts_double() -> None:
    mixture = free(reward="diff", ema=1, target="law")
    for difficulty, expected in (
        ((0.8, 0.3, 0.4), (4, 2, 1)),
        ((1.0, 0.5, 0.8), (1, 8, 8)),
        ((0.1, 0.4, 0.8), (1, 8, 8)),
    ):
        told = np.array(difficulty)
        weights = after(mixture, difficulty=told)
        assert weights == pytest.approx([w / sum(expected) for w in expected], abs=1e-12)
        assert told.tolist() == list(difficulty)


@pytest.mark.parametrize(
    ("tau", "weights"),
    [(math.inf, [1, 1, 1]), (1, [1, 3, 6]), (2, [1, math.sqrt(3), math.sqrt(6)]), (0.5, [1, 9, 36])],
)
@pytest.mark.parametrize("hidden", [0, 64])
def test_the_first_weights_follow_the_temperature(tau: float, weights: list[float], hidden: int) -> None:
    mixture = make("skills", [0.5, 0.3, 0.2], [10, 30, 60], tau=tau, hidden=hidden)
    assert mixture.initial_weights().tolist() == pytest.approx([w / sum(weights) for w in weights])


def test_fixed_rewards_lead_to_their_shares() -> None:
    mixture = make("skills", [0.5, 0.3, 0.2], reward="diff", hidden=0, scorer_learning_rate=0.1)
    for _ in range(3000):
        weights = after(mixture, difficulty=(1.5, 0.9, 0.6))
    assert weights == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)


def test_a_temperature_near_zero_leaves_a_state_that_can_be_saved() -> None:
    mixture = make("skills", [0.5, 0.5], [1, 1000], ("code", "law"), tau=0.001)
    after_one = mixture.update(probed(np.array([0.5, 0.5]), np.ones((2, 2))))
    assert after_one.tolist() == pytest.approx([0.0, 1.0])
    json.dumps(mixture.state_dict(), allow_nan=False)


def test_a_batch_comes_from_one_domain_unless_mixed() -> None:
    skills = MIXTURES["skills"]
    assert skills.requirements(skills.Options()).single_domain_batches
    assert not skills.requirements(skills.Options(batches="mixed")).single_domain_batches


def test_the_target_must_be_one_of_the_runs() -> None:
    options = MIXTURES["skills"].Options
    assert "target: 'poetry' is no domain" in options(target="poetry").problems(NAMES)[0]
    assert options(target="law").problems(NAMES) == []
    assert options().problems(NAMES) == []


@pytest.mark.parametrize("hidden", [0, 4])
def test_a_run_that_is_stopped_goes_on_alike(hidden: int) -> None:
    options = {"reward": "diff", "ema": 0.5, "hidden": hidden}
    mixture, other = (make("skills", [0.5, 0.3, 0.2], seed=seed, **options) for seed in (1, 2))
    after(mixture, difficulty=(0.8, 0.6, 0.4))
    other.load_state_dict(json.loads(json.dumps(mixture.state_dict(), allow_nan=False)))
    for difficulty in ((1.2, 1.4, 1.2), (0.6, 1.8, 1.6)):
        assert after(other, difficulty=difficulty) == after(mixture, difficulty=difficulty)
