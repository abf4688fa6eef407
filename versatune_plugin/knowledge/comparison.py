"""How far two knowledge distributions are apart, and whether chance explains it (NumPy only)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from versatune_plugin.artifacts.knowledge import KnowledgeFile, inspect_knowledge
from versatune_plugin.errors import ArtifactError

RESAMPLES = 4000
SEED = 42
# The 97.5 % point of the standard normal distribution.
_TWO_SIDED = 1.959963984540054
_HALVINGS = 24


@dataclass(frozen=True)
class Uncertainty:
    """Of an estimated distribution over k domains.

    Attributes:
        covariance: shape (k, k).
        exact: False where it is read from the widths of the intervals, as if the domains were independent.
    """

    covariance: np.ndarray
    exact: bool


@dataclass(frozen=True)
class Comparison:
    """Two distributions over k domains, the second minus the first.

    Attributes:
        differences: shape (k,).
        intervals95: shape (k, 2), of ``differences``; None where no uncertainty is known.
        total_variation: half the sum of the absolute differences, 0 (same) to 1 (disjoint).
        total_variation95: its interval, shape (2,); None where no uncertainty is known.
        chance: how often two samples of one distribution are as far apart or farther; None where no uncertainty is
            known.
    """

    differences: np.ndarray
    intervals95: np.ndarray | None
    total_variation: float
    total_variation95: np.ndarray | None
    chance: float | None

    @property
    def differ(self) -> bool | None:
        """Whether they differ by more than chance explains: 0 is not in the interval. None where that is not known."""
        return None if self.total_variation95 is None else bool(self.total_variation95[0] > 0)


@dataclass(frozen=True)
class FileComparison:
    """Two knowledge files side by side.

    Attributes:
        names: the k domains, in the first file's order.
        shares: shape (2, k).
        comparison: of the two.
        remarks: what a reader should know of it, a sentence each.
    """

    names: tuple[str, ...]
    shares: np.ndarray
    comparison: Comparison
    remarks: tuple[str, ...]


def compare_files(first: Path, second: Path) -> FileComparison:
    """How far two knowledge files of the same domains are apart.

    Args:
        first: a file, made by a command or by hand.
        second: another one.

    Raises:
        ArtifactError: a file cannot be read, or they are of different domains.
    """
    one, other = inspect_knowledge(first), inspect_knowledge(second)
    names = tuple(one.probabilities)
    if only := [
        f"only {path} has {', '.join(lacking)}"
        for path, mine, its in ((first, one, other), (second, other, one))
        if (lacking := [repr(name) for name in mine.probabilities if name not in its.probabilities])
    ]:
        raise ArtifactError(f"{'; '.join(only)}: compare files of the same domains, or detect both with the same ones")
    places = [list(other.probabilities).index(name) for name in names]
    of_one, of_other = uncertainty(one), uncertainty(other)
    covariance = None
    if of_one is not None and of_other is not None:
        covariance = of_one.covariance + of_other.covariance[np.ix_(places, places)]
    shares = np.array([[file.probabilities[name] for name in names] for file in (one, other)], dtype=np.float64)
    remarks = [
        *_remarks_on_uncertainty({first: of_one, second: of_other}),
        *(
            f"they are of different {what}s: {first} of {mine or 'none that it names'}, {second} of "
            f"{its or 'none that it names'}; part of the difference may come of that"
            for what in ("judge", "estimator")
            if (mine := one.fact(what)) != (its := other.fact(what))
        ),
    ]
    return FileComparison(names, shares, compare(shares[0], shares[1], covariance), tuple(remarks))


def _remarks_on_uncertainty(found: Mapping[Path, Uncertainty | None]) -> list[str]:
    unknown = [str(path) for path, one in found.items() if one is None]
    if unknown:
        return [
            f"no interval: {' and '.join(unknown)} {'say' if len(unknown) > 1 else 'says'} nothing of the uncertainty "
            "of its shares (neither `covariance` nor `interval95`)"
        ]
    return [
        f"{path} has no `covariance`: its variances are taken from the widths of `interval95`, as if its domains were "
        "independent, so the intervals are approximate"
        for path, one in found.items()
        if one is not None and not one.exact
    ]


def total_variation(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Half the sum of the absolute differences: the share of probability that lies elsewhere, 0 to 1.

    Args:
        one: shares by domain.
        other: of the same domains.
    """
    return sum(abs(one[name] - other[name]) for name in one) / 2


