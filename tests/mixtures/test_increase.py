from __future__ import annotations

import pytest

from tests.helpers.making import bounded, heldout, make
from versatune_plugin.mixtures.registry import MIXTURES


def test_increase_by_hand() -> None:
    """1/3, 19/30, then 28/30 and 1 are cut to 1 - 2 x 0.05. Losses do not matter."""
    mixture = make("increase", [0.5, 0.3, 0.2], domain="law", delta=0.3)
    weights = bounded(mixture, mixture.initial_weights())
    assert weights.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    for loss, law, kept in (
        ([1.0, 9.0, 1.0], 19 / 30, 19 / 30),
        ([9.0, 1.0, 1.0], 28 / 30, 0.9),
        ([1.0, 1.0, 9.0], 1.0, 0.9),
    ):
        proposed = mixture.update(heldout(weights, loss))
        assert proposed.tolist() == pytest.approx([(1 - law) / 2, law, (1 - law) / 2])
        weights = bounded(mixture, proposed, floor=0.05)
        assert weights.tolist() == pytest.approx([(1 - kept) / 2, kept, (1 - kept) / 2])


def test_without_a_floor_the_domain_may_take_everything() -> None:
    mixture = make("increase", [0.5, 0.5], domains=("code", "law"), domain="code", delta=0.4)
    weights = mixture.initial_weights() / 2
    told = []
    for _ in range(3):
        weights = bounded(mixture, mixture.update(heldout(weights, [1.0, 1.0])))
        told.append(weights.tolist())
    assert told[0] == pytest.approx([0.9, 0.1])
    assert told[1:] == [[1.0, 0.0], [1.0, 0.0]]


def test_a_single_domain_has_nothing_to_take_from() -> None:
    mixture = make("increase", [1.0], domains=("law",), domain="law")
    assert mixture.update(heldout([1.0], [2.0])).tolist() == [1.0]


def test_the_domain_must_be_one_of_the_runs() -> None:
    assert "'poetry' is no domain" in MIXTURES["increase"].Options(domain="poetry").problems(("code", "law"))[0]
    assert MIXTURES["increase"].Options(domain="law").problems(("code", "law")) == []
