"""Sample packing: a global batch is a number of bins, each a sequence that several rows share.

Example: two bins of 6 tokens, and rows of one domain that fall due in this order: a (4), b (3), c (2), d (5). The
first three have 9 tokens and with the fourth 14, more than the 12 that fit, so a, b and c are due. The next row of a
domain is placed first, then the longest, each where it leaves the least room: a leaves 2 of one bin, b leaves 3 of the
other, and c goes to a and leaves nothing. Rows that fall due a little later may fill what is left beside b: d is too
long, so a row of 3 tokens or fewer behind it is taken instead, and d comes first in the next batch.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.data.domains import RowTokens
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.sampling.token_plan import Container, DueRows, TokenPlan

TRIAL_STEPS = 16
# A row may fill a gap of a batch if it falls due within so many bins after that batch.
LOOK_AHEAD_BINS = 16


class Bins(Container):
    """A number of bins, each a sequence that several rows share.

    The rows that fall due first are packed; those that find no bin come first in the next batch, and what room is left
    goes to rows that fall due a little later. One step is packed at a time, so new weights act on the very next one.

    Args:
        size: bins of a global batch.
        bin_tokens: what a bin holds.
    """

    def __init__(self, size: int, bin_tokens: int) -> None:
        self.size, self.bin_tokens = size, bin_tokens
        self.capacity = size * bin_tokens

    def room(self, lengths: NDArray[np.integer]) -> NDArray[np.integer]:
        """As much as the row is long.

        Raises:
            ValueError: a row is longer than a bin.
        """
        if len(lengths) and (longest := int(lengths.max())) > self.bin_tokens:
            raise ValueError(f"a row of {longest} tokens is longer than a bin of {self.bin_tokens}")
        return lengths

    def pack(
        self, due: DueRows, first: int, latest_ahead: NDArray[np.int64], pool_rows: NDArray[np.int64]
    ) -> list[list[int]]:
        """The rows of each bin."""
        bins = OpenBins(self.size, self.bin_tokens)
        # Rows that others of their domain have overtaken, and its next one, go before all others, so none waits long.
        waited = due.positions[:first] < latest_ahead[due.domains[:first]]
        waited[np.unique(due.domains[:first], return_index=True)[1]] = True
        by_length = np.lexsort((np.arange(first), -due.lengths[:first], ~waited))
        bins.place(by_length.tolist(), due.lengths[by_length].tolist())
        later = self._later(due, first, bins, pool_rows)
        bins.fill(later.tolist(), due.lengths[later].tolist())
        return bins.content

    def _later(self, due: DueRows, first: int, bins: OpenBins, pool_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows that may fill what room is left, as indices.

        None is far from due, or a domain of small weight would fill gaps for ever and never repay; and all are of the
        same pass as their domain's next one.
        """
        placed = np.zeros(len(due.due), dtype=bool)
        placed[[row for rows in bins.content for row in rows]] = True
        latest = max(due.due[first], 0.0) * (1 + LOOK_AHEAD_BINS / self.size)
        left = np.flatnonzero(~placed & (due.due <= latest))
        number = due.positions[left] // pool_rows[due.domains[left]]
        current = np.full(len(pool_rows), np.iinfo(np.int64).max)
        np.minimum.at(current, due.domains[left], number)
        return left[number == current[due.domains[left]]]


def usual_fill(tokens: Sequence[RowTokens], batch_size: int, bin_tokens: int, seed: int) -> float:
    """The share of bins that holds tokens, seen by packing a few batches in which every row is equally likely."""
    learnt = np.array([float(one.supervised.sum(dtype=np.int64)) for one in tokens])
    names = [str(number) for number in range(len(tokens))]
    plan = TokenPlan(names, tokens, WeightSchedule(0, learnt / learnt.sum()), Bins(batch_size, bin_tokens), seed)
    return sum(plan.advance().fill for _ in range(TRIAL_STEPS)) / TRIAL_STEPS


class OpenBins:
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
