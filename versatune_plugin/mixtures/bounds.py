"""The bounds of weights: the one place where proposed weights become a mixture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from versatune_plugin.mixtures.weights import Vector


@dataclass(frozen=True)
class Bounds:
    """The least and the greatest weight of a domain.

    Attributes:
        floor: ``floor * k`` must be under one.
        cap: ``cap * k`` must be at least one.
    """

    floor: float = 0.0
    cap: float = 1.0

    def project(self, weights: Vector) -> Vector:
        """The weights in proportion to ``weights`` that lie within the bounds and sum to one.

        Those that a bound holds are set to it, and the others share the rest in their old proportions, so that a vector
        already within the bounds is only normalised. A weight of zero stays zero where the floor is zero.

        Args:
            weights: shape (k,), non-negative, with a positive sum.

        Returns:
            Shape (k,), float64.
        """
        proportions = np.asarray(weights, dtype=np.float64)
        result = proportions / proportions.sum()
        bounded = np.zeros(len(result), dtype=bool)
        for _ in range(len(result)):
            below, above = ~bounded & (result < self.floor), ~bounded & (result > self.cap)
            if not (below.any() or above.any()):
                break
            deficit, excess = (self.floor - result[below]).sum(), (result[above] - self.cap).sum()
            # Only the side that is violated more is sure to stay at its bound once the others are rescaled.
            side = below if deficit >= excess else above
            result[side] = self.floor if deficit >= excess else self.cap
            bounded |= side
            free = proportions[~bounded]
            rest = 1.0 - result[bounded].sum()
            result[~bounded] = rest * (free / free.sum()) if free.sum() > 0 else rest / max(len(free), 1)
        return result
