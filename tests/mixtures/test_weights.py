from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.mixtures.bounds import Bounds
from versatune_plugin.mixtures.weights import normalised, weight_problems

positive = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=12)


@given(positive, st.floats(0, 0.999), st.floats(0, 1))
def test_projected_weights_sum_to_one_within_floor_and_cap(values: list[float], low: float, high: float) -> None:
    k = len(values)
    floor, cap = low / k, 1 / k + high * (1 - 1 / k)
    weights = Bounds(floor, cap).project(np.array(values))
    assert weights.sum() == pytest.approx(1, abs=1e-9)
    assert weights.min() >= floor - 1e-12
    assert weights.max() <= cap + 1e-12


@given(positive)
def test_projected_only_normalises_what_is_within_the_bounds(values: list[float]) -> None:
    expected = np.array(values) / np.sum(values)
    assert Bounds().project(np.array(values)).tolist() == expected.tolist()


@given(positive, st.floats(0, 0.999))
def test_projected_keeps_proportions_of_those_that_no_bound_holds(values: list[float], low: float) -> None:
    floor = low / len(values)
    weights = Bounds(floor).project(np.array(values))
    free = weights > floor * (1 + 1e-9)
    ratios = weights[free] / np.array(values)[free]
    assert ratios == pytest.approx(np.full(len(ratios), ratios.mean() if len(ratios) else 0), rel=1e-6)


def test_projected_by_hand() -> None:
    assert Bounds(floor=0.1).project(np.array([0.97, 0.02, 0.01])).tolist() == pytest.approx([0.8, 0.1, 0.1])
    assert Bounds(0.02, 0.5).project(np.array([0.9, 0.05, 0.05, 0.0])).tolist() == pytest.approx(
        [0.5, 0.24, 0.24, 0.02]
    )
    assert Bounds(0.0, 0.5).project(np.array([1.0, 0.0, 0.0])).tolist() == pytest.approx([0.5, 0.25, 0.25])


def test_a_weight_of_zero_stays_zero_without_a_floor() -> None:
    assert Bounds().project(np.array([3.0, 0.0, 1.0])).tolist() == [0.75, 0.0, 0.25]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"law": 1, "code": 1, "poetry": 1}, "unknown domain 'poetry'"),
        ({"law": 1}, "no entry for domain 'code'"),
        ({"law": -0.1, "code": 1}, "law is -0.1"),
        ({"law": math.nan, "code": 1}, "law is nan"),
        ({"law": math.inf, "code": 1}, "law is inf"),
        ({"law": "much", "code": 1}, "law is 'much'"),
        ({"law": True, "code": 1}, "law is true"),
        ({"law": 0, "code": 0}, "every entry is zero"),
    ],
)
def test_every_bad_entry_is_named(values: dict[str, float], told: str) -> None:
    assert any(told in problem for problem in weight_problems(values, ("code", "law"), "here"))
    with pytest.raises(VersaTuneError, match="these weights cannot be used"):
        normalised(values, ("code", "law"), "here")


def test_counts_are_as_good_as_shares() -> None:
    assert normalised({"law": 30, "code": 10}, ("code", "law"), "here").tolist() == [0.25, 0.75]
