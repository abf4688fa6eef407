"""How many rows of each domain a global batch takes, by error diffusion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.mixtures.weights import Vector

# In place of a rate of zero: due after every domain that has a weight.
_LEAST_RATE = 1e-300


def apportion(credit: Vector, shares: Vector, batch_size: int) -> tuple[NDArray[np.int64], Vector]:
    """Whole rows for each domain, and the fractions carried to the next batch.

    A domain is owed its credit and ``batch_size * share``. It gets the whole part; the rows left over go to those whose
    next row falls due first (earliest deadline first), which under constant shares keeps every domain within one row
    of its share after every batch (the carpool problem; Tijdeman, "The chairman assignment problem", 1980).
    Ties go to the greater debt, then to the earlier domain.

    Args:
        credit: shape (k,), rows owed from earlier batches (negative: had in advance); sums to zero.
        shares: shape (k,), sums to one.
        batch_size: rows of the global batch.

    Returns:
        Counts, shape (k,), which sum to ``batch_size``; the new credit, shape (k,).
    """
    rate = batch_size * shares
    owed = credit + rate
    counts = np.maximum(np.floor(owed), 0.0)
    missing = batch_size - int(counts.sum())
    if missing > 0:
        rest = owed - counts
        due = np.ceil((1.0 - rest) / np.maximum(rate, _LEAST_RATE))
        due[rest <= 0] = np.inf
        counts[np.lexsort((-rest, due))[:missing]] += 1.0
    while missing < 0:
        # Domains in advance took part of what is due now, which only a change of the shares can bring about.
        counts[np.argmin(np.where(counts > 0, owed - counts, np.inf))] -= 1.0
        missing += 1
    return counts.astype(np.int64), owed - counts
