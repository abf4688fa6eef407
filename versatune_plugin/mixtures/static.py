"""Mixtures that do not move: the baselines of the VersaTune paper and the plain choices of practice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field, PlainSerializer

from versatune_plugin.mixtures.base import MixtureOptions, Requirements, StaticMixture, unknown_domain
from versatune_plugin.mixtures.registry import register_mixture
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.schema.domain_names import DomainName
from versatune_plugin.schema.model import scientific

Tau = Annotated[
    float,
    Field(gt=0, allow_inf_nan=True),
    BeforeValidator(lambda tau: math.inf if tau == "inf" else scientific(tau)),
    # JSON has no infinity, so it is written as text, and read back.
    PlainSerializer(lambda tau: tau if math.isfinite(tau) else "inf", when_used="json"),
]


@register_mixture
class Constant(StaticMixture):
    """The prior, held fixed ("VersaTune Constant", table 4 of the paper)."""

    name = "constant"
    summary = "the prior, held fixed"
    source = "VersaTune, table 4 (VersaTune Constant)"

    @classmethod
    def requirements(cls, options: MixtureOptions) -> Requirements:
        """A prior."""
        return Requirements(moves=False, prior=True)


@register_mixture
class Uniform(StaticMixture):
    """Every domain alike: 1 / k (the paper's uniform baseline)."""

    name = "uniform"
    summary = "every domain alike"
    source = "VersaTune, section 4.2; Mixture-of-Skills, equation 3 with tau = infinity"

    def initial_weights(self) -> Vector:
        """1 / k for each domain, shape (k,)."""
        return np.ones(len(self.context.domains))


@register_mixture
class Inverse(StaticMixture):
    """The inverse of the prior, in either reading of the paper's "in an inverse manner"."""

    name = "inverse"
    summary = "what the base model knows least comes most"
    source = "VersaTune, section 4.2 (inverse distribution)"

    class Options(MixtureOptions):
        """Options of ``mixture: inverse``."""

        form: Literal["complement", "reciprocal"] = Field(
            default="complement",
            description="(1 - P) / (k - 1), as in the code of the paper's authors, or 1 / P normalised",
        )

    options: Options

    @classmethod
    def requirements(cls, options: Options) -> Requirements:
        """A prior."""
        return Requirements(moves=False, prior=True)

    def initial_weights(self) -> Vector:
        """1 - P_j or 1 / P_j, shape (k,); for a single domain, that domain.

        Where the prior is zero, 1 / P is taken as its limit: such domains share everything.
        """
        prior = self.context.prior
        if self.options.form == "reciprocal":
            unknown = prior == 0
            return unknown.astype(np.float64) if unknown.any() else 1.0 / prior
        return 1.0 - prior if len(self.context.domains) > 1 else prior


@register_mixture
class Proportional(StaticMixture):
    """In proportion to the training rows of each domain: what plain concatenation does (temperature 1)."""

    name = "proportional"
    summary = "in proportion to each domain's training rows"
    source = "Mixture-of-Skills, equation 3 with tau = 1"

    def initial_weights(self) -> Vector:
        """Training rows, shape (k,)."""
        return self.context.rows


@register_mixture
class Temperature(StaticMixture):
    """In proportion to rows ^ (1 / tau): between proportional (1) and uniform (infinity)."""

    name = "temperature"
    summary = "rows ^ (1 / tau): from proportional (tau 1) to uniform (tau infinite)"
    source = "Mixture-of-Skills, equation 3"

    class Options(MixtureOptions):
        """Options of ``mixture: temperature``."""

        tau: Tau = Field(description="1: proportional; 10; .inf: uniform; any between")

    options: Options

    def initial_weights(self) -> Vector:
        """q(i) ^ (1 / tau), shape (k,)."""
        return tempered(self.context.rows, self.options.tau)


@register_mixture
class Single(StaticMixture):
    """One domain and nothing else: the paper's "100 % specific domain"."""

    name = "single"
    summary = "one domain and nothing else"
    source = "VersaTune, section 4.2 (100 % specific domain)"

    class Options(MixtureOptions):
        """Options of ``mixture: single``."""

        domain: DomainName = Field(description="the domain that is trained")

        def problems(self, domains: Sequence[str]) -> list[str]:
            """The domain must be one of the run's."""
            return unknown_domain("domain", self.domain, domains)

    options: Options

    @classmethod
    def requirements(cls, options: Options) -> Requirements:
        """Weights that are taken as they are."""
        return Requirements(moves=False, bounded=False)

    def initial_weights(self) -> Vector:
        """One for the domain, zero for the others, shape (k,)."""
        return np.array([float(name == self.options.domain) for name in self.context.domains])


def tempered(rows: Vector, tau: float) -> Vector:
    """Temperature sampling, shape (k,): (rows / sum of rows) ^ (1 / tau) up to a factor (Mixture-of-Skills, eq. 3).

    Args:
        rows: shape (k,), each positive.
        tau: over 0; infinite for uniform.
    """
    # Relative to the largest: a small tau must not underflow all of them.
    return np.asarray((rows / rows.max()) ** (1.0 / tau))
