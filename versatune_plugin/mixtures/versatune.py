"""VersaTune's mixtures: multi-ability (Algorithm 2) and domain expansion (Algorithm 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from versatune_plugin.mixtures.base import Mixture, MixtureOptions, Requirements, unknown_domain
from versatune_plugin.mixtures.observations import HeldoutObservation
from versatune_plugin.mixtures.registry import register_mixture
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.schema.domain_names import DomainName
from versatune_plugin.schema.model import Real


class Expand(MixtureOptions):
    """The option ``expand:``, which makes Algorithm 3 of Algorithm 2."""

    domain: DomainName | list[DomainName] = Field(
        description="the domain to cultivate, or several, which share delta equally"
    )
    delta: Real = Field(default=0.02, gt=0, lt=1, description="weight that is added at an update")
    epsilon: Real = Field(
        default=0.5, gt=0, description="how much mean forgetting elsewhere a unit of learnable potential outweighs"
    )
    unconditional: bool = Field(default=False, description="add delta at every update: the ablation without line 8")
    line_9: Literal["corrected", "printed"] = Field(
        default="corrected",
        description="the others share 1 - P_e - delta; or, as printed, each 1 - P_j - delta, renormalised",
    )

    @property
    def domains(self) -> list[str]:
        """The domains to cultivate."""
        return [self.domain] if isinstance(self.domain, str) else self.domain

    def problems(self, domains: Sequence[str]) -> list[str]:
        """Known domains, none twice, and at least one left to take from."""
        problems = [text for name in self.domains for text in unknown_domain("expand.domain", name, domains)]
        if not self.domains or len(set(self.domains)) < len(self.domains):
            problems.append(f"expand.domain: {self.domain!r} must name each domain once, and at least one")
        elif not problems and len(self.domains) >= len(domains):
            problems.append("expand.domain: names every domain, so there is none to take weight from")
        return problems


@register_mixture
class VersaTune(Mixture[HeldoutObservation]):
    """Start at the prior; at each update P'_j = P_j (1 + sigma gamma_j), renormalised (Algorithm 2, equation 2).

    With ``expand``, domains E are cultivated (Algorithm 3): when (1/k) * sum over j not in E of phi_j is under
    epsilon * mean gamma of E, each e in E gets P_e + delta / |E| and the others share the rest in proportion to P'_j.
    Line 9 as printed does not sum to one; ours takes P_e for the P_j in its bracket. What the others keep at
    least is their floor.

    The paper prints no value for sigma, delta or epsilon; docs/defaults.md says how ours were chosen.
    """

    name = "versatune"
    summary = "more of what the model can still learn; `expand` cultivates one domain"
    source = "VersaTune, Algorithms 2 and 3"

    class Options(MixtureOptions):
        """Options of ``mixture: versatune``."""

        sigma: Real = Field(default=1.0, gt=0, le=100, description="magnitude of the adjustment at one update")
        expand: Expand | None = Field(default=None, description="cultivate a domain: Algorithm 3")

        def problems(self, domains: Sequence[str]) -> list[str]:
            """Those of ``expand``."""
            return self.expand.problems(domains) if self.expand else []

    options: Options

    @classmethod
    def requirements(cls, options: Options) -> Requirements:
        """A prior, held-out losses and reference losses."""
        return Requirements(observes=HeldoutObservation, prior=True, reference=True)

    def update(self, observation: HeldoutObservation) -> Vector:
        """P_j (1 + sigma gamma_j), shape (k,); with ``expand``, Algorithm 3."""
        potential, forgetting = observation.potential, observation.forgetting
        moved = observation.weights * (1.0 + self.options.sigma * potential)
        expand = self.options.expand
        if expand is None:
            return moved
        target = np.isin(self.context.domains, expand.domains)
        mean_forgetting = forgetting[~target].sum() / len(target)
        if expand.unconditional or mean_forgetting < expand.epsilon * potential[target].mean():
            return self._expanded(observation.weights, moved, target, expand)
        return moved

    def _expanded(self, weights: Vector, moved: Vector, target: NDArray[np.bool_], expand: Expand) -> Vector:
        step = expand.delta / target.sum()
        rest = moved[~target].sum()
        # Others that have nothing have no proportions either.
        others = moved[~target] / rest if rest > 0 else np.full((~target).sum(), 1.0 / (~target).sum())
        raised = np.empty_like(weights)
        raised[target] = weights[target] + step
        if expand.line_9 == "printed":
            raised[~target] = np.maximum(others * (1.0 - weights[~target] - expand.delta), 0.0)
            return raised
        raised[target] /= max(raised[target].sum(), 1.0)
        raised[~target] = others * (1.0 - raised[target].sum())
        return raised
