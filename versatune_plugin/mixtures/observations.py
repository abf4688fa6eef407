"""What is measured during a run, and what of it a mixture is given at an update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from versatune_plugin.mixtures.weights import Vector


@dataclass(frozen=True)
class Measurement:
    """The held-out rows of every domain under the model of one moment.

    Attributes:
        loss: shape (k,), nats per supervised token, token-weighted over the held-out rows; not finite if the model is.
        tokens: shape (k,), supervised tokens that each loss is a mean over.
        bits_per_byte: shape (k,), nats * tokens / (response bytes * ln 2).
        seconds: wall clock.
        row_loss: per domain, the mean loss of each held-out row, nats per token; only where rows were probed.
        similarity: shape (k, k), cosine between the domains' mean top-layer states; only where rows were probed.
    """

    loss: Vector
    tokens: Vector
    bits_per_byte: Vector
    seconds: float
    row_loss: list[Vector] | None = None
    similarity: Vector | None = None


@dataclass(frozen=True)
class BatchLoss:
    """The training loss of one global batch that was drawn from a single domain.

    Attributes:
        domain: its index.
        weight: the domain's weight when the batch was drawn.
        loss: nats per supervised token.
    """

    domain: int
    weight: float
    loss: float


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a mixture is given at an update, whatever it is made of.

    Attributes:
        step: optimizer steps done.
        weights: shape (k,), in force until now.
    """

    step: int
    weights: Vector

    @property
    def figures(self) -> tuple[Vector, ...]:
        """All that must be finite before weights are moved by it."""
        return ()

    def restricted(self, chosen: Sequence[int]) -> Self:
        """The same of some of the domains, given by index; their weights are rescaled to sum to one."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class HeldoutObservation(Observation):
    """Held-out losses.

    Attributes:
        loss: shape (k,), nats per supervised token.
        tokens: shape (k,), supervised tokens that each loss is a mean over.
        previous_loss: shape (k,), the same at the update before; None at the first of a stage.
        reference_loss: shape (k,), the mastery ceiling in nats per token of this tokenizer; None where not configured.
    """

    loss: Vector
    tokens: Vector
    previous_loss: Vector | None = None
    reference_loss: Vector | None = None

    @property
    def figures(self) -> tuple[Vector, ...]:
        """The losses."""
        return (self.loss,)

    @property
    def potential(self) -> Vector:
        """Learnable potential gamma, shape (k,): max((l - l_ref) / l, 0) (VersaTune, equation 2).

        Raises:
            ValueError: no reference losses; a mixture that asks for them in its `Requirements` always has them.
        """
        return _relative_excess(self.loss, self._reference(), self.loss)

    @property
    def forgetting(self) -> Vector:
        """Forgetting degree phi, shape (k,): max((l(t) - l(t-1)) / l(t-1), 0), zero at the first (equation 3)."""
        if self.previous_loss is None:
            return np.zeros_like(self.loss)
        return _relative_excess(self.loss, self.previous_loss, self.previous_loss)

    @property
    def excess(self) -> Vector:
        """Excess loss, shape (k,): max(l - l_ref, 0), in nats per token.

        Raises:
            ValueError: as of `potential`.
        """
        return np.maximum(self.loss - self._reference(), 0.0)

    def restricted(self, chosen: Sequence[int]) -> Self:
        """The same of some of the domains, given by index; their weights are rescaled to sum to one."""
        return type(self)(**self._part(list(chosen)))

    def _reference(self) -> Vector:
        if self.reference_loss is None:
            raise ValueError("no reference losses: a mixture that reads them needs `Requirements(reference=True)`")
        return self.reference_loss

    def _part(self, index: list[int]) -> dict[str, Any]:
        return {
            "step": self.step,
            "weights": rescaled(self.weights, index),
            "loss": self.loss[index],
            "tokens": self.tokens[index],
            "previous_loss": None if self.previous_loss is None else self.previous_loss[index],
            "reference_loss": None if self.reference_loss is None else self.reference_loss[index],
        }


@dataclass(frozen=True, kw_only=True)
class ProbeObservation(HeldoutObservation):
    """Held-out losses, and what a look at each row and at the top layer says.

    Attributes:
        similarity: shape (k, k), cosine between the mean top-layer states of the domains' held-out rows.
        difficulty: shape (k,), mean over the held-out rows of perplexity now / perplexity before training.
    """

    similarity: Vector
    difficulty: Vector

    @property
    def figures(self) -> tuple[Vector, ...]:
        """Losses, similarity and difficulty."""
        return (self.loss, self.similarity, self.difficulty)

    def _part(self, index: list[int]) -> dict[str, Any]:
        return super()._part(index) | {
            "similarity": self.similarity[np.ix_(index, index)],
            "difficulty": self.difficulty[index],
        }


@dataclass(frozen=True, kw_only=True)
class BatchObservation(Observation):
    """Training losses, which cost nothing.

    Attributes:
        batch_losses: of the batches since the update before, in order.
    """

    batch_losses: tuple[BatchLoss, ...]

    @property
    def figures(self) -> tuple[Vector, ...]:
        """The losses."""
        return (np.array([batch.loss for batch in self.batch_losses]),)

    def restricted(self, chosen: Sequence[int]) -> Self:
        """The same of some of the domains, given by index; their weights are rescaled to sum to one."""
        index = list(chosen)
        batches = tuple(
            BatchLoss(index.index(batch.domain), batch.weight, batch.loss)
            for batch in self.batch_losses
            if batch.domain in index
        )
        return type(self)(step=self.step, weights=rescaled(self.weights, index), batch_losses=batches)


def difficulty(now: Sequence[Vector], before: Sequence[Vector]) -> Vector:
    """Per domain, shape (k,), the mean over rows of perplexity now / perplexity before (Mixture-of-Skills, eq. 10)."""
    return np.array([np.exp(a - b).mean() for a, b in zip(now, before, strict=True)])


def rescaled(weights: Vector, index: Sequence[int]) -> Vector:
    """The weights of some domains, rescaled to sum to one."""
    own = weights[list(index)]
    return np.asarray(own / own.sum())


def _relative_excess(loss: Vector, base: Vector, scale: Vector) -> Vector:
    # A loss of zero has nothing left to learn and nothing to compare with: 0, not 0/0.
    return np.maximum(np.divide(loss - base, scale, out=np.zeros_like(loss), where=scale > 0), 0.0)
