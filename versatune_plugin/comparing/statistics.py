"""Paired comparisons of few runs: the run is the replicate, and a seed makes a pair (NumPy, and the t of SciPy).

Figures are held-out losses or whatever else a run has one of. All is deterministic: the same figures give the same p.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

# Up to here every pattern of signs is looked at; above, `RANDOM_PATTERNS` of them.
EXACT_SEEDS = 20
RANDOM_PATTERNS = 1 << 17
SEED = 42
# What is equal but for rounding counts as equal. Relative: to the root of the sum of squares, or to the mean.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Pairs:
    """The figures of two mixtures, paired by seed.

    Attributes:
        seeds: n seeds that both were run with and that have finite figures of both, ascending.
        differences: shape (n,), the first mixture's figure minus the second's.
        unpaired: seeds that only one of them was run with.
        not_finite: seeds that both were run with, where a figure is NaN or infinite.
    """

    seeds: tuple[int, ...]
    differences: np.ndarray
    unpaired: tuple[int, ...]
    not_finite: tuple[int, ...]


@dataclass(frozen=True)
class Effect:
    """The mean of n paired differences.

    Attributes:
        seeds: n.
        mean: in the unit of the figures; NaN for n = 0.
        spread: standard deviation of the differences (n - 1 in the denominator); NaN for n < 2.
        interval95: of the mean; None for n < 2.
    """

    seeds: int
    mean: float
    spread: float
    interval95: tuple[float, float] | None

    @property
    def constant(self) -> bool:
        """Whether all differences, two or more, are equal but for rounding."""
        return self.seeds > 1 and self.spread <= ROUNDING * abs(self.mean)


def pair_by_seed(first: Mapping[int, float], second: Mapping[int, float]) -> Pairs:
    """Pair the figures of two mixtures by seed; what cannot be paired is named, not dropped.

    Args:
        first: figure by seed.
        second: of the mixture that it is compared with.
    """
    both = sorted(first.keys() & second.keys())
    finite = [seed for seed in both if math.isfinite(first[seed]) and math.isfinite(second[seed])]
    return Pairs(
        seeds=tuple(finite),
        differences=np.array([first[seed] - second[seed] for seed in finite], dtype=np.float64),
        unpaired=tuple(sorted(first.keys() ^ second.keys())),
        not_finite=tuple(seed for seed in both if seed not in finite),
    )


def estimate(differences: np.ndarray) -> Effect:
    """Mean of paired differences with Student's 95 % interval (Student 1908, Biometrika 6, 1-25).

    The interval takes the differences as normal. It is of this one comparison, whatever else is compared.

    Args:
        differences: shape (n,), finite; n may be 0.
    """
    n = len(differences)
    if n == 0:
        return Effect(0, math.nan, math.nan, None)
    mean = float(differences.mean())
    if n == 1:
        return Effect(1, mean, math.nan, None)
    spread = float(differences.std(ddof=1))
    half = float(stdtrit(n - 1, 0.975)) * spread / math.sqrt(n)
    return Effect(n, mean, spread, (mean - half, mean + half))


def sign_flip_p(differences: np.ndarray) -> float:
    """Two-sided p of the sign-flip test (Fisher 1935, The Design of Experiments, section 21).

    If two mixtures do the same, their runs of a seed might as well change names, which changes the sign of that seed's
    difference. p is the share of all 2^n patterns of signs whose absolute sum is not below the one that was found. It
    asks for no normality. Above `EXACT_SEEDS` it is that share among `RANDOM_PATTERNS` patterns, the found one
    included, which keeps the level too (Phipson & Smyth 2010, SAGMB 9, 39).

    Args:
        differences: shape (n,), finite.

    Returns:
        At least `smallest_p` of n; NaN for n = 0.
    """
    return float(max_t(differences[:, None])[0]) if len(differences) else math.nan


def smallest_p(seeds: int) -> float:
    """The smallest p that `sign_flip_p` can give: 2 / 2^n, so 0.25 for three seeds and 0.031 for six.

    Args:
        seeds: n.
    """
    return min(1.0, 2.0 ** (1 - seeds)) if seeds <= EXACT_SEEDS else 1 / RANDOM_PATTERNS


def holm(p: np.ndarray) -> np.ndarray:
    """p of several comparisons, adjusted so that the chance of any false claim stays what it is for one.

    The step-down method of Holm (1979, Scandinavian Journal of Statistics 6, 65-70); it asks nothing of how the
    comparisons hang together.

    Args:
        p: shape (m,); NaN for a comparison that was planned and could not be made, which counts as one of m.

    Returns:
        Shape (m,), never under ``p``, at most 1; NaN where ``p`` is.
    """
    raw = np.where(np.isnan(p), 1.0, p)
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1))
    adjusted = np.empty(len(raw))
    adjusted[order] = np.minimum(stepped, 1)
    return np.where(np.isnan(p), np.nan, adjusted)


def max_t(differences: np.ndarray) -> np.ndarray:
    """p of m comparisons, adjusted together by flipping the signs of a seed in all of them at once.

    Step-down max-T of Westfall & Young (1993, Resampling-Based Multiple Testing, algorithm 4.1), with Student's t as
    the statistic. It uses that comparisons hang together, so it is seldom above Holm's, and its smallest value does
    not grow with m. It assumes more: that the differences of a seed, all together, are as likely as their negatives.

    Args:
        differences: shape (n, m), a row for each seed; NaN where a comparison lacks a seed.

    Returns:
        Shape (m,); NaN for a comparison without any seed. With m = 1 it is `sign_flip_p`.
    """
    lacking = np.isnan(differences).all(axis=0)
    filled = np.where(np.isnan(differences), 0.0, differences)
    # |sum| / sqrt(sum of squares) rises with |t|, and the squares do not change with the signs.
    scale = np.sqrt((filled**2).sum(axis=0))
    scaled = filled / np.where(scale > 0, scale, 1)
    order = np.argsort(-np.abs(scaled.sum(axis=0)), kind="stable")
    adjusted = np.empty(len(order))
    largest = np.zeros(1)
    for place in order[::-1]:
        flipped = np.abs(_flipped_sums(scaled[:, place]))
        largest = np.maximum(largest, flipped)
        adjusted[place] = (largest >= flipped[0] - ROUNDING).mean()
    adjusted[order] = np.maximum.accumulate(adjusted[order])
    return np.where(lacking, np.nan, adjusted)


def _flipped_sums(differences: np.ndarray) -> np.ndarray:
    """Sums of one comparison's differences under each pattern of signs; the first is the one that was found.

    The first seed's sign stays in the exact ones: a pattern and its opposite have the same absolute sum.
    """
    if len(differences) > EXACT_SEEDS:
        draw = np.random.Generator(np.random.Philox(SEED))
        signs = draw.integers(0, 2, (RANDOM_PATTERNS, len(differences)), dtype=np.int8) * 2.0 - 1
        signs[0] = 1
        return signs @ differences
    sums = differences[:1].sum(keepdims=True)
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    return sums
