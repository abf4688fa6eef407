"""The plan under sample packing: a global batch is a number of bins, each a sequence that several rows share."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.data.domains import RowTokens
from versatune_plugin.data.permutation import stream
from versatune_plugin.mixtures.weight_schedule import Schedule
from versatune_plugin.sampling.batch_plan import PlannedStep, Pool
from versatune_plugin.sampling.token_plan import DueRows, TokenPlan

TRIAL_STEPS = 16
# A row may fill a gap of a batch if it falls due within so many bins after that batch.
LOOK_AHEAD_BINS = 16


@dataclass(frozen=True)
class PackedStep(PlannedStep):
    """The global batch of one optimizer step, bin by bin.

    Attributes:
        starts: shape (B + 1,), where each bin begins in ``domains`` and ``rows``, and where the last one ends.
        fill: the share of the bins that holds tokens.
    """

    starts: NDArray[np.int64]
    fill: float


class PackedPlan(TokenPlan):
    """Plans global batches of ``batch_size`` bins whose supervised tokens follow the weights.

    The rows that fall due first are packed; those that find no bin come first in the next batch, and what room is left
    goes to rows that fall due a little later. One step is packed at a time, so new weights act on the very next one.

    Args:
        domains: the k names.
        tokens: of the training rows of each domain; no row is longer than a bin.
        batch_size: bins of a global batch.
        bin_tokens: what a bin holds.
        schedule, seed, pools: as for `BatchPlan`.
    """

    def __init__(
        self,
        domains: Sequence[str],
        tokens: Sequence[RowTokens],
        schedule: Schedule,
        batch_size: int,
        bin_tokens: int,
        seed: int,
        pools: Sequence[Pool] | None = None,
    ) -> None:
        longest = max(int(one.lengths.max()) for one in tokens)
        if longest > bin_tokens:
            raise ValueError(f"a row of {longest} tokens is longer than a bin of {bin_tokens}")
        self.bin_tokens = bin_tokens
        super().__init__(domains, tokens, schedule, batch_size, seed, pools)

    @property
    def capacity(self) -> int:
        """Tokens of a batch."""
        return self.batch_size * self.bin_tokens

    def advance(self) -> PackedStep:
        """Plan the batch of ``step`` and move on to the next."""
        planned = super().advance()
        assert isinstance(planned, PackedStep)
        return planned

    def room(self, lengths: NDArray[np.integer]) -> NDArray[np.integer]:
        """A row takes as much as it is long."""
        return lengths

    def _batch(self, due: DueRows, first: int) -> tuple[PackedStep, DueRows]:
        bins = Bins(self.batch_size, self.bin_tokens)
        # Rows that others of their domain have overtaken, and its next one, go before all others, so none waits long.
        latest = np.array([max(positions, default=-1) for positions in self.ahead])
        waited = due.positions[:first] < latest[due.domains[:first]]
        waited[np.unique(due.domains[:first], return_index=True)[1]] = True
        by_length = np.lexsort((np.arange(first), -due.lengths[:first], ~waited))
        bins.place(by_length.tolist(), due.lengths[by_length].tolist())
        later = self._later(due, first, bins)
        bins.fill(later.tolist(), due.lengths[later].tolist())
        order = stream(self.seed, "batch", self._step_of_pool).permutation(self.batch_size)
        content = [bins.content[bin_] for bin_ in order.tolist()]
        taken = due.pick(np.array([row for rows in content for row in rows], dtype=np.int64))
        starts = np.cumsum([0, *(len(rows) for rows in content)])
        counts = np.bincount(taken.domains, minlength=len(self.domains))
        fill = float(taken.lengths.sum() / self.capacity)
        return PackedStep(self.step, counts, taken.domains, taken.rows, starts, fill), taken

    def _later(self, due: DueRows, first: int, bins: Bins) -> NDArray[np.int64]:
        """The rows that may fill what room is left, as indices.

        None is far from due, or a domain of small weight would fill gaps for ever and never repay; and all are of the
        same pass as their domain's next one.
        """
        placed = np.zeros(len(due.due), dtype=bool)
        placed[[row for rows in bins.content for row in rows]] = True
        latest = max(due.due[first], 0.0) * (1 + LOOK_AHEAD_BINS / self.batch_size)
        left = np.flatnonzero(~placed & (due.due <= latest))
        number = due.positions[left] // self.pool.rows[due.domains[left]]
        current = np.full(len(self.domains), np.iinfo(np.int64).max)
        np.minimum.at(current, due.domains[left], number)
        return left[number == current[due.domains[left]]]


def usual_fill(tokens: Sequence[RowTokens], batch_size: int, bin_tokens: int, seed: int) -> float:
    """The share of bins that holds tokens, seen by packing a few batches in which every row is equally likely."""
    learnt = np.array([float(one.supervised.sum(dtype=np.int64)) for one in tokens])
    names = [str(number) for number in range(len(tokens))]
    plan = PackedPlan(names, tokens, Schedule(0, learnt / learnt.sum()), batch_size, bin_tokens, seed)
    return sum(plan.advance().fill for _ in range(TRIAL_STEPS)) / TRIAL_STEPS


class Bins:
    """Bins of equal capacity and what lies in them.

    Args:
        count: how many.
        capacity: tokens that each holds.

    Attributes:
        content: of each bin, the rows placed there.
    """

    def __init__(self, count: int, capacity: int) -> None:
        self.content: list[list[int]] = [[] for _ in range(count)]
        self._free = [(capacity, number) for number in range(count)]

    def place(self, rows: list[int], lengths: list[int]) -> None:
        """Put each row, one after the other, where it leaves the least room; one that fits nowhere is left out."""
        for row, length in zip(rows, lengths, strict=True):
            at = bisect_left(self._free, (length, -1))
            if at < len(self._free):
                self._put(at, row, length)

    def fill(self, rows: list[int], lengths: list[int]) -> None:
        """Fill the roomiest bins first, each with the longest rows that still fit; of equal ones the first."""
        waiting = sorted((length, -place) for place, length in enumerate(lengths))
        at = len(self._free) - 1
        while at >= 0 and waiting:
            room = self._free[at][0]
            longest = bisect_right(waiting, (room, 1)) - 1
            if longest < 0:
                at -= 1
                continue
            length, place = waiting.pop(longest)
            self._put(at, rows[-place], length)
            at = len(self._free) - 1

    def _put(self, at: int, row: int, length: int) -> None:
        room, number = self._free.pop(at)
        self.content[number].append(row)
        insort(self._free, (room - length, number))
