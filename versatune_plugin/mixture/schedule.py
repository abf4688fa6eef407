"""The mixture as a step function of the optimizer step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from versatune_plugin.mixture.weights import Vector


class Schedule:
    """Weights by optimizer step: ``[(first_step, weights), ...]``, each in force until the next begins.

    Args:
        first_step: the step whose batch is the first to be drawn with ``weights``.
        weights: shape (k,), summing to one.
    """

    def __init__(self, first_step: int, weights: Vector) -> None:
        self._first_steps = [first_step]
        self._weights = [np.array(weights, dtype=np.float64)]

    def append(self, first_step: int, weights: Vector) -> None:
        """Let ``weights`` rule from ``first_step`` on; it must lie after the stretch in force began, or replace it."""
        if first_step < self._first_steps[-1]:
            raise ValueError(f"the mixture from step {self._first_steps[-1]} on is fixed; {first_step} lies before it")
        if first_step == self._first_steps[-1]:
            self._weights[-1] = np.array(weights, dtype=np.float64)
        else:
            self._first_steps.append(first_step)
            self._weights.append(np.array(weights, dtype=np.float64))

    def weights_at(self, step: int) -> Vector:
        """The weights, shape (k,), with which the batch of ``step`` (0 is the first) is drawn."""
        index = bisect_right(self._first_steps, step) - 1
        if index < 0:
            raise ValueError(f"this schedule begins at step {self._first_steps[0]}, not at {step}")
        return self._weights[index]

    @property
    def stretches(self) -> Sequence[tuple[int, Vector]]:
        """The stretches so far, in order."""
        return list(zip(self._first_steps, self._weights, strict=True))

    def __repr__(self) -> str:
        return f"Schedule({[(step, weights.round(4).tolist()) for step, weights in self.stretches]})"