def uncertainty(file: KnowledgeFile) -> Uncertainty | None:
    """What a knowledge file says of the uncertainty of its shares, in the order of its domains.

    Args:
        file: as `versatune_plugin.artifacts.knowledge.inspect_knowledge` reads it.

    Returns:
        Its covariance; else a diagonal one from the widths of its 95 % intervals; None where it has neither.
    """
    if file.covariance is not None:
        return Uncertainty(np.array(file.covariance, dtype=np.float64), exact=True)
    if file.interval95 is None:
        return None
    widths = np.array([file.interval95[name][1] - file.interval95[name][0] for name in file.probabilities])
    return Uncertainty(np.diag((widths / (2 * _TWO_SIDED)) ** 2), exact=False)


def compare(first: np.ndarray, second: np.ndarray, covariance: np.ndarray | None) -> Comparison:
    """How far two independent estimates are apart.

    Differences are taken as normal with the given covariance. An estimate of the total variation near 0 is too high,
    and neither a percentile nor a basic bootstrap interval contains the truth as often as it says. So the interval is
    that of a test inversion bootstrap (Carpenter 1999, JRSS B 61, 159-172): it holds every t for which the total
    variation that was found lies between the 2.5 % and the 97.5 % point of those of samples whose true difference has
    the found one's direction and the total variation t. A difference smaller than half of those of one and the same
    distribution counts as such a half one in the upper end, so that a lucky sample makes no claim of equality
    (a power-constrained limit, Cowan et al. 2011, arXiv 1105.3166).

    A domain that no text was judged to be of has no variance, so far the interval is too narrow.

    Args:
        first: shape (k,).
        second: shape (k,), of the same domains.
        covariance: shape (k, k), the sum of both estimates'; None where it is not known.
    """
    differences = second - first
    found = float(np.abs(differences).sum() / 2)
    if covariance is None:
        return Comparison(differences, None, found, None, None)
    half = _TWO_SIDED * np.sqrt(np.maximum(np.diag(covariance), 0))
    intervals = np.clip(np.stack([differences - half, differences + half], axis=1), -1, 1)
    noise, widest = _noise(covariance)
    by_chance = np.abs(noise).sum(axis=1) / 2
    direction = differences / found if found > 0 else widest
    low = _largest(noise, direction, 0.975, found)
    high = _largest(noise, direction, 0.025, max(found, float(np.median(by_chance))))
    chance = (1 + int((by_chance >= found).sum())) / (1 + RESAMPLES)
    return Comparison(differences, intervals, found, np.array([low, high]), chance)


def _noise(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal deviations, shape (RESAMPLES, k), and the direction in which they are widest, of total variation 1."""
    variances, axes = np.linalg.eigh(covariance)
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([SEED, len(variances)])))
    drawn = generator.standard_normal((RESAMPLES, len(variances)))
    return drawn * np.sqrt(np.maximum(variances, 0)) @ axes.T, 2 * axes[:, -1] / np.abs(axes[:, -1]).sum()


def _largest(noise: np.ndarray, direction: np.ndarray, point: float, found: float) -> float:
    """The largest total variation, 0 to 1, under which this point of the samples' distribution is not above ``found``.

    The point rises with the total variation (Anderson 1955, Proc. AMS 6, 170-176), so halving finds it.
    """

    def reached(true: float) -> bool:
        return bool(np.quantile(np.abs(true * direction + noise).sum(axis=1) / 2, point) <= found)

    if not reached(0.0):
        return 0.0
    low, high = 0.0, 1.0
    if reached(high):
        return high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if reached(middle) else (low, middle)
    return low
