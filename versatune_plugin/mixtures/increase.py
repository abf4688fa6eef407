"""One domain raised step by step, the others alike: a baseline of the VersaTune paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from versatune_plugin.mixtures.base import Mixture, MixtureOptions, Requirements, unknown_domain
from versatune_plugin.mixtures.observations import HeldoutObservation
from versatune_plugin.mixtures.registry import register_mixture
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.schema.domain_names import DomainName
from versatune_plugin.schema.model import Real


@register_mixture
class Increase(Mixture[HeldoutObservation]):
    """P_e starts at 1 / k and grows by delta at every update; the others share the rest evenly.

    It ignores the losses, but is updated and measured as often as `versatune`, with which it is to be compared.
    """

    name = "increase"
    summary = "one domain raised by delta at every update, the others alike"
    source = "VersaTune, section 4.2 (domain increase with uniform distribution of remainder)"

    class Options(MixtureOptions):
        """Options of ``mixture: increase``."""

        domain: DomainName = Field(description="the domain that is raised")
        delta: Real = Field(default=0.02, gt=0, lt=1, description="weight that is added at an update")

        def problems(self, domains: Sequence[str]) -> list[str]:
            """The domain must be one of the run's."""
            return unknown_domain("domain", self.domain, domains)

    options: Options

    @classmethod
    def requirements(cls, options: Options) -> Requirements:
        """Held-out losses, which it does not look at, for the comparison's sake."""
        return Requirements(observes=HeldoutObservation)

    def initial_weights(self) -> Vector:
        """1 / k for each domain, shape (k,)."""
        return np.ones(len(self.context.domains))

    def update(self, observation: HeldoutObservation) -> Vector:
        """P_e + delta, at most 1, and the rest evenly, shape (k,)."""
        k = len(self.context.domains)
        index = self.context.domains.index(self.options.domain)
        if k == 1:
            return observation.weights
        raised = min(observation.weights[index] + self.options.delta, 1.0)
        weights = np.full(k, (1.0 - raised) / (k - 1))
        weights[index] = raised
        return weights
