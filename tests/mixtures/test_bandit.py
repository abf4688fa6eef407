from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.helpers.making import batches, bounded, make
from versatune_plugin.mixtures.base import Mixture, Requirements
from versatune_plugin.mixtures.observations import BatchObservation
from versatune_plugin.mixtures.registry import MIXTURES

# sqrt(ln 2 / (2 t)) for t = 2, 3, 4; for t = 1 it is 0.589, and 1 / k = 1/2 is less.
E2, E3, E4 = 0.4162773, 0.3398890, 0.2943525


def after(mixture: Mixture[BatchObservation], *losses: tuple[int, float, float]) -> list[float]:
    k = len(mixture.context.domains)
    return bounded(mixture, mixture.update(batches(np.full(k, 1 / k), *losses))).tolist()


def two(first: float, exploration: float) -> list[float]:
    """Of two domains, the softmax's share of the first, explored."""
    share = (1 - 2 * exploration) * first + exploration
    return [share, 1 - share]


def test_odm_by_hand() -> None:
    """alpha = 1/2. Rewards (2, 0), then (2, 3), then (4, 3)."""
    mixture = make("odm", [0.9, 0.1], domains=("code", "law"), alpha=0.5)
    assert bounded(mixture, mixture.initial_weights()).tolist() == [0.5, 0.5]
    assert after(mixture, (0, 0.5, 2.0)) == pytest.approx(two(1 / (1 + math.exp(-0.5 * 2)), E2), abs=1e-7)
    assert after(mixture, (1, 0.25, 1.5)) == pytest.approx(two(1 / (1 + math.exp(E2)), E3), abs=1e-7)
    assert after(mixture, (0, 0.5, 3.0)) == pytest.approx(two(1 / (1 + math.exp(-E3)), E4), abs=1e-7)


def test_batches_since_the_last_update_count_one_by_one() -> None:
    """The same three at once: rewards (4, 3), and the exploration rates of batches 3 and 4."""
    mixture = make("odm", [0.9, 0.1], domains=("code", "law"), alpha=0.5)
    weights = after(mixture, (0, 0.5, 2.0), (1, 0.25, 1.5), (0, 0.5, 3.0))
    assert weights == pytest.approx(two(1 / (1 + math.exp(-E3)), E4), abs=1e-7)


def test_the_share_of_the_old_reward_is_alpha() -> None:
    mixture = make("odm", [0.5, 0.5], domains=("code", "law"))
    after(mixture, (0, 0.5, 1.0), (0, 0.5, 2.0))
    assert mixture.state_dict() == {"rewards": {"code": pytest.approx(0.9 * 0.2 + 0.1 * 4), "law": 0.0}, "batches": 2}


def test_an_update_without_batches_stays_uniform() -> None:
    assert after(make("odm", [0.5, 0.3, 0.2])) == pytest.approx([1 / 3] * 3)


def test_every_domain_keeps_the_exploration_rate() -> None:
    """And the rate falls as 1 / sqrt(t): after 400 batches of one domain only, sqrt(ln 3 / (3 x 401))."""
    mixture = make("odm", [0.5, 0.3, 0.2])
    for _ in range(400):
        weights = after(mixture, (1, 0.01, 9.0))
    assert min(weights) == pytest.approx(math.sqrt(math.log(3) / (3 * 401)), rel=1e-6)
    assert weights.index(max(weights)) == 1


def test_large_rewards_do_not_overflow_though_plain_exponentials_do() -> None:
    mixture = make("odm", [0.5, 0.3, 0.2])
    rewards, weights, overflowed = np.zeros(3), [1 / 3] * 3, False
    for turn in range(1, 5001):
        domain, loss = turn % 3, 2e4 * (1 + turn % 3)
        reward = loss / weights[domain]
        rewards[domain] = 0.9 * rewards[domain] + 0.1 * reward
        exploration = [min(1 / 3, math.sqrt(math.log(3) / (3 * t))) for t in (turn, turn + 1)]
        with np.errstate(over="ignore", invalid="ignore"):
            powers = np.exp(exploration[0] * rewards)
            naive = (1 - 3 * exploration[1]) * powers / powers.sum() + exploration[1]
        weights = after(mixture, (domain, weights[domain], loss))
        assert np.isfinite(weights).all()
        assert sum(weights) == pytest.approx(1, abs=1e-12)
        overflowed = overflowed or not np.isfinite(naive).all()
    assert overflowed
    assert not np.isfinite(naive).all()


def test_small_rewards_give_what_plain_exponentials_give() -> None:
    mixture = make("odm", [0.5, 0.3, 0.2])
    rewards, weights = np.zeros(3), [1 / 3] * 3
    for turn in range(1, 301):
        domain, loss = (turn * turn) % 3, 1.0 + turn % 5
        rewards[domain] = 0.9 * rewards[domain] + 0.1 * loss / weights[domain]
        exploration = [min(1 / 3, math.sqrt(math.log(3) / (3 * t))) for t in (turn, turn + 1)]
        powers = np.exp(exploration[0] * rewards)
        naive = (1 - 3 * exploration[1]) * powers / powers.sum() + exploration[1]
        weights = after(mixture, (domain, weights[domain], loss))
        assert weights == pytest.approx(naive.tolist(), abs=1e-12)


def test_a_single_domain_stays_there() -> None:
    mixture = make("odm", [1.0], domains=("law",))
    assert bounded(mixture, mixture.initial_weights()).tolist() == [1.0]
    assert [after(mixture, (0, 1.0, loss)) for loss in (2.0, 1.0, 9.0)] == [[1.0]] * 3


def test_it_asks_for_training_losses_of_batches_from_one_domain_at_every_step() -> None:
    odm = MIXTURES["odm"]
    asked = odm.requirements(odm.Options())
    assert asked == Requirements(observes=BatchObservation, single_domain_batches=True, update_steps=1)
    assert (asked.updates, asked.measures) == (True, False)


def test_a_run_that_is_stopped_goes_on_alike() -> None:
    mixture, other = (make("odm", [0.5, 0.5], domains=("code", "law")) for _ in range(2))
    after(mixture, (0, 0.5, 2.0), (1, 0.25, 1.5), (0, 0.5, 3.0))
    other.load_state_dict(json.loads(json.dumps(mixture.state_dict(), allow_nan=False)))
    for batch in ((1, 0.4, 2.0), (0, 0.6, 1.0)):
        assert after(other, batch) == after(mixture, batch)
