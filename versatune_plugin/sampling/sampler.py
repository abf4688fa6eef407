"""The plan as a torch batch sampler: this process's micro-batches of each global batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from versatune_plugin.data.domains import DomainTable
from versatune_plugin.sampling.batch_plan import BatchPlan, PlannedStep

# Bins of rows of the data set; without packing each is of one row.
MicroBatch = list[tuple[int, ...]]


class GlobalBatchSampler(Sampler[MicroBatch]):
    """Yields micro-batches of rows of the data set, planning one global batch when its first micro-batch is asked for.

    Every process plans the whole global batch and takes its slices, so nothing is sent between processes and the batch
    does not depend on how it is split. Laziness is what makes new weights act on the very next optimizer step.

    Args:
        plan: what to draw.
        table: from a domain's training row to a row of the data set.
        steps_per_epoch: optimizer steps of one iteration.
        micro_batch_size: rows (bins, under packing) of a micro-batch of one process.
        accumulation: micro-batches of one process in an optimizer step.
        processes: how many share a global batch.
        process: which of them this is.

    Attributes:
        tokens: shape (k,), supervised tokens drawn from each domain so far.
        counts: shape (k,), rows of each domain in the global batch drawn last.
        fill: the share of the global batch drawn last that holds something; 0 before the first.
    """

    def __init__(
        self,
        plan: BatchPlan,
        table: DomainTable,
        *,
        steps_per_epoch: int,
        micro_batch_size: int,
        accumulation: int,
        processes: int = 1,
        process: int = 0,
    ) -> None:
        if micro_batch_size * accumulation * processes != plan.batch_size:
            raise ValueError(
                f"{micro_batch_size} x {accumulation} x {processes} are no global batch of {plan.batch_size}"
            )
        self.plan = plan
        self.table = table
        self.steps_per_epoch = steps_per_epoch
        self.micro_batch_size = micro_batch_size
        self.accumulation = accumulation
        self.processes = processes
        self.process = process
        self.tokens = np.zeros(len(table.domains), dtype=np.int64)
        self.counts = np.zeros(len(table.domains), dtype=np.int64)
        self.fill = 0.0
        self._rest: deque[MicroBatch] = deque()

    def __len__(self) -> int:
        return self.steps_per_epoch * self.accumulation

    def __iter__(self) -> Iterator[MicroBatch]:
        done = self.plan.step % self.steps_per_epoch
        for _ in range(done * self.accumulation):
            # A resumed run skips these without looking at them; the plan already stands behind them.
            yield []
        for _ in range(self.steps_per_epoch - done):
            planned = self.plan.advance()
            rows = self._dataset_rows(planned)
            tokens = np.bincount(planned.domains, weights=self.table.supervised[rows], minlength=len(self.tokens))
            self.tokens += tokens.astype(np.int64)
            self.counts = planned.counts
            self.fill = planned.fill
            self._rest = deque(self._micro_batches(planned, rows))
            while self._rest:
                yield self._rest.popleft()

    def upcoming(self) -> list[MicroBatch]:
        """This process's next micro-batches: what is left of the global batch, else the next one under today's weights.

        An update of the weights may yet change the latter, so it is what to expect and not what will be. Nothing is
        expected of a new pool, whose weights are not there yet.
        """
        if not self._rest and self.plan.step == self.plan.pool.first_step:
            return []
        if self._rest:
            return list(self._rest)
        planned = self.plan.preview()
        return self._micro_batches(planned, self._dataset_rows(planned))

    def _dataset_rows(self, planned: PlannedStep) -> NDArray[np.int64]:
        rows = np.empty(len(planned.rows), dtype=np.int64)
        for index in np.flatnonzero(planned.counts):
            mine = planned.domains == index
            rows[mine] = self.table.domains[index].dataset_rows(planned.rows[mine])
        return rows

    def _micro_batches(self, planned: PlannedStep, rows: NDArray[np.int64]) -> list[MicroBatch]:
        size, stride = self.micro_batch_size, self.micro_batch_size * self.processes
        firsts = range(self.process * size, self.plan.batch_size, stride)
        starts, flat = planned.starts.tolist(), rows.tolist()
        return [[tuple(flat[starts[b] : starts[b + 1]]) for b in range(at, at + size)] for at in firsts]

    def state_dict(self) -> dict[str, Any]:
        """The plan's state, the supervised tokens drawn from each domain, and the fill of the last batch."""
        return {
            "plan": self.plan.state_dict(),
            "tokens": dict(zip(self.table.names, self.tokens.tolist(), strict=True)),
            "fill": self.fill,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.plan.load_state_dict(state["plan"])
        self.tokens = np.array([state["tokens"][name] for name in self.table.names], dtype=np.int64)
        self.fill = float(state["fill"])
