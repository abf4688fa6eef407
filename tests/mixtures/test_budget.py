from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.mixtures.budget import LEAST_ROWS, MOST_ROWS, measuring


def test_the_figures_of_the_design() -> None:
    """k n / (3 B S): 4 % for 6 x 64 rows at B = 128 and S = 25, 32 % at B = 16; the run's two ends come on top."""
    for batch_size, share in ((128, 0.04), (16, 0.32)):
        settled = measuring(
            domains=6,
            batch_size=batch_size,
            total_steps=100_000,
            budget=0.02,
            heldout=64,
            update_steps=25,
            measures=True,
        )
        assert settled.cost == pytest.approx(share, rel=0.01)
        assert settled.chosen == ()


@given(
    st.integers(1, 20),
    st.sampled_from([8, 16, 128, 512]),
    st.integers(200, 50_000),
    st.sampled_from([0.01, 0.02, 0.05]),
)
def test_defaults_stay_within_the_budget_where_the_run_is_long_enough(
    k: int, batch: int, steps: int, budget: float
) -> None:
    settled = measuring(
        domains=k, batch_size=batch, total_steps=steps, budget=budget, heldout=None, update_steps=None, measures=True
    )
    assert LEAST_ROWS <= settled.heldout <= MOST_ROWS
    assert settled.update_steps is not None
    assert settled.updates == (steps - 1) // settled.update_steps
    if 3 * batch * steps * budget / k >= 3 * LEAST_ROWS:
        assert settled.cost <= budget * 1.001
    else:
        assert settled.updates == 1


def test_the_papers_run_moves_about_twenty_times() -> None:
    """60000 samples an epoch, 4 epochs, batch 128."""
    settled = measuring(
        domains=6, batch_size=128, total_steps=4 * 469, budget=0.02, heldout=None, update_steps=None, measures=True
    )
    assert settled.chosen == ("heldout", "update_steps")
    assert 18 <= settled.updates <= 22
    assert 0.015 < settled.cost <= 0.02


def test_a_mixture_that_does_not_move_is_measured_at_both_ends() -> None:
    settled = measuring(
        domains=6, batch_size=16, total_steps=1000, budget=0.02, heldout=None, update_steps=None, measures=False
    )
    assert (settled.update_steps, settled.updates) == (None, 0)
    assert settled.cost == pytest.approx(2 * 6 * settled.heldout / (3 * 16 * 1000))
    assert settled.cost <= 0.02


def test_no_heldout_rows_cost_nothing() -> None:
    settled = measuring(
        domains=3, batch_size=4, total_steps=10, budget=0.02, heldout=0, update_steps=None, measures=False
    )
    assert settled.cost == 0
