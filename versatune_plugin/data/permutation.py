"""A pseudo-random order of n rows that needs no memory: any position can be asked for at once."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

ROUNDS = 12
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def stream(seed: int, *labels: str | int) -> np.random.Generator:
    """The random stream that belongs to ``seed`` and ``labels``, independent of every other.

    Args:
        seed: the user's seed.
        labels: what the stream is for, for example ``("pass", "law", 3)``.
    """
    digest = hashlib.blake2b(repr((seed, *labels)).encode(), digest_size=16).digest()
    # NumPy's annotation lacks the interface that its documentation names.
    return np.random.Generator(np.random.Philox(_Key(digest)))  # type: ignore[arg-type]


class _Key(ISeedSequence):
    """The key of a Philox generator. Given as ``key``, NumPy would gather entropy for a seed first, only to drop it."""

    def __init__(self, digest: bytes) -> None:
        self._words = np.frombuffer(digest, dtype="<u8")

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[np.uint64]:
        return self._words


class Permutation:
    """A keyed bijection of ``0 .. size - 1``: position in a pass -> row.

    A Feistel network over the mixed radix ``a x b >= size``; values past the end walk on along their cycle (Black and
    Rogaway, "Ciphers with arbitrary finite domains", 2002). Memory O(1), time O(1) a position.

    Args:
        size: number of rows, at least 1.
        seed: the user's seed.
        labels: what the order is for, as for `stream`.
    """

    def __init__(self, size: int, seed: int, *labels: str | int) -> None:
        if size < 1:
            raise ValueError(f"a permutation needs at least one row, not {size}")
        self.size = size
        self._left = max(math.isqrt(size - 1) + 1, 1)
        self._right = -(-size // self._left)
        self._keys = stream(seed, *labels).integers(0, 2**64, size=ROUNDS, dtype=np.uint64)

    def rows(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows at ``positions`` (shape (n,), each in ``[0, size)``), shape (n,)."""
        values = self._encipher(positions.astype(np.uint64))
        outside = np.flatnonzero(values >= self.size)
        while len(outside):
            values[outside] = self._encipher(values[outside])
            outside = outside[values[outside] >= self.size]
        return values.astype(np.int64)

    def _encipher(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left_size, right_size = np.uint64(self._left), np.uint64(self._right)
        left = values // right_size
        right = values - left * right_size
        for number, key in enumerate(self._keys):
            if number % 2:
                right = _shifted(right, left, key, right_size)
            else:
                left = _shifted(left, right, key, left_size)
        return left * right_size + right


def _shifted(
    half: NDArray[np.uint64], other: NDArray[np.uint64], key: np.uint64, size: np.uint64
) -> NDArray[np.uint64]:
    """``(half + f(other + key)) % size``, f the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), which wraps."""
    mixed = other + key
    mixed *= _GOLDEN
    mixed ^= mixed >> np.uint64(30)
    mixed *= _MIX_1
    mixed ^= mixed >> np.uint64(27)
    mixed *= _MIX_2
    mixed ^= mixed >> np.uint64(31)
    mixed += half
    # NumPy divides by a constant with SIMD, but takes remainders without: several times as slow.
    mixed -= mixed // size * size
    return mixed
