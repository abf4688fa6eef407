"""The mixture as a step function of the optimizer step."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from versatune_plugin.mixtures.weights import Vector


class WeightSchedule:
    """Weights by optimizer step: ``[(first_step, weights), ...]``, each in force until the next begins.

    Args:
        first_step: the step whose batch is the first to be drawn with ``weights``.
        weights: shape (k,), summing to one.

    Attributes:
        version: changes whenever the weights of some step do.
    """

    def __init__(self, first_step: int, weights: Vector) -> None:
        self.version = 0
        self._first_steps = [first_step]
        self._weights = [np.array(weights, dtype=np.float64)]

    def restart(self, first_step: int, weights: Vector) -> None:
        """Begin anew, as a resumed run does."""
        self.version += 1
        self._first_steps = [first_step]
        self._weights = [np.array(weights, dtype=np.float64)]

    def append(self, first_step: int, weights: Vector) -> None:
        """Let ``weights`` rule from ``first_step`` on; it must lie after the segment in force began, or replace it."""
        if first_step < self._first_steps[-1]:
            raise ValueError(f"the mixture from step {self._first_steps[-1]} on is fixed; {first_step} lies before it")
        self.version += 1
        if first_step == self._first_steps[-1]:
            self._weights[-1] = np.array(weights, dtype=np.float64)
        else:
            self._first_steps.append(first_step)
            self._weights.append(np.array(weights, dtype=np.float64))

    def forget(self, before: int) -> None:
        """Drop the segments that ended by the step ``before``, so that what is kept does not grow with the updates."""
        ended = bisect_right(self._first_steps, before) - 1
        if ended > 0:
            del self._first_steps[:ended], self._weights[:ended]

    def weights_at(self, step: int) -> Vector:
        """The weights, shape (k,), with which the batch of ``step`` (0 is the first) is drawn."""
        return self._weights[self._index(step)]

    def key_at(self, step: int) -> tuple[int, int]:
        """Equal for two moments and steps only if the weights are the same: what planned batches are kept by."""
        return self.version, self._first_steps[self._index(step)]

    @property
    def latest(self) -> tuple[int, Vector]:
        """The first step of the last segment, and its weights."""
        return self._first_steps[-1], self._weights[-1]

    def _index(self, step: int) -> int:
        index = bisect_right(self._first_steps, step) - 1
        if index < 0:
            raise ValueError(f"this schedule begins at step {self._first_steps[0]}, not at {step}")
        return index

    def __repr__(self) -> str:
        return f"WeightSchedule(... {self._first_steps[-1]}: {self._weights[-1].round(4).tolist()})"
