"""The plan where weights are shares of rows: which rows make the global batch of an optimizer step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.data.permutation import stream
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.sampling.apportion import apportion
from versatune_plugin.sampling.batch_plan import BatchPlan, PlannedStep, Pool

# Rows of all domains planned at a time, while the weights stay the same.
AHEAD = 4096


class RowPlan(BatchPlan):
    """Plans global batches of rows, where weights are shares of rows.

    Over any number of steps under constant weights each domain is within one row of its share, unless each batch comes
    from a single domain.
    """

    # Planned under the weights in force and not handed out yet: several batches at once take half the time.
    _planned_ahead: deque[tuple[PlannedStep, Vector]]
    # Which weights these are, the step from which they rule, and for how many steps those before them did.
    _key: tuple[int, int] | None
    _since: int
    _lasted: int

    def preview(self) -> PlannedStep:
        """The batch that `advance` gives if the weights are still the same then; the plan stays where it is."""
        weights = self.schedule.weights_at(self.step)
        if (key := self.schedule.key_at(self.step)) != self._key:
            self._key, self._lasted, self._since = key, self.step - self._since, self.step
            self._planned_ahead.clear()
        if not self._planned_ahead:
            # These weights will last as long as those before them, or twice as long as they have lasted.
            lasted = self.step - self._since
            steps = min(max(self._lasted - lasted, lasted, 1), max(1, AHEAD // self.batch_size))
            self._planned_ahead.extend(self._planned(weights, steps))
        return self._planned_ahead[0][0]

    @property
    def room_of_a_batch(self) -> float:
        """Rows."""
        return float(self.batch_size)

    def _note(self, planned: PlannedStep) -> None:
        self.credit = self._planned_ahead.popleft()[1]
        self.cursor = self.cursor + planned.counts

    def _enter(self, pool: Pool) -> None:
        super()._enter(pool)
        self._planned_ahead = deque()
        self._key, self._since, self._lasted = None, self.step, 0

    def _planned(self, weights: Vector, steps: int) -> Iterator[tuple[PlannedStep, Vector]]:
        """The next batches as long as these are the weights, each with the credit that it leaves."""
        counts, credits = np.empty((steps, len(weights)), dtype=np.int64), [self.credit]
        for ahead in range(steps):
            counts[ahead], credit = self._counts(weights, credits[-1], ahead)
            credits.append(credit)
        taken = zip(self._orders, self.cursor.tolist(), counts.sum(axis=0).tolist(), strict=True)
        by_domain = np.concatenate([order.take(start, count) for order, start, count in taken if count])
        step_of_row = np.repeat(np.tile(np.arange(steps, dtype=np.int16), len(weights)), counts.T.ravel())
        rows = by_domain[step_of_row.argsort(kind="stable")].reshape(steps, self.batch_size)
        domains = np.repeat(np.tile(np.arange(len(weights)), steps), counts.ravel()).reshape(steps, self.batch_size)
        starts = np.arange(self.batch_size + 1)
        for ahead in range(steps):
            # Micro-batches are slices of the batch, so its order must not be that of the domains.
            order = stream(self.seed, "batch", self._step_of_pool + ahead).permutation(self.batch_size)
            step = PlannedStep(self.step + ahead, counts[ahead], domains[ahead][order], rows[ahead][order], starts)
            yield step, credits[ahead + 1]

    def _counts(self, weights: Vector, credit: Vector, ahead: int) -> tuple[NDArray[np.int64], Vector]:
        if not self.pool.single:
            return apportion(credit, weights, self.batch_size)
        counts = np.zeros(len(weights), dtype=np.int64)
        counts[self._single_domain(weights, ahead)] = self.batch_size
        return counts, credit
