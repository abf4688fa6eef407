"""Collating ahead: the same batches as without it, whatever the weights do."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.data.domains import Domain, DomainTable
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.sampling.packed_rows import SeparateRows
from versatune_plugin.sampling.prefetch import CollatedAhead
from versatune_plugin.sampling.row_plan import RowPlan
from versatune_plugin.sampling.sampler import GlobalBatchSampler

SIZES = (7, 11, 5)


def table() -> DomainTable:
    names, first, domains = ("code", "law", "medicine"), 0, []
    for name, size in zip(names, SIZES, strict=True):
        domains.append(Domain(name, first, size, "digest"))
        first += size
    dataset = Dataset.from_dict({"number": list(range(first))})
    ones = np.ones(first, dtype=np.uint32)
    return DomainTable(tuple(domains), dataset, ones, ones, np.arange(len(ones), dtype=np.uint64))


def sampler(steps: int, accumulation: int, processes: int = 1, process: int = 0) -> GlobalBatchSampler:
    batch = 2 * accumulation * processes
    plan = RowPlan(("code", "law", "medicine"), SIZES, WeightSchedule(0, np.array([0.5, 0.3, 0.2])), batch, 3)
    return GlobalBatchSampler(
        plan,
        table(),
        steps_per_epoch=steps,
        micro_batch_size=2,
        accumulation=accumulation,
        processes=processes,
        process=process,
    )


def collate(rows: list[dict[str, Any]]) -> list[int]:
    return [row["number"] for row in rows]


@given(
    accumulation=st.integers(1, 3),
    changes=st.dictionaries(st.integers(1, 11), st.lists(st.floats(0.1, 1), min_size=3, max_size=3), max_size=5),
)
def test_the_batches_are_those_that_were_asked_for(accumulation: int, changes: dict[int, list[float]]) -> None:
    plain, ahead = sampler(12, accumulation), sampler(12, accumulation)
    rows = CollatedAhead(SeparateRows(ahead.table.dataset), collate, ahead.upcoming)
    asked = iter(plain)
    for number, batch in enumerate(ahead):
        assert batch == next(asked)
        assert rows.__getitems__(batch) == [row for (row,) in batch]
        step, rest = divmod(number + 1, accumulation)
        if rest == 0:
            assert ahead.state_dict() == plain.state_dict()
            if step in changes:
                weights = np.array(changes[step]) / sum(changes[step])
                for one in (plain, ahead):
                    one.plan.schedule.append(step, weights)
    assert next(asked, None) is None


@pytest.mark.parametrize(("processes", "process"), [(1, 0), (2, 0), (2, 1)])
def test_what_is_expected_comes_unless_the_weights_change(processes: int, process: int) -> None:
    one = sampler(6, 2, processes, process)
    batches = iter(one)
    next(batches)
    next(batches)
    for _ in range(5):
        expected = one.upcoming()
        assert [next(batches), next(batches)] == expected
    expected = one.upcoming()
    one.plan.schedule.append(6, np.array([0.0, 0.0, 1.0]))
    assert one.upcoming() != expected


def test_batches_are_collated_in_the_background() -> None:
    threads = []

    def watched(rows: list[dict[str, Any]]) -> list[int]:
        threads.append(threading.current_thread().name)
        return collate(rows)

    one = sampler(4, 2)
    rows = CollatedAhead(SeparateRows(one.table.dataset), watched, one.upcoming)
    for batch in one:
        rows.__getitems__(batch)
    assert sum(name == "MainThread" for name in threads) == 1
    assert sum(name.startswith("versatune-collate") for name in threads) >= 7


def test_an_error_of_the_collator_reaches_the_trainer() -> None:
    def broken(rows: list[dict[str, Any]]) -> list[int]:
        if threading.current_thread() is not threading.main_thread():
            raise KeyError("labels")
        return collate(rows)

    one = sampler(2, 1)
    rows = CollatedAhead(SeparateRows(one.table.dataset), broken, one.upcoming)
    batches = iter(one)
    rows.__getitems__(next(batches))
    with pytest.raises(KeyError, match="labels"):
        rows.__getitems__(next(batches))
