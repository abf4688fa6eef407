"""Online Data Mixing: an EXP3 bandit whose reward is the training loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from versatune_plugin.mixtures.base import Mixture, MixtureContext, MixtureOptions, MixtureState, Requirements
from versatune_plugin.mixtures.observations import BatchObservation
from versatune_plugin.mixtures.registry import register_mixture
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.schema.model import Real


class BanditState(MixtureState):
    """Mean reward of each domain and the number of batches seen."""

    rewards: dict[str, float]
    batches: int = Field(ge=0)


@register_mixture
class OnlineDataMixing(Mixture[BatchObservation]):
    """Each batch comes from one domain, drawn from P; its training loss, over the weight of the draw, is the reward.

    R_i <- alpha R_i + (1 - alpha) L_i / P_i for the domain drawn, then, with the exploration rate
    e_t = min(1/k, sqrt(ln k / (k t))), P = (1 - k e_t) softmax(e_(t-1) R) + e_t. The softmax is taken in log space, so
    that no reward overflows. No forward pass is added.

    Source: Albalak et al., "Efficient Online Data Mixing for Language Model Pre-Training" (2023), Algorithm 1, with one
    draw for a whole global batch.
    """

    name = "odm"
    summary = "a bandit: more of what has high training loss"
    source = "ODM (Albalak et al., 2023), Algorithm 1 (EXP3)"

    class Options(MixtureOptions):
        """Options of ``mixture: odm``."""

        alpha: Real = Field(default=0.9, ge=0, lt=1, description="share of the old reward in the new one")

    options: Options

    def __init__(self, options: MixtureOptions, context: MixtureContext) -> None:
        super().__init__(options, context)
        self._rewards: Vector = np.zeros(len(context.domains))
        self._batches = 0

    @classmethod
    def requirements(cls, options: Options) -> Requirements:
        """Training losses after every step, of batches that are drawn from one domain."""
        return Requirements(observes=BatchObservation, single_domain_batches=True, update_steps=1)

    def initial_weights(self) -> Vector:
        """1 / k for each domain, shape (k,): the exploration rate begins at 1 / k."""
        return np.ones(len(self.context.domains))

    def update(self, observation: BatchObservation) -> Vector:
        """The bandit's next distribution, shape (k,)."""
        alpha = self.options.alpha
        for batch in observation.batch_losses:
            reward = batch.loss / batch.weight
            self._rewards[batch.domain] = alpha * self._rewards[batch.domain] + (1 - alpha) * reward
            self._batches += 1
        k = len(self._rewards)
        scores = self._exploration(self._batches) * self._rewards
        powers = np.exp(scores - scores.max())
        now = self._exploration(self._batches + 1)
        return np.asarray((1.0 - k * now) * powers / powers.sum() + now)

    def state_dict(self) -> dict[str, Any]:
        """Mean reward of each domain and the number of batches seen."""
        return {
            "rewards": dict(zip(self.context.domains, self._rewards.tolist(), strict=True)),
            "batches": self._batches,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        kept = BanditState.model_validate(state)
        if kept.rewards.keys() != set(self.context.domains):
            raise ValueError(f"rewards are of the domains {sorted(kept.rewards)}")
        self._rewards = np.array([kept.rewards[name] for name in self.context.domains], dtype=np.float64)
        self._batches = kept.batches

    def _exploration(self, batch: int) -> float:
        """e_t of batch 1, 2, ...; that of batch 0 is 1 / k."""
        k = len(self._rewards)
        return min(1.0 / k, math.sqrt(math.log(k) / (k * batch))) if batch > 0 else 1.0 / k
