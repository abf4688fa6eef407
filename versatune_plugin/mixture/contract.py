"""The contract between a mixture and the run: what a policy is told, what it answers, what it remembers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from versatune_plugin.mixture.weights import Vector


class PolicyOptions(BaseModel):
    """The options of a policy; they sit beside ``mixture:`` in the YAML. A subclass adds fields with bounds."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Start:
    """What is known before the first step.

    Attributes:
        domains: the k domain names, sorted; every vector below follows their order.
        prior: shape (k,), sums to one.
        rows: shape (k,), training rows of each domain.
    """

    domains: tuple[str, ...]
    prior: Vector
    rows: Vector


@dataclass(frozen=True)
class Signal:
    """What was measured at an update of the weights.

    Attributes:
        step: optimizer steps done.
        weights: shape (k,), in force until now.
        loss: shape (k,), held-out loss in nats per supervised token.
        tokens: shape (k,), supervised tokens that each loss is a mean over.
        previous_loss: shape (k,), the same at the update before; None at the first.
        reference_loss: shape (k,), the mastery ceiling in nats per token of this tokenizer; None where not configured.
    """

    step: int
    weights: Vector
    loss: Vector
    tokens: Vector
    previous_loss: Vector | None = None
    reference_loss: Vector | None = None

    @property
    def potential(self) -> Vector | None:
        """Learnable potential gamma, shape (k,): max((l - l_ref) / l, 0) (VersaTune, equation 2)."""
        if self.reference_loss is None:
            return None
        return _relative_excess(self.loss, self.reference_loss, self.loss)

    @property
    def forgetting(self) -> Vector:
        """Forgetting degree phi, shape (k,): max((l(t) - l(t-1)) / l(t-1), 0), zero at the first (equation 3)."""
        if self.previous_loss is None:
            return np.zeros_like(self.loss)
        return _relative_excess(self.loss, self.previous_loss, self.previous_loss)


class Policy(ABC):
    """A mixture: a deterministic function from what was measured to the next weights.

    The caller checks finiteness, applies floor and cap and normalises, so a policy returns plain non-negative numbers
    in the right proportions. Its state is plain JSON.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type[PolicyOptions]] = PolicyOptions
    moves: ClassVar[bool] = True
    uses_prior: ClassVar[bool] = True
    uses_reference: ClassVar[bool] = False

    def __init__(self, options: PolicyOptions, start: Start) -> None:
        self.options = options
        self.start = start

    def initial_weights(self) -> Vector:
        """The weights of the first stretch, shape (k,), up to a factor. By default the prior."""
        return self.start.prior

    @abstractmethod
    def update(self, signal: Signal) -> Vector:
        """The next weights, shape (k,), non-negative, up to a factor."""

    def state_dict(self) -> dict[str, Any]:
        """What `update` remembers between calls, as plain JSON."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        if state:
            raise ValueError(f"the mixture {self.name!r} keeps no state, but was given {sorted(state)}")


class StaticPolicy(Policy):
    """A mixture that stays what it was at the start."""

    moves = False

    def update(self, signal: Signal) -> Vector:
        """The weights in force, unchanged."""
        return signal.weights


def _relative_excess(loss: Vector, base: Vector, scale: Vector) -> Vector:
    # A loss of zero has nothing left to learn and nothing to compare with: 0, not 0/0.
    return np.maximum(np.divide(loss - base, scale, out=np.zeros_like(loss), where=scale > 0), 0.0)
