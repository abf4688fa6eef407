"""The plan at sizes that no run here could have: what it holds, what it computes, and that it stays exact."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from versatune_plugin.data.domains import Domain, DomainTable
from versatune_plugin.data.permutation import Permutation
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.sampling.order import BLOCK
from versatune_plugin.sampling.row_plan import RowPlan
from versatune_plugin.sampling.sampler import GlobalBatchSampler

BILLION, MILLION = 10**9, 10**6


def weights(domains: int) -> Vector:
    shares = 1.0 + np.arange(domains) % 9
    return np.asarray(shares / shares.sum())


def plan(domains: int, rows: int = BILLION, batch: int = 128) -> RowPlan:
    names = [f"domain-{number}" for number in range(domains)]
    return RowPlan(names, [rows // domains] * domains, WeightSchedule(0, weights(domains)), batch, 1)


def at_a_million_steps(planner: RowPlan) -> None:
    """As if a million steps lay behind: no domain has a row more than it is owed."""
    owed = MILLION * planner.batch_size * planner.schedule.weights_at(0)
    drawn = np.floor(owed).astype(np.int64)
    # What is still owed sums to whole rows; the first domains have had them.
    drawn[: planner.batch_size * MILLION - int(drawn.sum())] += 1
    counted = dict(zip(planner.domains, drawn.tolist(), strict=True))
    credit = dict(zip(planner.domains, (owed - drawn).tolist(), strict=True))
    planner.load_state_dict({"step": MILLION, "credit": credit, "cursor": counted, "drawn": counted})


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many positions each look into a permutation was for."""
    sizes: list[int] = []
    rows = Permutation.rows

    def counted(self: Permutation, positions: np.ndarray) -> np.ndarray:
        sizes.append(len(positions))
        return rows(self, positions)

    monkeypatch.setattr(Permutation, "rows", counted)
    return sizes


@pytest.mark.parametrize("domains", [1, 10, 1000])
def test_the_state_grows_with_the_domains_alone(domains: int) -> None:
    planner = plan(domains)
    planner.advance()
    early = planner.state_dict()
    at_a_million_steps(planner)
    planner.advance()
    for state in (early, planner.state_dict()):
        assert {key: len(value) for key, value in state.items() if key != "step"} == dict.fromkeys(
            ("credit", "cursor", "drawn"), domains
        )
        assert len(json.dumps(state)) < 100 + 110 * domains


@pytest.mark.parametrize(("domains", "batch", "mebibytes"), [(6, 128, 2), (1000, 8000, 64)])
def test_memory_does_not_grow_with_rows_or_steps(domains: int, batch: int, mebibytes: int) -> None:
    plan(domains, 10**5, batch).advance()
    tracemalloc.start()
    try:
        planner = plan(domains, BILLION, batch)
        for _ in range(6):
            planner.advance()
        at_a_million_steps(planner)
        for _ in range(6):
            planner.advance()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < mebibytes * 2**20


@pytest.mark.parametrize("rows", [10**5, BILLION])
def test_what_is_computed_does_not_grow_with_the_rows(computed: list[int], rows: int) -> None:
    planner = plan(6, rows)
    for _ in range(300):
        planner.advance()
    assert sum(computed) <= 300 * 128 + 6 * BLOCK + 32 * 128


def test_a_seek_replays_nothing(computed: list[int]) -> None:
    planner = plan(1000)
    at_a_million_steps(planner)
    assert computed == []
    planner.advance()
    assert sum(computed) <= 128 * BLOCK


def test_the_batch_after_a_seek_is_the_one_that_the_orders_give() -> None:
    """A domain of 166 million rows is in its first pass after a million steps of 128; one of a thousand in many."""
    for planner in (plan(6), plan(6, 6000)):
        at_a_million_steps(planner)
        cursor = planner.cursor.copy()
        step = planner.advance()
        assert step.step == MILLION
        for index, name in enumerate(planner.domains):
            size = int(planner.sizes[index])
            places = [divmod(int(cursor[index]) + one, size) for one in range(step.counts[index])]
            expected = [Permutation(size, 1, "pass", name, number).rows(np.array([at]))[0] for number, at in places]
            assert sorted(step.rows[step.domains == index].tolist()) == sorted(expected)


def test_a_thousand_domains_stay_within_a_row_of_their_shares() -> None:
    planner = plan(1000, batch=8000)
    shares = planner.schedule.weights_at(0)
    for number in range(1, 101):
        planner.advance()
        assert np.abs(planner.drawn - number * 8000 * shares).max() < 1 + 1e-9
    at_a_million_steps(planner)
    for number in range(1, 101):
        planner.advance()
        # In double precision a share of 8 billion rows is known to a millionth of a row.
        assert np.abs(planner.drawn - (MILLION + number) * 8000 * shares).max() < 1 + 1e-5


def test_a_thousand_ranks_share_the_batch_of_any_other_number() -> None:
    """Rank by rank the same plan; together the rows of the batch, each once."""
    size = 2000
    domains = tuple(Domain(f"domain-{number}", number * size, size, "digest") for number in range(6))
    ones = np.ones(6 * size, dtype=np.uint32)
    table = DomainTable(
        domains, Dataset.from_dict({"number": list(range(6 * size))}), ones, ones, np.arange(len(ones), dtype=np.uint64)
    )

    def second_step(rank: int, ranks: int, accumulation: int, micro: int) -> list[Any]:
        """The rank's micro-batches."""
        planner = RowPlan(table.names, [size] * 6, WeightSchedule(0, weights(6)), 1000, 1)
        split = {"micro_batch_size": micro, "accumulation": accumulation, "processes": ranks, "process": rank}
        batches = iter(GlobalBatchSampler(planner, table, steps_per_epoch=2, **split))
        return [next(batches) for _ in range(2 * accumulation)][accumulation:]

    (whole,) = second_step(0, 1, 1, 1000)
    assert len(set(whole)) == 1000
    for rank in (0, 1, 499, 999):
        assert second_step(rank, 1000, 1, 1) == [[whole[rank]]]
    four = [second_step(rank, 4, 5, 50) for rank in range(4)]
    assert [row for turn in range(5) for rank in four for row in rank[turn]] == whole
