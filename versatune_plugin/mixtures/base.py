"""The contract between a mixture and the run: what a policy is told, what it answers, what it remembers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from versatune_plugin.mixtures.weights import Vector

Reads = Literal["nothing", "held-out losses", "probes", "training losses"]


class PolicyOptions(BaseModel):
    """The options of a policy; they sit beside ``mixture:`` in the YAML. A subclass adds fields with bounds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def complaints(self, domains: Sequence[str]) -> list[str]:
        """What is wrong with the options for these domains, one sentence each, beginning with the option's name."""
        return []


@dataclass(frozen=True)
class Start:
    """What is known before the first step.

    Attributes:
        domains: the k domain names, sorted; every vector below follows their order.
        prior: shape (k,), sums to one.
        rows: shape (k,), training rows of each domain.
        floor, cap: the bounds that the caller keeps every weight within.
        rows_per_batch: about how many rows of each domain alone make a global batch, shape (k,) or the same for all.
        seed: the user's seed.
    """

    domains: tuple[str, ...]
    prior: Vector
    rows: Vector
    floor: float = 0.0
    cap: float = 1.0
    rows_per_batch: Vector | float = 1.0
    seed: int = 0


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


@dataclass(frozen=True)
class Signal:
    """What was measured at an update of the weights. A policy gets what its `reads` asks for; the rest may be None.

    Attributes:
        step: optimizer steps done.
        weights: shape (k,), in force until now.
        loss: shape (k,), held-out loss in nats per supervised token.
        tokens: shape (k,), supervised tokens that each loss is a mean over.
        previous_loss: shape (k,), the same at the update before; None at the first.
        reference_loss: shape (k,), the mastery ceiling in nats per token of this tokenizer; None where not configured.
        similarity: shape (k, k), cosine between the mean top-layer states of the domains' held-out rows.
        difficulty: shape (k,), mean over the held-out rows of perplexity now / perplexity before training.
        batch_losses: of the batches since the update before, in order.
    """

    step: int
    weights: Vector
    loss: Vector | None = None
    tokens: Vector | None = None
    previous_loss: Vector | None = None
    reference_loss: Vector | None = None
    similarity: Vector | None = None
    difficulty: Vector | None = None
    batch_losses: tuple[BatchLoss, ...] = ()

    @property
    def potential(self) -> Vector | None:
        """Learnable potential gamma, shape (k,): max((l - l_ref) / l, 0) (VersaTune, equation 2)."""
        if self.loss is None or self.reference_loss is None:
            return None
        return _relative_excess(self.loss, self.reference_loss, self.loss)

    @property
    def forgetting(self) -> Vector | None:
        """Forgetting degree phi, shape (k,): max((l(t) - l(t-1)) / l(t-1), 0), zero at the first (equation 3)."""
        if self.loss is None:
            return None
        if self.previous_loss is None:
            return np.zeros_like(self.loss)
        return _relative_excess(self.loss, self.previous_loss, self.previous_loss)

    def excess(self) -> Vector:
        """Excess loss, shape (k,): max(l - l_ref, 0), in nats per token."""
        assert self.loss is not None
        assert self.reference_loss is not None
        return np.maximum(self.loss - self.reference_loss, 0.0)

    def of(self, chosen: Sequence[int]) -> Signal:
        """The same signal for some of the domains, given by index; their weights are rescaled to sum to one."""
        index = list(chosen)

        def part(vector: Vector | None) -> Vector | None:
            return None if vector is None else vector[index]

        weights = self.weights[index]
        return Signal(
            self.step,
            weights / weights.sum(),
            part(self.loss),
            part(self.tokens),
            part(self.previous_loss),
            part(self.reference_loss),
            None if self.similarity is None else self.similarity[np.ix_(index, index)],
            part(self.difficulty),
            tuple(
                BatchLoss(index.index(batch.domain), batch.weight, batch.loss)
                for batch in self.batch_losses
                if batch.domain in index
            ),
        )


