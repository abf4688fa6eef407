"""Training in stages, each a fine-tuning of its own: DMT and its family."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, field_serializer, model_validator

from versatune_plugin.mixtures.base import Mixture, MixtureOptions, NamedMixture, Requirements, unknown_domain
from versatune_plugin.mixtures.registry import plain_mixtures, register_mixture
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.schema.domain_names import ByDomain, DomainName
from versatune_plugin.schema.model import MOST_PASSES, MOST_STEPS, Real, problems_of, shown


def _share(value: object) -> object:
    """YAML has no fractions: 1/256 arrives as text."""
    if isinstance(value, str):
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ZeroDivisionError, OverflowError):
            raise ValueError(f"is {shown(value)}; write a number, or a fraction like 1/256") from None
    return value


Share = Annotated[float, BeforeValidator(_share), Field(gt=0, le=1)]
Passes = Annotated[Real, Field(gt=0, le=MOST_PASSES)]


class Stage(MixtureOptions):
    """One stage. The options of its mixture stand beside these."""

    domains: list[DomainName] | ByDomain[Share] | None = Field(
        default=None, description="its domains, or the share of each domain's rows, like {general: 1, code: 1/256}"
    )
    epochs: Passes | None = Field(default=None, description="passes over its rows; default 1")
    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS, description="optimizer steps, instead of epochs")
    mixture: str = Field(default="proportional", description="the mixture within the stage")
    learning_rate: Real | None = Field(default=None, gt=0, description="peak; default: the run's learning_rate")
    lr_scheduler: Literal["cosine", "linear", "constant"] | None = Field(
        default=None, description="decay within the stage; default: the run's lr_scheduler"
    )
    warmup_ratio: Real | None = Field(
        default=None, ge=0, le=1, description="share of the stage's steps; default: the run's warmup_ratio"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="the mixture's own options")
    _mixture_options: MixtureOptions = PrivateAttr()

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
        known = plain_mixtures()
        if self.mixture not in known:
            raise ValueError(f"unknown mixture {self.mixture!r}; choose one of {', '.join(known)}")
        try:
            self._mixture_options = known[self.mixture].Options(**self.options)
        except ValidationError as error:
            problems = problems_of(error, known[self.mixture].Options)
            raise ValueError(f"of its mixture {self.mixture!r}, {'; '.join(problems)}") from None
        return self

    @field_serializer("options", when_used="json")
    def _plain_options(self, options: dict[str, Any]) -> dict[str, Any]:
        # By the mixture's own model, which knows how to write an infinity.
        return self._mixture_options.model_dump(mode="json", exclude_unset=True)

    @property
    def mixture_class(self) -> type[Mixture[Any]]:
        """The class of its mixture."""
        return plain_mixtures()[self.mixture]

    @property
    def mixture_options(self) -> MixtureOptions:
        """The options of its mixture."""
        return self._mixture_options

    @property
    def requirements(self) -> Requirements:
        """What its mixture asks of the run."""
        return self.mixture_class.requirements(self._mixture_options)

    def shares(self, domains: Sequence[str]) -> dict[str, float]:
        """Of each of its domains, the share of the rows that it may draw."""
        if isinstance(self.domains, dict):
            return dict(self.domains)
        return dict.fromkeys(domains if self.domains is None else self.domains, 1.0)

    def problems(self, domains: Sequence[str]) -> list[str]:
        """Known domains, each once, and options that fit them."""
        named = list(domains) if self.domains is None else list(self.domains)
        problems = [text for name in named for text in unknown_domain("domains", name, domains)]
        if not named or len(set(named)) < len(named):
            problems.append(f"domains: {named} must name each domain once, and at least one")
        return problems or self._mixture_options.problems(sorted(named))


@dataclass(frozen=True)
class PlannedStage:
    """A part of the run under one mixture, with its place; a run without stages is one.

    Attributes:
        mixture: its class.
        options: of the mixture.
        first_step: the optimizer step of its first batch.
        steps: how many optimizer steps it takes.
        rows: shape (k,), rows of each domain that it may draw; 0 where it draws none.
        configured: the stage as configured; None in a run without stages.
    """

    mixture: type[Mixture[Any]]
    options: MixtureOptions
    first_step: int
    steps: int
    rows: NDArray[np.int64]
    configured: Stage | None = None

    @property
    def requirements(self) -> Requirements:
        """What its mixture asks of the run."""
        return self.mixture.requirements(self.options)

    @property
    def bounded(self) -> bool:
        """Whether floor and cap hold for its weights: what stands still within a stage is taken as it is."""
        asked = self.requirements
        return asked.bounded and (asked.moves or self.configured is None)

    @property
    def chosen(self) -> list[int]:
        """The domains that it draws from, by index."""
        return [int(index) for index in np.flatnonzero(self.rows)]


def plan_stages(
    stages: Sequence[Stage], domains: Sequence[str], rows: Sequence[int], rows_per_batch: Vector | float
) -> tuple[PlannedStage, ...]:
    """Give each stage its rows and its place.

    Args:
        stages: in order.
        domains: the k names.
        rows: shape (k,), training rows of each domain.
        rows_per_batch: how many rows of each domain alone make a global batch, shape (k,) or the same for all.
    """
    planned: list[PlannedStage] = []
    first_step = 0
    for stage in stages:
        shares = stage.shares(domains)
        own = np.array(
            [max(round(shares[n] * r), 1) if n in shares else 0 for n, r in zip(domains, rows, strict=True)],
            dtype=np.int64,
        )
        epochs = 1.0 if stage.epochs is None else stage.epochs
        steps = stage.steps or whole_batches(epochs * float((own / rows_per_batch).sum()))
        planned.append(PlannedStage(stage.mixture_class, stage.mixture_options, first_step, steps, own, stage))
        first_step += steps
    return tuple(planned)


def whole_batches(batches: float) -> int:
    """So many global batches, rounded up, and at least one; a sum of fractions may miss a whole number by a hair."""
    return max(math.ceil(round(batches, 6)), 1)


class StagedOptions(MixtureOptions, ABC):
    """Options that amount to a list of stages."""

    @abstractmethod
    def staged(self, domains: Sequence[str]) -> list[Stage]:
        """The stages for these domains, in order."""


class StagedMixture(NamedMixture):
    """Stages one after the other, each with its own domains, fixed rows, mixture, length, warm-up and decay.

    A stage is a fine-tuning of its own: its optimizer starts anew, its rows begin a new pass, its mixture knows nothing
    of the stage before. The rows behind a share are the first of one fixed order, so 1/256 lies within 1/4.

    Source: Dong et al., "How Abilities in Large Language Models Are Affected by Supervised Fine-tuning Data
    Composition" (DMT, ACL 2024), section 3.5.
    """

    @classmethod
    def requirements(cls, options: StagedOptions) -> Requirements:
        """What all stages ask of the run together."""
        return Requirements.combined([stage.requirements for stage in options.staged(())])


@register_mixture
class Stages(StagedMixture):
    """Stages as they are configured."""

    name = "stages"
    summary = "one stage after the other, each with its own domains, rows, mixture, warm-up and decay"
    source = "DMT (Dong et al., ACL 2024), section 3.5"

    class Options(StagedOptions):
        """Options of ``mixture: stages``."""

        stages: list[Stage] = Field(min_length=1, description="the stages, in order")

        def staged(self, domains: Sequence[str]) -> list[Stage]:
            """As configured."""
            return self.stages

        def problems(self, domains: Sequence[str]) -> list[str]:
            """Those of each stage."""
            return [
                f"stages[{number}].{text}"
                for number, stage in enumerate(self.stages)
                for text in stage.problems(domains)
            ]
