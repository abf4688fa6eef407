"""The plan where weights are shares of supervised tokens: it knows the tokens of every row, and every domain's debt.

Example: batches of two rows; law has weight 2/3 and rows of 2 tokens, code weight 1/3 and rows of 1. A row falls due
when half of it is owed: law's first at 1 / (2/3) = 1.5 tokens of the batch, its second at 3 / (2/3) = 4.5; code's first
at 0.5 / (1/3) = 1.5, its second at 1.5 / (1/3) = 4.5. So the first batch takes one row of each, 3 tokens. Of them law
was owed 2 and had 2, code was owed 1 and had 1: nothing is carried on, and the next batch is like it. Of six tokens law
has four.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.data.domains import RowTokens
from versatune_plugin.data.permutation import stream
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.sampling.batch_plan import BatchPlan, PlannedStep, Pool

# How much of a batch is looked at beyond it, as a factor of its expected size and in rows of each domain.
REACH, LEAST_ROWS = 2.0, 32


@dataclass(frozen=True)
class DueRows:
    """Rows of all domains in the order in which they fall due; every attribute has the shape (n,).

    Attributes:
        domains: index of the domain.
        positions: in the endless order of the domain's pool.
        rows: number among the training rows of the domain.
        lengths: all tokens.
        supervised: supervised tokens.
        due: how many supervised tokens the batch holds when the row falls due.
    """

    domains: NDArray[np.int64]
    positions: NDArray[np.int64]
    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    supervised: NDArray[np.int64]
    due: Vector

    def pick(self, which: Any) -> Self:
        """Those of an index array, in its order."""
        return type(self)(*(getattr(self, one.name)[which] for one in fields(self)))


class Container(ABC):
    """What the rows of a global batch go into.

    Attributes:
        size: rows, or bins of rows.
        capacity: what all of it holds, in the unit of `room`.
    """

    size: int
    capacity: int

    @abstractmethod
    def room(self, lengths: NDArray[np.integer]) -> NDArray[np.integer]:
        """What rows of so many tokens take of the capacity, shape (n,)."""

    @abstractmethod
    def pack(
        self, due: DueRows, first: int, latest_ahead: NDArray[np.int64], pool_rows: NDArray[np.int64]
    ) -> list[list[int]]:
        """Which of the rows go where: for each of ``size`` places, indices into ``due``.

        Args:
            due: more rows than fit, in the order in which they fall due.
            first: so many of them are due.
            latest_ahead: shape (k,), of each domain the last position that was taken before its turn; -1: none was.
            pool_rows: shape (k,), rows of each domain's pool.
        """


class Rows(Container):
    """A number of rows, each by itself.

    Args:
        size: rows of a global batch.
    """

    def __init__(self, size: int) -> None:
        self.size = self.capacity = size

    def room(self, lengths: NDArray[np.integer]) -> NDArray[np.integer]:
        """One each."""
        return np.ones_like(lengths)

    def pack(
        self, due: DueRows, first: int, latest_ahead: NDArray[np.int64], pool_rows: NDArray[np.int64]
    ) -> list[list[int]]:
        """Those that are due."""
        return [[row] for row in range(first)]


class TokenPlan(BatchPlan):
    """Plans global batches whose supervised tokens follow the weights.

    A domain of weight w is owed w of all supervised tokens, and its next row falls due when half of the row's tokens
    are owed. A batch takes the rows that fall due first; what a domain had too much or too little of is carried on, so
    its debt stays about a row at all times, however the lengths are spread.

    Args:
        domains: the k names.
        tokens: of the training rows of each domain.
        schedule: the weights by step.
        container: what the rows of a batch go into: `Rows`, or `Bins` under packing.
        seed: the user's seed.
        pools: as for `BatchPlan`.

    Attributes:
        ahead: of each domain, the positions beyond the cursor that were taken already.
    """

    def __init__(
        self,
        domains: Sequence[str],
        tokens: Sequence[RowTokens],
        schedule: WeightSchedule,
        container: Container,
        seed: int,
        pools: Sequence[Pool] | None = None,
    ) -> None:
        self.tokens = tuple(tokens)
        self.container = container
        self._mean_supervised = [float(one.supervised.mean()) for one in tokens]
        # How much of a batch a supervised token takes, on average, where it is one of this domain.
        self._room_of_a_token = [
            float(container.room(one.lengths).mean()) / mean
            for one, mean in zip(tokens, self._mean_supervised, strict=True)
        ]
        self.ahead: list[set[int]]
        self._previewed: tuple[tuple[int, int], Vector, PlannedStep, DueRows] | None
        super().__init__(domains, [len(one.lengths) for one in tokens], schedule, container.size, seed, pools)

    @property
    def drawn_of_pool(self) -> NDArray[np.int64]:
        """Rows of each domain since the pool began, shape (k,)."""
        return self.cursor + np.array([len(positions) for positions in self.ahead], dtype=np.int64)

    def preview(self) -> PlannedStep:
        """The batch that `advance` gives if the weights are still the same then; the plan stays where it is."""
        key = self.schedule.key_at(self.step)
        if self._previewed is None or self._previewed[0] != key:
            weights = self._weights()
            self._previewed = key, weights, *self._batch(*self._due(weights))
        return self._previewed[2]

    def state_dict(self) -> dict[str, Any]:
        """That of `BatchPlan`, and the positions taken beyond the cursor."""
        ahead = {name: sorted(positions) for name, positions in zip(self.domains, self.ahead, strict=True)}
        return super().state_dict() | {"ahead": ahead}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        ahead = state["ahead"] or {name: [] for name in self.domains}
        self.ahead = [set(ahead[name]) for name in self.domains]

    @property
    def room_of_a_batch(self) -> float:
        """Supervised tokens of the richest rows that a batch could hold."""
        most = max(float((one.supervised / self.container.room(one.lengths)).max()) for one in self.tokens)
        return most * self.container.capacity

    @property
    def counts_tokens(self) -> bool:
        """Tokens."""
        return True

    def _note(self, planned: PlannedStep) -> None:
        assert self._previewed is not None
        _, weights, _, taken = self._previewed
        self._previewed = None
        if not self.pool.single:
            tokens = np.bincount(taken.domains, weights=taken.supervised, minlength=len(self.domains))
            self.credit = self.credit + weights * tokens.sum() - tokens
        for index in np.flatnonzero(planned.counts).tolist():
            self._take(index, taken.positions[taken.domains == index].tolist())

    def _batch(self, due: DueRows, first: int) -> tuple[PlannedStep, DueRows]:
        """The batch, and its rows as they were due, of which the ``first`` ones are."""
        latest = np.array([max(positions, default=-1) for positions in self.ahead])
        content = self.container.pack(due, first, latest, self.pool.rows)
        # Micro-batches are slices of the batch, so its order must not be that of the domains.
        order = stream(self.seed, "batch", self._step_of_pool).permutation(len(content))
        shuffled = [content[place] for place in order.tolist()]
        taken = due.pick(np.array([row for rows in shuffled for row in rows], dtype=np.int64))
        counts = np.bincount(taken.domains, minlength=len(self.domains))
        starts = np.cumsum([0, *(len(rows) for rows in shuffled)])
        fill = float(self.container.room(taken.lengths).sum() / self.container.capacity)
        return PlannedStep(self.step, counts, taken.domains, taken.rows, starts, fill), taken

    def _weights(self) -> Vector:
        weights = self.schedule.weights_at(self.step)
        if not self.pool.single:
            return weights
        alone = np.zeros_like(weights)
        alone[self._single_domain(weights)] = 1.0
        return alone

    def _due(self, weights: Vector) -> tuple[DueRows, int]:
        """More rows than the batch holds, in the order in which they fall due, and how many of the first it holds."""
        inside = np.flatnonzero(weights)
        horizon = (
            REACH * self.container.capacity / sum(weights[index] * self._room_of_a_token[index] for index in inside)
        )
        while True:
            windows = [self._window(index, weights[index], horizon) for index in inside.tolist()]
            due = DueRows(
                *(np.concatenate([getattr(window, one.name) for window in windows]) for one in fields(DueRows))
            )
            due = due.pick(np.lexsort((due.positions, due.domains, due.due)))
            first = int(
                np.searchsorted(np.cumsum(self.container.room(due.lengths)), self.container.capacity, side="right")
            )
            # Every window must reach beyond the batch, or a row that is due might be missing from it.
            if first < len(due.due) and all(window.due[-1] >= due.due[first] for window in windows):
                return due, first
            horizon *= 2

    def _window(self, index: int, weight: float, horizon: float) -> DueRows:
        """The next rows of one domain, so many that they should fall due beyond ``horizon`` supervised tokens."""
        expected = (self.credit[index] + weight * horizon) / self._mean_supervised[index]
        count = int(max(expected, 0)) + LEAST_ROWS + len(self.ahead[index])
        start = int(self.cursor[index])
        positions = np.arange(start, start + count)
        rows = self._orders[index].take(start, count)
        if self.ahead[index]:
            free = ~np.isin(positions, list(self.ahead[index]))
            positions, rows = positions[free], rows[free]
        tokens = self.tokens[index]
        supervised = tokens.supervised[rows].astype(np.int64)
        before = np.cumsum(supervised) - supervised
        return DueRows(
            np.full(len(rows), index),
            positions,
            rows,
            tokens.lengths[rows].astype(np.int64),
            supervised,
            (before + supervised / 2 - self.credit[index]) / weight,
        )

    def _take(self, index: int, positions: list[int]) -> None:
        ahead = self.ahead[index]
        ahead.update(positions)
        while int(self.cursor[index]) in ahead:
            ahead.remove(int(self.cursor[index]))
            self.cursor[index] += 1

    def _enter(self, pool: Pool) -> None:
        super()._enter(pool)
        self.ahead = [set() for _ in self.domains]
        self._previewed = None
