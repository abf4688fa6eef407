from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from versatune_plugin.data.permutation import Permutation
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.sampling.apportion import apportion
from versatune_plugin.sampling.batch_plan import PlannedStep, Pool
from versatune_plugin.sampling.order import BLOCK, Order
from versatune_plugin.sampling.row_plan import RowPlan

NAMES = ("code", "law", "medicine")


def plan(weights: list[float], sizes: list[int], batch: int = 8, seed: int = 3) -> RowPlan:
    names = [f"d{index}" for index in range(len(weights))]
    return RowPlan(names, sizes, WeightSchedule(0, np.array(weights)), batch, seed)


@st.composite
def shares(draw: st.DrawFn, least: int = 1) -> Vector:
    values = np.array(draw(st.lists(st.floats(0.001, 1), min_size=least, max_size=12)))
    return values / values.sum()


@settings(max_examples=200)
@given(shares(), st.integers(1, 40))
def test_under_constant_weights_no_domain_is_ever_a_row_off_its_share(weights: Vector, batch: int) -> None:
    credit, drawn = np.zeros(len(weights)), np.zeros(len(weights))
    for step in range(1, 120):
        counts, credit = apportion(credit, weights, batch)
        assert counts.min() >= 0
        assert counts.sum() == batch
        drawn += counts
        assert np.abs(drawn - step * batch * weights).max() < 1 + 1e-9


@settings(max_examples=200)
@given(st.data(), st.integers(1, 8), st.integers(1, 30))
def test_weights_that_change_at_every_step_cost_less_than_one_further_row(
    data: st.DataObject, k: int, batch: int
) -> None:
    credit = np.zeros(k)
    for _ in range(60):
        values = np.array(data.draw(st.lists(st.floats(0, 1), min_size=k, max_size=k))) + 1e-9
        counts, credit = apportion(credit, values / values.sum(), batch)
        assert counts.min() >= 0
        assert counts.sum() == batch
        assert credit.sum() == pytest.approx(0, abs=1e-9)
        assert np.abs(credit).max() < 2


def test_counts_by_hand() -> None:
    """Shares .5 .3 .2 of four rows: 2.0, 1.2 and 0.8 are owed, and all next rows fall due with the next batch."""
    credit, rows = np.zeros(3), []
    for _ in range(5):
        counts, credit = apportion(credit, np.array([0.5, 0.3, 0.2]), 4)
        rows.append(counts.tolist())
    assert rows == [[2, 1, 1], [2, 1, 1], [2, 2, 0], [2, 1, 1], [2, 1, 1]]
    assert np.sum(rows, axis=0).tolist() == [10, 6, 4]


def test_a_domain_without_weight_gets_no_row() -> None:
    drawn = Counter()
    planner = plan([0.5, 0.0, 0.5], [10, 10, 10])
    for _ in range(50):
        drawn.update(planner.advance().domains.tolist())
    assert drawn == {0: 200, 2: 200}


