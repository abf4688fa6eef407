"""One domain raised step by step, the others alike: a baseline of the VersaTune paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from versatune_plugin.mixtures.base import Policy, PolicyOptions, Signal, unknown_domain
from versatune_plugin.mixtures.weights import Vector


class Increase(Policy):
    """P_e starts at 1 / k and grows by delta at every update; the others share the rest evenly.

    It ignores the losses, but is updated and measured as often as `versatune`, with which it is to be compared.
    """

    name = "increase"
    summary = "one domain raised by delta at every update, the others alike"
    paper = "VersaTune, section 4.2 (domain increase with uniform distribution of remainder)"
    uses_prior = False

    class Options(PolicyOptions):
        """Options of ``mixture: increase``."""

        domain: str = Field(description="the domain that is raised")
        delta: float = Field(default=0.02, gt=0, lt=1, description="weight that is added at an update")

        def complaints(self, domains: Sequence[str]) -> list[str]:
            """The domain must be one of the run's."""
            return unknown_domain("domain", self.domain, domains)

    options: Options

    def initial_weights(self) -> Vector:
        """1 / k for each domain, shape (k,)."""
        return np.ones(len(self.start.domains))

    def update(self, signal: Signal) -> Vector:
        """P_e + delta, as far as it leaves the others their floor, and the rest evenly, shape (k,)."""
        k = len(self.start.domains)
        index = self.start.domains.index(self.options.domain)
        if k == 1:
            return signal.weights
        raised = min(signal.weights[index] + self.options.delta, 1.0 - (k - 1) * self.start.floor)
        weights = np.full(k, (1.0 - raised) / (k - 1))
        weights[index] = raised
        return weights
