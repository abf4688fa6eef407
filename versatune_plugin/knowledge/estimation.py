"""From the judge's probabilities to the knowledge distribution and its uncertainty (NumPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from versatune_plugin.errors import ArtifactError

RESAMPLES = 2000
_DRAWS_AT_A_TIME = 1_000_000


@dataclass(frozen=True)
class Estimate:
    """A knowledge distribution over k domains from T iterations.

    Attributes:
        probabilities: shape (k,), the mean of the iterations' means; sums to 1.
        iterations: shape (T, k), each iteration's mean.
        interval95: shape (k, 2), the 95 % bootstrap percentile interval of ``probabilities``.
        texts: texts judged or tried to be judged.
        unparsed: texts without a usable judgement; they are in none of the means.
    """

    probabilities: np.ndarray
    iterations: np.ndarray
    interval95: np.ndarray
    texts: int
    unparsed: int

    @property
    def half_widths(self) -> np.ndarray:
        """Half the width of each domain's interval, shape (k,)."""
        return (self.interval95[:, 1] - self.interval95[:, 0]) / 2

    @property
    def spread(self) -> np.ndarray:
        """The largest difference between two iterations, per domain, shape (k,); 0 with one iteration."""
        return np.ptp(self.iterations, axis=0)


def estimate(judgements: Sequence[np.ndarray], seed: int) -> Estimate:
    """The knowledge distribution (VersaTune, Algorithm 1, lines 5-7, equation 1).

    Args:
        judgements: one array per iteration, shape (texts, k); a row of NaN is a text without a usable judgement.
        seed: of the bootstrap, which draws texts anew within each iteration.

    Raises:
        ArtifactError: an iteration without any usable judgement.
    """
    parsed = usable(judgements)
    iterations = np.stack([rows.mean(axis=0) for rows in parsed])
    return Estimate(
        probabilities=iterations.mean(axis=0),
        iterations=iterations,
        interval95=percentile95(bootstrap_means(parsed, seed)),
        texts=sum(len(rows) for rows in judgements),
        unparsed=sum(len(rows) for rows in judgements) - sum(len(rows) for rows in parsed),
    )


def usable(judgements: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The judgements without their rows of NaN.

    Args:
        judgements: one array per iteration, shape (texts, k).

    Raises:
        ArtifactError: an iteration without any usable judgement.
    """
    parsed = [rows[~np.isnan(rows).any(axis=1)] for rows in judgements]
    for number, rows in enumerate(parsed, start=1):
        if not len(rows):
            raise ArtifactError(f"iteration {number}: not one of its texts has a usable judgement; see the texts file")
    return parsed


def percentile95(replicates: np.ndarray) -> np.ndarray:
    """The bootstrap percentile interval, shape (k, 2), of replicates of shape (resamples, k)."""
    return np.percentile(replicates, [2.5, 97.5], axis=0).T


def bootstrap_means(parsed: Sequence[np.ndarray], seed: int, *stream: int) -> np.ndarray:
    """The mean of the iterations' means under resampling of their rows.

    Args:
        parsed: one array per iteration, shape (rows, k).
        seed: of the draws.
        *stream: other numbers give other draws under the same seed.

    Returns:
        Shape (RESAMPLES, k).
    """
    generator = bootstrap_generator(seed, *stream)
    means = np.zeros((RESAMPLES, parsed[0].shape[1]))
    for rows in parsed:
        size = len(rows)
        at_a_time = max(_DRAWS_AT_A_TIME // size, 1)
        for first in range(0, RESAMPLES, at_a_time):
            count = min(at_a_time, RESAMPLES - first)
            drawn = generator.integers(size, size=(count, size)) + size * np.arange(count)[:, None]
            # How often each text was drawn; cheaper than the drawn rows themselves.
            times = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size)
            means[first : first + count] += times @ rows / size
    return means / len(parsed)


def bootstrap_generator(seed: int, *stream: int) -> np.random.Generator:
    """Draws of their own for every seed and stream."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 0xB007, *stream])))
