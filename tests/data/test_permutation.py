from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from versatune_plugin.data.permutation import Permutation, stream


@given(st.integers(1, 3000), st.integers(0, 2**63), st.text(max_size=5))
def test_every_row_comes_once(size: int, seed: int, label: str) -> None:
    rows = Permutation(size, seed, label).rows(np.arange(size))
    assert sorted(rows.tolist()) == list(range(size))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_every_order_of_few_rows_is_equally_likely(size: int) -> None:
    orders = Counter(tuple(Permutation(size, seed, "x").rows(np.arange(size)).tolist()) for seed in range(6000))
    counts = [orders[order] for order in itertools.permutations(range(size))]
    assert chisquare(counts).pvalue > 1e-3


def test_positions_and_rows_of_a_large_permutation_do_not_correlate() -> None:
    rows = Permutation(10**6, 1, "x").rows(np.arange(100_000))
    assert abs(np.corrcoef(np.arange(len(rows)), rows)[0, 1]) < 0.02
    assert abs(np.corrcoef(rows[:-1], rows[1:])[0, 1]) < 0.02
    assert chisquare(np.histogram(rows, bins=100, range=(0, 10**6))[0]).pvalue > 1e-3


def test_any_position_of_a_billion_rows_can_be_asked_for() -> None:
    permutation = Permutation(10**9, 5, "law", 0)
    positions = np.array([0, 123_456_789, 999_999_999])
    assert permutation.rows(positions).tolist() == [permutation.rows(positions[i : i + 1])[0] for i in range(3)]
    assert len(set(permutation.rows(np.arange(10_000)).tolist())) == 10_000


def test_this_order_is_a_promise() -> None:
    """A checkpoint of an older version goes on with the same rows: these figures may only change with its schema."""
    assert Permutation(10, 42, "pass", "law", 0).rows(np.arange(10)).tolist() == PROMISED
    assert Permutation(10, 42, "pass", "law", 1).rows(np.arange(10)).tolist() != PROMISED
    assert stream(42, "batch", 0).permutation(8).tolist() == PROMISED_BATCH


PROMISED = [7, 3, 4, 5, 1, 9, 8, 0, 2, 6]
PROMISED_BATCH = [2, 5, 1, 3, 6, 7, 4, 0]


def test_an_empty_domain_has_no_order() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        Permutation(0, 1)
