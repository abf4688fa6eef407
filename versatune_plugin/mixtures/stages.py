"""Training in stages, each a fine-tuning of its own: DMT and its family."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, field_serializer, model_validator

from versatune_plugin.mixtures.base import (
    Policy,
    PolicyOptions,
    PolicyState,
    Reads,
    Signal,
    Start,
    Traits,
    unknown_domain,
)
from versatune_plugin.mixtures.catalogue import CATALOGUE
from versatune_plugin.mixtures.weights import Vector, admissible


def _share(value: object) -> object:
    """YAML has no fractions: 1/256 arrives as text."""
    if isinstance(value, str):
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ZeroDivisionError):
            raise ValueError("write a number, or a fraction like 1/256") from None
    return value


Share = Annotated[float, BeforeValidator(_share), Field(gt=0, le=1)]


class Stage(PolicyOptions):
    """One stage. The options of its mixture stand beside these."""

    domains: list[str] | dict[str, Share] | None = Field(
        default=None, description="its domains, or the share of each domain's rows, like {general: 1, code: 1/256}"
    )
    epochs: float | None = Field(default=None, gt=0, description="passes over its rows; default 1")
    steps: int | None = Field(default=None, ge=1, description="optimizer steps, instead of epochs")
    mixture: str = Field(default="proportional", description="the mixture within the stage")
    learning_rate: float | None = Field(default=None, gt=0, description="peak; default: the run's learning_rate")
    lr_scheduler: Literal["cosine", "linear", "constant"] | None = Field(
        default=None, description="decay within the stage; default: the run's lr_scheduler"
    )
    warmup_ratio: float | None = Field(
        default=None, ge=0, le=1, description="share of the stage's steps; default: the run's warmup_ratio"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="the mixture's own options")
    _policy_options: PolicyOptions = PrivateAttr()

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        own = {name: value for name, value in values.items() if name not in cls.model_fields}
        rest = {name: value for name, value in values.items() if name in cls.model_fields}
        given = rest.get("options") or {}
        return {**rest, "options": {**given, **own} if isinstance(given, Mapping) else given}

    @model_validator(mode="after")
    def _check(self) -> Stage:
        if self.epochs is not None and self.steps is not None:
            raise ValueError("epochs and steps both say how long it is; keep one of them")
        if self.mixture not in CATALOGUE:
            raise ValueError(f"unknown mixture {self.mixture!r}; choose one of {', '.join(CATALOGUE)}")
        try:
            self._policy_options = CATALOGUE[self.mixture].Options(**self.options)
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, d['loc']))} is {d['input']!r}: {d['msg']}" for d in error.errors())
            raise ValueError(f"options of its mixture {self.mixture!r}: {told}") from None
        return self

    @field_serializer("options", when_used="json")
    def _plain_options(self, options: dict[str, Any]) -> dict[str, Any]:
        # By the mixture's own model, which knows how to write an infinity.
        return self._policy_options.model_dump(mode="json", exclude_unset=True)

    @property
    def policy(self) -> type[Policy]:
        """The class of its mixture."""
        return CATALOGUE[self.mixture]

    @property
    def policy_options(self) -> PolicyOptions:
        """The options of its mixture."""
        return self._policy_options

    def shares(self, domains: Sequence[str]) -> dict[str, float]:
        """Of each of its domains, the share of the rows that it may draw."""
        if isinstance(self.domains, dict):
            return dict(self.domains)
        return dict.fromkeys(domains if self.domains is None else self.domains, 1.0)

    def complaints(self, domains: Sequence[str]) -> list[str]:
        """Known domains, each once, and options that fit them."""
        named = list(domains) if self.domains is None else list(self.domains)
        problems = [text for name in named for text in unknown_domain("domains", name, domains)]
        if not named or len(set(named)) < len(named):
            problems.append(f"domains: {named} must name each domain once, and at least one")
        return problems or self._policy_options.complaints(sorted(named))


@dataclass(frozen=True)
class SettledStage:
    """A stage with its place in the run.

    Attributes:
        stage: as configured.
        first_step: the optimizer step of its first batch.
        steps: how many optimizer steps it takes.
        rows: shape (k,), rows of each domain that it may draw; 0 where it draws none.
    """

    stage: Stage
    first_step: int
    steps: int
    rows: NDArray[np.int64]

    @property
    def chosen(self) -> list[int]:
        """The domains that it draws from, by index."""
        return [int(index) for index in np.flatnonzero(self.rows)]


def settle(
    stages: Sequence[Stage], domains: Sequence[str], rows: Sequence[int], rows_per_batch: Vector | float
) -> tuple[SettledStage, ...]:
    """Give each stage its rows and its place.

    Args:
        stages: in order.
        domains: the k names.
        rows: shape (k,), training rows of each domain.
        rows_per_batch: how many rows of each domain alone make a global batch, shape (k,) or the same for all.
    """
    settled, first_step = [], 0
    for stage in stages:
        shares = stage.shares(domains)
        own = np.array(
            [max(round(shares[n] * r), 1) if n in shares else 0 for n, r in zip(domains, rows, strict=True)],
            dtype=np.int64,
        )
        epochs = 1.0 if stage.epochs is None else stage.epochs
        steps = stage.steps or whole_batches(epochs * float((own / rows_per_batch).sum()))
        settled.append(SettledStage(stage, first_step, steps, own))
        first_step += steps
    return tuple(settled)


def whole_batches(batches: float) -> int:
    """So many global batches, rounded up, and at least one; a sum of fractions may miss a whole number by a hair."""
    return max(math.ceil(round(batches, 6)), 1)


class StagedOptions(PolicyOptions, ABC):
    """Options that amount to a list of stages."""

    @abstractmethod
    def staged(self, domains: Sequence[str]) -> list[Stage]:
        """The stages for these domains, in order."""


class StagesState(PolicyState):
    """The stage in force, whether it has seen an update, and what its mixture remembers."""

    stage: int = Field(ge=0)
    fresh: bool
    mixture: dict[str, Any]


class Stages(Policy):
    """Stages one after the other, each with its own domains, fixed rows, mixture, length, warm-up and decay.

    A stage is a fine-tuning of its own: its optimizer starts anew, its rows begin a new pass, its mixture knows nothing
    of the stage before. The rows behind a share are the first of one fixed order, so 1/256 lies within 1/4.

    Source: Dong et al., "How Abilities in Large Language Models Are Affected by Supervised Fine-tuning Data
    Composition" (DMT, ACL 2024), section 3.5.
    """

    name = "stages"
    summary = "one stage after the other, each with its own domains, rows, mixture, warm-up and decay"
    paper = "DMT (Dong et al., ACL 2024), section 3.5"
    exact = True
    uses_prior = False
    reads = "nothing"

    class Options(StagedOptions):
        """Options of ``mixture: stages``."""

        stages: list[Stage] = Field(min_length=1, description="the stages, in order")

        def staged(self, domains: Sequence[str]) -> list[Stage]:
            """As configured."""
            return self.stages

        def complaints(self, domains: Sequence[str]) -> list[str]:
            """Those of each stage."""
            return [
                f"stages[{number}].{text}"
                for number, stage in enumerate(self.stages)
                for text in stage.complaints(domains)
            ]

    options: StagedOptions

    def __init__(self, options: PolicyOptions, start: Start) -> None:
        super().__init__(options, start)
        stages = self.options.staged(start.domains)
        self.settled = settle(stages, start.domains, start.rows.astype(int).tolist(), start.rows_per_batch)
        self._number: int
        self._fresh: bool
        self._inner: Policy
        self._enter(0)

    @classmethod
    def traits(cls, options: PolicyOptions) -> Traits:
        """What all stages ask of the run together."""
        assert isinstance(options, StagedOptions)
        of_stages = [stage.policy.traits(stage.policy_options) for stage in options.staged(())]
        intervals = {traits.update_steps for traits in of_stages if traits.updates}
        return Traits(
            any(traits.moves for traits in of_stages),
            frozenset().union(*(traits.reads for traits in of_stages)),
            any(traits.uses_prior for traits in of_stages),
            any(traits.uses_reference for traits in of_stages),
            intervals.pop() if len(intervals) == 1 else None,
        )

    @property
    def reads_now(self) -> Reads:
        """What the stage in force reads."""
        return self._inner.reads

    def initial_weights(self) -> Vector:
        """The first weights of the stage in force, shape (k,); zero outside it."""
        return self._spread(self._inner.initial_weights())

    def turn(self, step: int) -> Vector | None:
        """The first weights of a stage that begins at ``step``, or what its mixture has planned for it."""
        for number, settled in enumerate(self.settled):
            if settled.first_step == step:
                self._enter(number)
                return self.initial_weights()
        weights = self._inner.turn(step - self.settled[self._number].first_step)
        return None if weights is None else self._spread(weights)

    def update(self, signal: Signal) -> Vector:
        """What the stage's mixture makes of the signal of its domains, shape (k,)."""
        if self._inner.reads == "nothing":
            return signal.weights
        own = signal.of(self.settled[self._number].chosen)
        if self._fresh:
            own = replace(own, previous_loss=None)
            self._fresh = False
        return self._spread(self._inner.update(own))

    def state_dict(self) -> dict[str, Any]:
        """The stage in force and the state of its mixture."""
        return {"stage": self._number, "fresh": self._fresh, "mixture": self._inner.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        kept = StagesState.model_validate(state)
        if kept.stage >= len(self.settled):
            raise ValueError(f"it stood in stage {kept.stage + 1} of {len(self.settled)}")
        self._enter(kept.stage)
        self._fresh = kept.fresh
        self._inner.load_state_dict(kept.mixture)

    def misfit(self, step: int) -> str | None:
        """Another stage than the one in force after ``step`` optimizer steps."""
        due = self._stage_at(step)
        if due != self._number:
            return f"it stood in stage {self._number + 1}, and step {step} is in stage {due + 1}"
        return self._inner.misfit(step - self.settled[due].first_step)

    def start_at(self, step: int) -> Vector | None:
        """The stage in force at ``step``, begun anew there."""
        self._enter(self._stage_at(step))
        own = self._inner.start_at(step - self.settled[self._number].first_step)
        return self._spread(self._inner.initial_weights() if own is None else own)

    def _stage_at(self, step: int) -> int:
        return sum(settled.first_step <= step for settled in self.settled) - 1

    def _enter(self, number: int) -> None:
        settled, start = self.settled[number], self.start
        prior = start.prior[settled.chosen]
        own = replace(
            start,
            domains=tuple(start.domains[index] for index in settled.chosen),
            prior=prior / prior.sum() if prior.sum() > 0 else np.full(len(prior), 1.0 / len(prior)),
            rows=settled.rows[settled.chosen].astype(np.float64),
        )
        self._number, self._fresh = number, True
        self._inner = settled.stage.policy(settled.stage.policy_options, own)

    def _spread(self, own: Vector) -> Vector:
        """From the stage's domains to all, zero outside it. Bounds hold within the stage, for mixtures that move."""
        if self._inner.moves and not self._inner.exact:
            own = admissible(own, self.start.floor, self.start.cap)
        weights = np.zeros(len(self.start.domains))
        weights[self.settled[self._number].chosen] = own / own.sum()
        return weights
