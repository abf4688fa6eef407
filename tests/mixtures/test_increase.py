from __future__ import annotations

import pytest

from tests.mixtures.making import bounded, heldout, make
from versatune_plugin.mixtures.registry import POLICIES


def test_increase_by_hand() -> None:
    """1/3, 19/30, then 28/30 is cut to 1 - 2 x 0.05. Losses do not matter."""
    policy = make("increase", [0.5, 0.3, 0.2], floor=0.05, domain="law", delta=0.3)
    weights = bounded(policy, policy.initial_weights())
    assert weights.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    for loss, law in (([1.0, 9.0, 1.0], 19 / 30), ([9.0, 1.0, 1.0], 0.9), ([1.0, 1.0, 9.0], 0.9)):
        proposed = policy.update(heldout(weights, loss))
        assert proposed.tolist() == pytest.approx([(1 - law) / 2, law, (1 - law) / 2])
        weights = bounded(policy, proposed)
        assert weights.tolist() == pytest.approx(proposed.tolist())


def test_without_a_floor_the_domain_may_take_everything() -> None:
    policy = make("increase", [0.5, 0.5], domains=("code", "law"), domain="code", delta=0.4)
    weights = policy.initial_weights() / 2
    told = []
    for _ in range(3):
        weights = bounded(policy, policy.update(heldout(weights, [1.0, 1.0])))
        told.append(weights.tolist())
    assert told[0] == pytest.approx([0.9, 0.1])
    assert told[1:] == [[1.0, 0.0], [1.0, 0.0]]


def test_a_single_domain_has_nothing_to_take_from() -> None:
    policy = make("increase", [1.0], domains=("law",), domain="law")
    assert policy.update(heldout([1.0], [2.0])).tolist() == [1.0]


def test_the_domain_must_be_one_of_the_runs() -> None:
    assert "'poetry' is no domain" in POLICIES["increase"].Options(domain="poetry").complaints(("code", "law"))[0]
    assert POLICIES["increase"].Options(domain="law").complaints(("code", "law")) == []
