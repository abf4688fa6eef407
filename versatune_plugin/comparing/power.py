"""How many seeds a difference takes to be found by the sign-flip test, and what so many seeds would find.

A size is a true mean of the paired differences in units of their standard deviation. Differences are taken as normal.
"Found" means: in the right direction, with Holm's p below `LEVEL` however the other comparisons come out.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from versatune_plugin.comparing.statistics import EXACT_SEEDS

LEVEL = 0.05
# With fewer, even a single comparison could not reach the level.
FEWEST_SEEDS = 6
# The usual aim: found in four of five comparisons.
POWER = 0.8
MOST_SEEDS = 10_000
# Up to here the test itself is simulated; above, it is as good as Student's test at the level that it attains.
SIMULATED_SEEDS = 14
MOST_REPETITIONS = 20_000
# Of all subsets in all repetitions; and at once, in memory.
_SUMS, _SUMS_AT_ONCE = 1 << 25, 1 << 22


def fewest_seeds(comparisons: int) -> int:
    """The smallest number of seeds with which Holm's p of a comparison can come below `LEVEL`.

    Args:
        comparisons: m, adjusted together.
    """
    return next(n for n in range(FEWEST_SEEDS, MOST_SEEDS) if _patterns(n, comparisons) >= 1)


def power(size: float, seeds: int, comparisons: int = 1) -> float:
    """How often a true difference is found, 0 to 1.

    Up to `SIMULATED_SEEDS` seeds the sign-flip test is simulated, with a standard error of 0.003 (few seeds) to
    0.01. Above, it is the power of Student's test at the attained level, by the approximation of Johnson & Welch (1940,
    Biometrika 31, 362-389). `benchmarks/comparison_power.py` measures both.

    Args:
        size: of the true difference; its sign does not matter.
        seeds: n.
        comparisons: m, adjusted together.
    """
    if seeds < FEWEST_SEEDS or _patterns(seeds, comparisons) < 1:
        return 0.0
    if seeds <= SIMULATED_SEEDS:
        found_from = _found_from(seeds, _patterns(seeds, comparisons))
        return float(np.searchsorted(found_from, abs(size))) / len(found_from)
    bound, scale = _student(seeds, comparisons)
    return float(ndtr((abs(size) * math.sqrt(seeds) - bound) / scale))


def detectable_size(seeds: int, comparisons: int = 1) -> float:
    """The smallest size that is found with a probability of `POWER`; infinite where nothing can be found.

    Args:
        seeds: n.
        comparisons: m, adjusted together.
    """
    if seeds < FEWEST_SEEDS or _patterns(seeds, comparisons) < 1:
        return math.inf
    if seeds <= SIMULATED_SEEDS:
        found_from = _found_from(seeds, _patterns(seeds, comparisons))
        return float(found_from[math.ceil(POWER * len(found_from))])
    bound, scale = _student(seeds, comparisons)
    return float((bound + ndtri(POWER) * scale) / math.sqrt(seeds))


def seeds_needed(size: float, comparisons: int = 1) -> int | None:
    """How many seeds find a true difference of this size with a probability of `POWER`.

    Args:
        size: of the true difference; its sign does not matter.
        comparisons: m, adjusted together.

    Returns:
        None where it takes more than `MOST_SEEDS`, or the size is NaN.
    """
    if not detectable_size(MOST_SEEDS, comparisons) <= abs(size):
        return None
    low, high = fewest_seeds(comparisons), MOST_SEEDS
    # What can be detected gets smaller with every seed.
    while low < high:
        middle = (low + high) // 2
        if detectable_size(middle, comparisons) <= abs(size):
            high = middle
        else:
            low = middle + 1
    return low


def _patterns(seeds: int, comparisons: int) -> int:
    """How many pairs of opposite patterns may be as extreme as the found one, itself included, for p * m < `LEVEL`."""
    if seeds > EXACT_SEEDS:
        return 1
    return math.ceil(LEVEL / comparisons * 2 ** (seeds - 1)) - 1


def _student(seeds: int, comparisons: int) -> tuple[float, float]:
    """Johnson & Welch's normal form of noncentral t: P(T > c) = Phi((size * sqrt(n) - bound) / scale)."""
    level = LEVEL / comparisons
    if seeds <= EXACT_SEEDS:
        level = _patterns(seeds, comparisons) / 2 ** (seeds - 1)
    freedom = seeds - 1
    critical = float(stdtrit(freedom, 1 - level / 2))
    return critical * (1 - 1 / (4 * freedom)), math.sqrt(1 + critical**2 / (2 * freedom))


@functools.lru_cache(maxsize=64)
def _found_from(seeds: int, patterns: int) -> np.ndarray:
    """Of each simulated sample of standard normal differences, the size above which the test finds it; ascending.

    Flipping the signs of some seeds lowers the sum by twice their sum, so a pattern is as extreme as the found one
    where the flipped seeds have a mean of at most 0. Adding a size adds it to every such mean. Hence a sample is found
    from the size on that lifts all but ``patterns`` - 1 of the means of its nonempty subsets above 0.
    """
    draw = np.random.Generator(np.random.Philox(np.random.SeedSequence([seeds, patterns])))
    repetitions = min(MOST_REPETITIONS, _SUMS >> seeds)
    drawn = draw.standard_normal((repetitions, seeds))
    parts = max(1, (repetitions << seeds) // _SUMS_AT_ONCE)
    means = (np.partition(_subset_means(part), patterns - 1)[:, patterns - 1] for part in np.array_split(drawn, parts))
    return np.sort(-np.concatenate(list(means)))


def _subset_means(samples: np.ndarray) -> np.ndarray:
    """Means of all nonempty subsets of each row: (r, n) to (r, 2^n - 1)."""
    sums, sizes = np.zeros((len(samples), 1)), np.zeros(1)
    for column in samples.T:
        sums = np.concatenate([sums, sums + column[:, None]], axis=1)
        sizes = np.concatenate([sizes, sizes + 1])
    return sums[:, 1:] / sizes[1:]
