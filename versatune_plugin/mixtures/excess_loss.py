"""Mixtures by excess loss over a reference: Sheared-LLaMA's dynamic batch loading and DoReMi's update."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from versatune_plugin.mixtures.base import Mixture, MixtureOptions, Requirements
from versatune_plugin.mixtures.observations import HeldoutObservation
from versatune_plugin.mixtures.registry import register_mixture
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.schema.model import Real


@register_mixture
class DynamicLoading(Mixture[HeldoutObservation]):
    """P_j <- P_j exp(max(l_j - l_ref_j, 0)), renormalised.

    Source: Xia, Gao, Zeng and Chen, "Sheared LLaMA" (ICLR 2024), Algorithm 1.
    """

    name = "dynamic_loading"
    summary = "weights times exp(excess loss)"
    source = "Sheared LLaMA (Xia et al., ICLR 2024), Algorithm 1"

    @classmethod
    def requirements(cls, options: MixtureOptions) -> Requirements:
        """A prior, held-out losses and reference losses."""
        return Requirements(observes=HeldoutObservation, prior=True, reference=True)

    def update(self, observation: HeldoutObservation) -> Vector:
        """P_j exp(excess_j), shape (k,)."""
        return raised(observation.weights, observation.excess)


@register_mixture
class DoReMi(Mixture[HeldoutObservation]):
    """alpha_j <- alpha_j exp(eta * excess_j), renormalised and smoothed: P = (1 - c) alpha + c / k.

    Source: Xie et al., "DoReMi" (NeurIPS 2023), Algorithm 1. DoReMi clips the excess token by token on training
    batches of a proxy model; here it is the excess of held-out losses of the model itself, clipped by domain. As there,
    the smoothed weights are the ones that the next update starts from.
    """

    name = "doremi"
    summary = "weights times exp(eta * excess loss), smoothed with uniform"
    source = "DoReMi (Xie et al., NeurIPS 2023), Algorithm 1, on held-out losses"

    class Options(MixtureOptions):
        """Options of ``mixture: doremi``; the defaults are the paper's."""

        eta: Real = Field(default=1.0, gt=0, le=100, description="step size")
        smoothing: Real = Field(default=1e-3, ge=0, le=1, description="share c of the uniform mixture")

    options: Options

    @classmethod
    def requirements(cls, options: Options) -> Requirements:
        """A prior, held-out losses and reference losses."""
        return Requirements(observes=HeldoutObservation, prior=True, reference=True)

    def update(self, observation: HeldoutObservation) -> Vector:
        """(1 - c) alpha_j + c / k, shape (k,)."""
        alpha = raised(observation.weights, self.options.eta * observation.excess)
        return (1.0 - self.options.smoothing) * alpha + self.options.smoothing / len(alpha)


def raised(weights: Vector, exponents: Vector) -> Vector:
    """weights * exp(exponents), normalised, shape (k,); in log space, so that no exponent overflows."""
    with np.errstate(divide="ignore"):
        logs = np.log(weights) + exponents
    powers = np.exp(logs - logs.max())
    return np.asarray(powers / powers.sum())
