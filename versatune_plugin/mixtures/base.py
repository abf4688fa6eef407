"""What a mixture is: what it asks of a run, the weights it proposes, what it remembers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from versatune_plugin.mixtures.observations import (
    BatchObservation,
    HeldoutObservation,
    Observation,
    ProbeObservation,
)
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.schema.model import StrictModel

Observed = TypeVar("Observed", bound=Observation, contravariant=True)
# From what costs nothing to what costs most; each but the first gives what those before it among held-out rows give.
DEMANDING: tuple[type[Observation], ...] = (BatchObservation, HeldoutObservation, ProbeObservation)


class MixtureOptions(StrictModel):
    """The options of a mixture; they sit beside ``mixture:`` in the YAML. A subclass adds fields with bounds."""

    def problems(self, domains: Sequence[str]) -> list[str]:
        """What is wrong with the options for these domains, one sentence each, beginning with the option's name."""
        return []


@dataclass(frozen=True)
class MixtureContext:
    """What a mixture knows before its first step.

    Attributes:
        domains: the k domain names, sorted; every vector below follows their order.
        prior: shape (k,), sums to one.
        rows: shape (k,), training rows of each domain.
        seed: the user's seed.
    """

    domains: tuple[str, ...]
    prior: Vector
    rows: Vector
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What a mixture asks of a run.

    Attributes:
        observes: what its updates are made of; None: its weights are known beforehand. Held-out losses and probes cost
            forward passes, training losses none.
        moves: whether its weights change during the run.
        prior: ``knowledge:`` must be configured.
        reference: ``reference:`` must be configured.
        bounded: floor and cap hold for its weights; else they are taken as they are, zeros included.
        single_domain_batches: each batch is drawn from one domain, chosen at random by the weights.
        update_steps: the default interval between updates; None where it follows from ``measure_budget``.
    """

    observes: type[Observation] | None = None
    moves: bool = True
    prior: bool = False
    reference: bool = False
    bounded: bool = True
    single_domain_batches: bool = False
    update_steps: int | None = None

    @property
    def updates(self) -> bool:
        """Whether there is anything to update at intervals."""
        return self.observes is not None

    @property
    def measures(self) -> bool:
        """Whether its updates need the held-out rows."""
        return self.observes is not None and issubclass(self.observes, HeldoutObservation)

    @property
    def probes(self) -> bool:
        """Whether held-out rows are looked at one by one, and the top layer with them."""
        return self.observes is not None and issubclass(self.observes, ProbeObservation)

    @classmethod
    def combined(cls, several: Sequence[Requirements]) -> Requirements:
        """What a run asks for in which one mixture follows the other; it observes what the most demanding one does."""
        observed = [one.observes for one in several if one.observes is not None]
        intervals = {one.update_steps for one in several if one.updates}
        return cls(
            observes=max(observed, key=DEMANDING.index, default=None),
            moves=any(one.moves for one in several),
            prior=any(one.prior for one in several),
            reference=any(one.reference for one in several),
            bounded=any(one.bounded for one in several),
            update_steps=intervals.pop() if len(intervals) == 1 else None,
        )


class NamedMixture(ABC):
    """What ``mixture:`` may name.

    Attributes:
        name: in the YAML, ``mixture: NAME``.
        summary: one line for tables.
        source: paper, algorithm or equation.
        Options: the model of its options.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    Options: ClassVar[type[MixtureOptions]] = MixtureOptions

    @classmethod
    @abstractmethod
    def requirements(cls, options: Any) -> Requirements:
        """What the mixture asks of a run when it has these options (of its own `Options`)."""


class Mixture(NamedMixture, Generic[Observed]):
    """A deterministic function from what was observed to the next weights; its parameter is what it observes.

    `MixtureController` checks finiteness, applies floor and cap and normalises, so a mixture returns plain non-negative
    numbers in the right proportions. Its state is plain JSON.

    Args:
        options: of the class's own `Options`.
        context: what is known before the first step.
    """

    def __init__(self, options: MixtureOptions, context: MixtureContext) -> None:
        self.options = options
        self.context = context

    def initial_weights(self) -> Vector:
        """The weights of the first batch, shape (k,), up to a factor. By default the prior."""
        return self.context.prior

    def scheduled_weights(self, step: int) -> Vector | None:
        """The weights that are planned for ``step`` whatever is observed, shape (k,), up to a factor; None: none are.

        A pure function of the step; 0 is the first.
        """
        return None

    def update(self, observation: Observed) -> Vector:
        """The next weights, shape (k,), non-negative, up to a factor. Called where `Requirements.observes` is set."""
        raise NotImplementedError

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


class StaticMixture(Mixture[Observation]):
    """A mixture that stays what it was at the start."""

    @classmethod
    def requirements(cls, options: Any) -> Requirements:
        """Nothing, and the weights stand still."""
        return Requirements(moves=False)


class MixtureState(StrictModel):
    """What a mixture remembers, as it stands in a checkpoint."""


def unknown_domain(option: str, name: str, domains: Sequence[str]) -> list[str]:
    """The problem that ``name`` is no domain, or none."""
    if name in domains:
        return []
    return [f"{option}: {name!r} is no domain; the domains of `datasets` are {', '.join(domains)}"]