@dataclass(frozen=True)
class Traits:
    """What a mixture with certain options asks of the run.

    Attributes:
        moves: whether the weights change during the run.
        reads: what its updates are made of.
        uses_prior, uses_reference: whether ``knowledge:`` and ``reference:`` must be configured.
        update_steps: the default interval between updates; None where it follows from ``measure_budget``.
    """

    moves: bool
    reads: frozenset[Reads]
    uses_prior: bool
    uses_reference: bool
    update_steps: int | None

    @property
    def updates(self) -> bool:
        """Whether there is anything to update at intervals."""
        return self.reads != {"nothing"}

    @property
    def measures(self) -> bool:
        """Whether its updates need the held-out rows."""
        return bool(self.reads & {"held-out losses", "probes"})


class Policy(ABC):
    """A mixture: a deterministic function from what was measured to the next weights.

    The caller checks finiteness, applies floor and cap and normalises, so a policy returns plain non-negative numbers
    in the right proportions. Its state is plain JSON.

    Class attributes:
        name: in the YAML, ``mixture: NAME``.
        summary: one line for tables.
        paper: paper, algorithm or equation.
        Options: the model of its options.
        moves: whether the weights change during the run.
        reads: what an update is made of. Held-out losses and probes cost forward passes, training losses none.
        uses_prior, uses_reference: whether ``knowledge:`` and ``reference:`` must be configured.
        exact: the weights are taken as they are, zeros included; floor and cap do not touch them.
        update_steps: the default interval between updates; None where it follows from ``measure_budget``.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str]
    Options: ClassVar[type[PolicyOptions]] = PolicyOptions
    moves: ClassVar[bool] = True
    reads: ClassVar[Reads] = "held-out losses"
    uses_prior: ClassVar[bool] = True
    uses_reference: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    update_steps: ClassVar[int | None] = None

    def __init__(self, options: PolicyOptions, start: Start) -> None:
        self.options = options
        self.start = start

    @classmethod
    def traits(cls, options: PolicyOptions) -> Traits:
        """What the mixture asks of a run when it has these options."""
        return Traits(cls.moves, frozenset({cls.reads}), cls.uses_prior, cls.uses_reference, cls.update_steps)

    @classmethod
    def draws_single(cls, options: PolicyOptions) -> bool:
        """Whether each batch is drawn from one domain, chosen at random by the weights."""
        return False

    @property
    def reads_now(self) -> Reads:
        """What the next update reads."""
        return self.reads

    def initial_weights(self) -> Vector:
        """The weights of the first stretch, shape (k,), up to a factor. By default the prior."""
        return self.start.prior

    def turn(self, step: int) -> Vector | None:
        """Weights that take force at ``step`` whatever is measured, shape (k,), up to a factor; None: none do."""
        return None

    @abstractmethod
    def update(self, signal: Signal) -> Vector:
        """The next weights, shape (k,), non-negative, up to a factor."""

    def state_dict(self) -> dict[str, Any]:
        """What `update` remembers between calls, as plain JSON."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave.

        Raises:
            ValueError: it is not of this mixture, these options and these domains; pydantic's is one, too.
        """
        if state:
            raise ValueError(f"the mixture {self.name!r} keeps no state, but was given {sorted(state)}")

    def misfit(self, step: int) -> str | None:
        """What of the state taken back does not fit a run of which ``step`` optimizer steps are done."""
        return None

    def start_at(self, step: int) -> Vector | None:
        """Begin anew in the middle of a run: the weights that rule from ``step`` on, or None for those in force."""
        return None


class PolicyState(BaseModel):
    """What a policy remembers, as it stands in a checkpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StaticPolicy(Policy):
    """A mixture that stays what it was at the start."""

    moves = False
    reads = "nothing"

    def update(self, signal: Signal) -> Vector:
        """The weights in force, unchanged."""
        return signal.weights

    def start_at(self, step: int) -> Vector | None:
        """The weights of the start: they are the mixture."""
        return self.initial_weights()


def unknown_domain(option: str, name: str, domains: Sequence[str]) -> list[str]:
    """The complaint that ``name`` is no domain, or none."""
    if name in domains:
        return []
    return [f"{option}: {name!r} is no domain; the domains of `datasets` are {', '.join(domains)}"]


def _relative_excess(loss: Vector, base: Vector, scale: Vector) -> Vector:
    # A loss of zero has nothing left to learn and nothing to compare with: 0, not 0/0.
    return np.maximum(np.divide(loss - base, scale, out=np.zeros_like(loss), where=scale > 0), 0.0)
