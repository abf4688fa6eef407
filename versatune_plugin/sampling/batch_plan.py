"""What every plan of global batches is: a function of the seed, the schedule of weights and a few numbers a domain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.data.permutation import stream
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.sampling.order import Order


@dataclass(frozen=True)
class Pool:
    """What batches are drawn from, from one optimizer step on.

    Attributes:
        first_step: of its first batch.
        rows: shape (k,), how many of each domain's training rows may be drawn; 0: none. They are the first of one fixed
            order, so a smaller pool lies within a larger one.
        single: each batch comes from one domain, chosen at random by the weights.
    """

    first_step: int
    rows: NDArray[np.int64]
    single: bool = False


@dataclass(frozen=True)
class PlannedStep:
    """The global batch of one optimizer step.

    Attributes:
        step: 0 is the first of the run.
        counts: shape (k,), rows of each domain; sums to n.
        domains: shape (n,), the domain of each row, as an index.
        rows: shape (n,), each a number among the training rows of its domain.
        starts: shape (B + 1,), where each bin begins in ``domains`` and ``rows``, and where the last one ends; without
            packing a row is a bin.
        fill: the share of the batch that holds something.
    """

    step: int
    counts: NDArray[np.int64]
    domains: NDArray[np.int64]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    fill: float = 1.0


class BatchPlan(ABC):
    """Plans global batches one after the other. The number of processes and the split into micro-batches do not enter.

    Within a domain the order is a permutation keyed by (seed, domain, pass): without replacement until the pass ends,
    and another order in the next. A new pool begins new passes, as a new run would.

    Args:
        domains: the k names.
        sizes: training rows of each domain, each at least 1.
        schedule: the weights by step.
        batch_size: rows (bins, under packing) of a global batch.
        seed: the user's seed.
        pools: in order, the first from step 0 on; None: all rows, throughout.

    Attributes:
        step: of the next batch.
        drawn: shape (k,), rows so far.
        credit: shape (k,), what is owed to each domain, in the plan's unit.
        cursor: shape (k,), the next position in each domain's order.
    """

    def __init__(
        self,
        domains: Sequence[str],
        sizes: Sequence[int],
        schedule: WeightSchedule,
        batch_size: int,
        seed: int,
        pools: Sequence[Pool] | None = None,
    ) -> None:
        self.domains = tuple(domains)
        self.sizes = np.array(sizes, dtype=np.int64)
        self.schedule = schedule
        self.batch_size = batch_size
        self.seed = seed
        self.pools = tuple(pools) if pools is not None else (Pool(0, self.sizes),)
        self.step = 0
        self.drawn = np.zeros(len(self.domains), dtype=np.int64)
        self.pool: Pool
        self.credit: Vector
        self.cursor: NDArray[np.int64]
        self._orders: list[Order]
        self._enter(self.pools[0])

    @abstractmethod
    def preview(self) -> PlannedStep:
        """The batch that `advance` gives if the weights are still the same then; the plan stays where it is."""

    @property
    @abstractmethod
    def room_of_a_batch(self) -> float:
        """The most that a batch holds, in the unit of `credit`."""

    @property
    def counts_tokens(self) -> bool:
        """Whether `credit` is in supervised tokens; else it is in rows."""
        return False

    @abstractmethod
    def _note(self, planned: PlannedStep) -> None:
        """Take note that ``planned``, which `preview` gave, is drawn: credit and cursor."""

    def advance(self) -> PlannedStep:
        """Plan the batch of ``step`` and move on to the next."""
        planned = self.preview()
        self._note(planned)
        self.drawn = self.drawn + planned.counts
        self.step += 1
        for pool in self.pools[1:]:
            if pool.first_step == self.step:
                self._enter(pool)
        return planned

    @property
    def passes(self) -> Vector:
        """Passes over each domain's training rows so far, shape (k,)."""
        return self.drawn / self.sizes

    @property
    def drawn_of_pool(self) -> NDArray[np.int64]:
        """Rows of each domain since the pool began, shape (k,)."""
        return self.cursor

    def exhausted(self, passes: float) -> NDArray[np.bool_]:
        """The domains, shape (k,), whose pool the next batch would take beyond so many passes."""
        return np.asarray(self.drawn_of_pool + self.preview().counts > passes * self.pool.rows)

    def state_dict(self) -> dict[str, Any]:
        """Step, and of each domain credit, cursor and rows drawn, as plain JSON: all that the plan remembers."""
        return {
            "step": self.step,
            "credit": dict(zip(self.domains, self.credit.tolist(), strict=True)),
            "cursor": dict(zip(self.domains, self.cursor.tolist(), strict=True)),
            "drawn": dict(zip(self.domains, self.drawn.tolist(), strict=True)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.step = int(state["step"])
        self._enter([pool for pool in self.pools if pool.first_step <= self.step][-1])
        self.credit = np.array([state["credit"][name] for name in self.domains], dtype=np.float64)
        self.cursor = np.array([state["cursor"][name] for name in self.domains], dtype=np.int64)
        self.drawn = np.array([state["drawn"][name] for name in self.domains], dtype=np.int64)

    def __repr__(self) -> str:
        sizes = dict(zip(self.domains, self.sizes.tolist(), strict=True))
        return f"{type(self).__name__}(sizes={sizes}, batch_size={self.batch_size}, seed={self.seed}, step={self.step})"

    @property
    def _step_of_pool(self) -> int:
        return self.step - self.pool.first_step

    def _enter(self, pool: Pool) -> None:
        """Begin to draw from a pool, with what was planned ahead forgotten."""
        self.pool = pool
        self.credit = np.zeros(len(self.domains))
        self.cursor = np.zeros(len(self.domains), dtype=np.int64)
        self._orders = [
            Order(name, int(rows), int(size), self.seed)
            for name, rows, size in zip(self.domains, pool.rows, self.sizes, strict=True)
        ]

    def _single_domain(self, weights: Vector, ahead: int = 0) -> int:
        """The one domain, as an index, of a batch that comes from one: so many steps ahead, drawn by the weights."""
        bounds = np.cumsum(weights)
        drawn = stream(self.seed, "domain", self._step_of_pool + ahead).random() * bounds[-1]
        return int(np.searchsorted(bounds, drawn, side="right"))
