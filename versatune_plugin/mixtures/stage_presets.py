"""The strategies that the DMT paper compares, as lists of stages."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from versatune_plugin.mixtures.base import unknown_domain
from versatune_plugin.mixtures.registry import register_mixture
from versatune_plugin.mixtures.stages import Passes, Share, Stage, StagedMixture, StagedOptions
from versatune_plugin.schema.domain_names import DomainName


@register_mixture
class Multitask(StagedMixture):
    """All domains mixed, all their rows, in one stage."""

    name = "multitask"
    summary = "all rows of all domains mixed: one stage"
    source = "DMT (Dong et al., ACL 2024), section 3.5, multi-task learning"

    class Options(StagedOptions):
        """Options of ``mixture: multitask``."""

        epochs: Passes = Field(default=1.0, description="passes over all rows")

        def staged(self, domains: Sequence[str]) -> list[Stage]:
            """One stage."""
            return [Stage(epochs=self.epochs)]


@register_mixture
class Sequential(StagedMixture):
    """One domain after the other."""

    name = "sequential"
    summary = "one domain after the other, in a given order"
    source = "DMT (Dong et al., ACL 2024), section 3.5, sequential training"

    class Options(StagedOptions):
        """Options of ``mixture: sequential``."""

        order: list[DomainName] = Field(min_length=1, description="every domain once, the last one trained last")
        epochs: Passes = Field(default=1.0, description="passes over each domain")

        def staged(self, domains: Sequence[str]) -> list[Stage]:
            """A stage for each domain."""
            return [Stage(domains=[name], epochs=self.epochs) for name in self.order]

        def problems(self, domains: Sequence[str]) -> list[str]:
            """Every domain, once."""
            problems = [text for name in self.order for text in unknown_domain("order", name, domains)]
            if not problems and sorted(self.order) != sorted(domains):
                problems.append(f"order: {self.order} must name every domain once; they are {', '.join(domains)}")
            return problems


@register_mixture
class MixedSequential(StagedMixture):
    """The specialised domains mixed, then the general one."""

    name = "mixed_sequential"
    summary = "the specialised domains mixed, then the general one"
    source = "DMT (Dong et al., ACL 2024), section 3.5, mixed sequential training"

    class Options(StagedOptions):
        """Options of ``mixture: mixed_sequential``."""

        general: DomainName = Field(description="the general domain; all others are specialised")
        epochs: Passes = Field(default=1.0, description="passes over each stage's rows")

        def staged(self, domains: Sequence[str]) -> list[Stage]:
            """Two stages."""
            specialised = [name for name in domains if name != self.general]
            return [Stage(domains=specialised, epochs=self.epochs), Stage(domains=[self.general], epochs=self.epochs)]

        def problems(self, domains: Sequence[str]) -> list[str]:
            """A general domain and at least one other."""
            return general_problems(self.general, domains)


@register_mixture
class DualStageMixed(StagedMixture):
    """DMT: the specialised domains mixed, then the general one with a fixed share of each specialised domain."""

    name = "dmt"
    summary = "the specialised domains, then the general one with a fixed share of each specialised domain"
    source = "DMT (Dong et al., ACL 2024), section 3.5, dual-stage mixed fine-tuning"

    class Options(StagedOptions):
        """Options of ``mixture: dmt``."""

        general: DomainName = Field(description="the general domain; all others are specialised")
        share: Share = Field(default=1 / 256, description="k: the fixed share of each specialised domain in stage two")
        epochs: Passes = Field(default=1.0, description="passes over each stage's rows")

        def staged(self, domains: Sequence[str]) -> list[Stage]:
            """Two stages."""
            specialised = [name for name in domains if name != self.general]
            return [
                Stage(domains=specialised, epochs=self.epochs),
                Stage(domains={self.general: 1.0, **dict.fromkeys(specialised, self.share)}, epochs=self.epochs),
            ]

        def problems(self, domains: Sequence[str]) -> list[str]:
            """A general domain and at least one other."""
            return general_problems(self.general, domains)


def general_problems(general: str, domains: Sequence[str]) -> list[str]:
    """What is wrong with the choice of the general domain."""
    problems = unknown_domain("general", general, domains)
    if not problems and len(domains) < 2:
        problems.append(f"general: {general!r} is the only domain; the first stage needs others")
    return problems
