"""The endless order of a domain's rows: a keyed permutation for each pass."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.data.permutation import Permutation

# Rows of a domain's order computed at a time.
BLOCK = 4096


class Order:
    """The endless order of one domain's pool: pass after pass, the next rows of it kept.

    Args:
        name: of the domain.
        size: rows of the pool.
        training_size: rows of the domain; the pool is the first ``size`` of one fixed order of them.
        seed: the user's seed.
    """

    def __init__(self, name: str, size: int, training_size: int, seed: int) -> None:
        self._name, self._size, self._seed = name, size, seed
        self._choice = Permutation(training_size, seed, "pool", name) if 0 < size < training_size else None
        self._pass = -1
        self._permutation: Permutation
        self._first = 0
        self._kept = np.empty(0, dtype=np.int64)

    def take(self, start: int, count: int) -> NDArray[np.int64]:
        """The rows at ``start .. start + count - 1`` of the order, shape (count,), not to be written into."""
        if not self._first <= start <= self._first + len(self._kept):
            self._first, self._kept = start, self._kept[:0]
        if start + count > self._first + len(self._kept):
            self._extend(start, start + count)
        return self._kept[start - self._first : start - self._first + count]

    def _extend(self, start: int, end: int) -> None:
        """Keep the rows from position ``start`` on and go on beyond ``end``."""
        pieces = [self._kept[start - self._first :]]
        position = self._first + len(self._kept)
        while position < end:
            pieces.append(self._block(*divmod(position, self._size)))
            position += len(pieces[-1])
        self._first, self._kept = start, np.concatenate(pieces)
        self._kept.flags.writeable = False

    def _block(self, number: int, first: int) -> NDArray[np.int64]:
        """The rows from position ``first`` of a pass on, at most BLOCK of them."""
        if number != self._pass:
            self._permutation = Permutation(self._size, self._seed, "pass", self._name, number)
            self._pass = number
        rows = self._permutation.rows(np.arange(first, min(first + BLOCK, self._size), dtype=np.int64))
        return rows if self._choice is None else self._choice.rows(rows)