def test_each_pass_is_without_replacement_and_in_another_order() -> None:
    planner = plan([0.5, 0.5], [7, 100], batch=2)
    rows: list[int] = []
    while len(rows) < 21:
        step = planner.advance()
        rows += step.rows[step.domains == 0].tolist()
    passes = [rows[0:7], rows[7:14], rows[14:21]]
    assert all(sorted(one) == list(range(7)) for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_blocks_are_seamless() -> None:
    size = 2 * BLOCK + 108
    planner = plan([1.0], [size], batch=100)
    rows = np.concatenate([planner.advance().rows for _ in range(size // 100)])
    assert sorted(rows.tolist()) == list(range(size))


def test_a_batch_larger_than_a_domain_takes_it_several_times() -> None:
    step = plan([1.0], [3], batch=8).advance()
    assert sorted(Counter(step.rows.tolist()).values()) == [2, 3, 3]


def same(left: PlannedStep, right: PlannedStep) -> bool:
    return left.domains.tolist() == right.domains.tolist() and left.rows.tolist() == right.rows.tolist()


@settings(max_examples=30, deadline=None)
@given(shares(2), st.integers(1, 20), st.integers(0, 30))
def test_a_plan_goes_on_from_its_state_as_if_it_had_never_stopped(weights: Vector, batch: int, stop: int) -> None:
    sizes = [5 + 3 * index for index in range(len(weights))]
    whole, first = plan(list(weights), sizes, batch), plan(list(weights), sizes, batch)
    for _ in range(stop):
        whole.advance()
        first.advance()
    second = plan(list(weights), sizes, batch)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert all(same(whole.advance(), second.advance()) for _ in range(20))


def test_new_weights_act_on_the_next_batch() -> None:
    planner = plan([1.0, 0.0], [100, 100])
    assert planner.advance().counts.tolist() == [8, 0]
    planner.schedule.append(1, np.array([0.0, 1.0]))
    assert planner.advance().counts.tolist() == [0, 8]


def test_looking_ahead_changes_nothing() -> None:
    one, two = plan([0.3, 0.7], [9, 9]), plan([0.3, 0.7], [9, 9])
    for step in range(10):
        before = one.state_dict()
        seen = one.preview()
        assert one.state_dict() == before
        if step % 3 == 0:
            # What was seen is no promise: the weights may still change, and so may the place of the plan.
            for planner in (one, two):
                planner.schedule.append(step, np.array([0.1 * (step % 10), 1 - 0.1 * (step % 10)]))
        elif step % 3 == 1:
            one.load_state_dict(before)
        else:
            assert same(seen, two.preview())
        assert same(one.advance(), two.advance())


@settings(max_examples=20, deadline=None)
@given(
    changes=st.dictionaries(st.integers(1, 60), st.tuples(st.integers(0, 9), shares(3)), max_size=5),
    seeks=st.sets(st.integers(1, 60), max_size=3),
    second_pool=st.integers(1, 60),
    single=st.booleans(),
)
def test_batches_planned_ahead_are_those_planned_one_by_one(
    changes: dict[int, tuple[int, Vector]], seeks: set[int], second_pool: int, single: bool
) -> None:
    """Weights that change, at once or announced, another pool, a seek: whatever was planned ahead, none of it shows."""

    def planner() -> RowPlan:
        pools = [Pool(0, np.array([4, 20, 9])), Pool(second_pool, np.array([40, 50, 60]), single)]
        return RowPlan(NAMES, [40, 50, 60], schedule, 5, 1, pools)

    schedule = WeightSchedule(0, np.array([0.2, 0.3, 0.5]))
    ahead, state = planner(), planner().state_dict()
    for step in range(60):
        if step in changes and schedule.latest[0] <= step + changes[step][0]:
            values = changes[step][1][:3]
            schedule.append(step + changes[step][0], values / values.sum())
        if step in seeks:
            ahead.load_state_dict(ahead.state_dict())
        alone = planner()
        alone.load_state_dict(state)
        assert same(ahead.advance(), alone.advance())
        state = alone.state_dict()
        assert ahead.state_dict() == state


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 90), st.integers(0, 25)), min_size=1, max_size=8))
def test_any_stretch_of_an_order_can_be_taken(size: int, stretches: list[tuple[int, int]]) -> None:
    """On, on again, back, far ahead, across passes: always what one look at each position gives."""
    order = Order("law", size, size + 3, 7)
    choice = Permutation(size + 3, 7, "pool", "law")
    whole = np.concatenate(
        [Permutation(size, 7, "pass", "law", n).rows(np.arange(size)) for n in range(115 // size + 1)]
    )
    for start, count in stretches:
        assert order.take(start, count).tolist() == choice.rows(whole[start : start + count]).tolist()


tiny_domains = st.lists(st.tuples(st.integers(1, 6), st.floats(0.01, 1)), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(tiny_domains, st.integers(1, 40), st.integers(1, 25))
def test_tiny_domains_are_repeated_pass_by_pass(domains: list[tuple[int, float]], batch: int, steps: int) -> None:
    """However often a domain is repeated, at any time none of its rows came twice more often than another."""
    sizes, values = [size for size, _ in domains], np.array([weight for _, weight in domains])
    planner = plan(list(values / values.sum()), sizes, batch)
    seen = [np.zeros(size, dtype=np.int64) for size in sizes]
    for _ in range(steps):
        step = planner.advance()
        for domain, row in zip(step.domains, step.rows, strict=True):
            seen[domain][row] += 1
        for times, size, passes in zip(seen, sizes, planner.passes, strict=True):
            assert times.min() == int(passes + 1e-9)
            assert times.max() - times.min() <= 1
            assert times.sum() == round(passes * size)


def test_one_row_under_nearly_all_the_weight() -> None:
    planner = plan([0.99, 0.01], [1, 1000], batch=128)
    rows = [planner.advance() for _ in range(25)]
    assert sum(step.counts for step in rows).tolist() == [3168, 32]
    assert planner.passes.tolist() == [3168, 0.032]
    assert {int(row) for step in rows for row in step.rows[step.domains == 0]} == {0}
    assert len({int(row) for step in rows for row in step.rows[step.domains == 1]}) == 32


def test_several_passes_in_one_batch() -> None:
    planner = plan([0.5, 0.5], [3, 1000], batch=128)
    step = planner.advance()
    assert sorted(Counter(step.rows[step.domains == 0].tolist()).values()) == [21, 21, 22]
    assert planner.passes[0] == pytest.approx(64 / 3)


def test_a_domain_is_over_when_the_next_batch_needs_one_row_more() -> None:
    """Four rows a batch come from a domain of eight: two batches are a pass, and exactly one pass is allowed."""
    planner = plan([0.5, 0.5], [8, 100])
    assert planner.exhausted(1).tolist() == [False, False]
    planner.advance()
    assert planner.exhausted(1).tolist() == [False, False]
    assert planner.exhausted(0.99).tolist() == [True, False]
    planner.advance()
    assert planner.exhausted(1).tolist() == [True, False]
    assert planner.passes.tolist() == [1, 0.08]


@settings(max_examples=40, deadline=None)
@given(tiny_domains, st.integers(1, 40), st.floats(0.1, 6))
def test_stopping_when_a_domain_is_over_keeps_every_domain_within_its_passes(
    domains: list[tuple[int, float]], batch: int, passes: float
) -> None:
    sizes, values = np.array([size for size, _ in domains]), np.array([weight for _, weight in domains])
    planner = plan(list(values / values.sum()), sizes.tolist(), batch)
    while not (over := planner.exhausted(passes)).any():
        planner.advance()
    assert (planner.drawn <= passes * sizes).all()
    planner.advance()
    assert ((planner.drawn > passes * sizes) == over).all()


def test_a_new_pool_counts_its_own_passes() -> None:
    pools = [Pool(0, np.array([2, 4])), Pool(2, np.array([3, 0]))]
    planner = RowPlan(("a", "b"), [4, 4], WeightSchedule(0, np.array([0.5, 0.5])), 2, 1, pools)
    planner.advance()
    planner.advance()
    # Two rows of two were a pass of the first pool; the second begins anew, and has no row of b at all.
    planner.schedule.append(2, np.array([1.0, 0.0]))
    assert planner.exhausted(1).tolist() == [False, False]
    assert planner.passes.tolist() == [0.5, 0.5]
    planner.advance()
    assert planner.exhausted(1).tolist() == [True, False]
    assert planner.passes.tolist() == [1.0, 0.5]


def test_the_order_of_a_domain_depends_on_no_other_domain() -> None:
    alone = RowPlan(("law",), [50], WeightSchedule(0, np.array([1.0])), 5, 9)
    together = RowPlan(NAMES, [70, 50, 30], WeightSchedule(0, np.array([0.2, 0.3, 0.5])), 5, 9)
    rows: dict[str, list[int]] = {"alone": [], "together": []}
    while min(map(len, rows.values())) < 50:
        rows["alone"] += (step := alone.advance()).rows[step.domains == 0].tolist()
        rows["together"] += (step := together.advance()).rows[step.domains == 1].tolist()
    # Batches are shuffled inside, so compare the sets of growing prefixes at the ends of passes.
    assert sorted(rows["alone"][:50]) == sorted(rows["together"][:50])


def test_the_first_batches_are_a_promise() -> None:
    """A checkpoint of an older version goes on with the same rows: these figures may only change with its schema."""
    planner = RowPlan(NAMES, [10, 20, 30], WeightSchedule(0, np.array([0.2, 0.3, 0.5])), 6, 42)
    steps = [planner.advance() for _ in range(3)]
    assert [list(zip(s.domains.tolist(), s.rows.tolist(), strict=True)) for s in steps] == PROMISED


PROMISED: list[list[tuple[int, int]]] = [
    [(2, 12), (1, 18), (2, 3), (1, 16), (2, 17), (0, 7)],
    [(2, 4), (0, 9), (2, 14), (2, 19), (1, 17), (1, 10)],
    [(1, 4), (0, 8), (2, 10), (2, 1), (0, 2), (2, 21)],
]
