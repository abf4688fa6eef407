"""Mixture-of-Skills: a scorer learns, by reinforcement, which domain to draw from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from versatune_plugin.mixtures.base import (
    Mixture,
    MixtureContext,
    MixtureOptions,
    MixtureState,
    Requirements,
    unknown_domain,
)
from versatune_plugin.mixtures.observations import ProbeObservation
from versatune_plugin.mixtures.registry import register_mixture
from versatune_plugin.mixtures.scorer import Scorer
from versatune_plugin.mixtures.static import Tau, tempered
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.schema.domain_names import DomainName
from versatune_plugin.schema.model import Real
from versatune_plugin.schema.wording import counted


class SkillsState(MixtureState):
    """The scorer's parameters and the rewards of the last update, one for each domain."""

    scorer: dict[str, Any]
    rewards: list[float] | None


@register_mixture
class MixtureOfSkills(Mixture[ProbeObservation]):
    """The scorer's distribution, moved at each update by the domains' rewards (Algorithm 1, equations 6 to 11).

    - cossim: R(i) = mean over n of cos(z_i, z_n), z the mean top-layer state of the domain's held-out rows;
    - diff: R(i) = mean over rows of perplexity now / perplexity before training, which is scored once and kept;
    - ema: R = beta R_now + (1 - beta) R_before, where R_before is the smoothed reward of the update before.

    With ``target`` (MoSpec): cossim to the target alone, or the target's diff doubled. The same rows are scored each
    time where the paper draws a new mini-batch, so that rewards differ by the model and not by the draw.
    """

    name = "skills"
    summary = "a scorer learns by reinforcement what to draw (Mixture-of-Skills); `target` makes it MoSpec"
    source = "Mixture-of-Skills (Wu et al., EMNLP 2024), Algorithm 1, equations 6 to 11"

    class Options(MixtureOptions):
        """Options of ``mixture: skills``."""

        reward: Literal["cossim", "diff"] = Field(default="cossim", description="transferability or difficulty")
        ema: Real = Field(default=0.9, gt=0, le=1, description="beta: share of the new reward; 1: no average")
        target: DomainName | None = Field(default=None, description="MoSpec: the domain to specialise in")
        tau: Tau = Field(default=math.inf, description="temperature of the first weights; .inf: uniform")
        scorer_learning_rate: Real = Field(default=0.01, gt=0, description="gamma, the step of the scorer")
        hidden: int = Field(default=64, ge=0, le=4096, description="units of the scorer's hidden layer; 0: free logits")
        batches: Literal["single", "mixed"] = Field(
            default="single", description="a batch from one domain, as in the paper, or from all in proportion"
        )

        def problems(self, domains: Sequence[str]) -> list[str]:
            """The target must be one of the run's domains."""
            return unknown_domain("target", self.target, domains) if self.target is not None else []

    options: Options

    def __init__(self, options: MixtureOptions, context: MixtureContext) -> None:
        super().__init__(options, context)
        self._scorer = Scorer(
            tempered(context.rows, self.options.tau),
            self.options.hidden,
            self.options.scorer_learning_rate,
            context.seed,
        )
        self._rewards: Vector | None = None

    @classmethod
    def requirements(cls, options: Options) -> Requirements:
        """Probes; batches as the option `batches` says."""
        return Requirements(observes=ProbeObservation, single_domain_batches=options.batches == "single")

    def initial_weights(self) -> Vector:
        """The temperature prior, shape (k,)."""
        return self._scorer.probabilities

    def update(self, observation: ProbeObservation) -> Vector:
        """The scorer's distribution after one step, shape (k,)."""
        rewards = self._rewards_now(observation)
        if self._rewards is not None:
            rewards = self.options.ema * rewards + (1.0 - self.options.ema) * self._rewards
        self._rewards = rewards
        return self._scorer.reinforce(rewards)

    def state_dict(self) -> dict[str, Any]:
        """The scorer's parameters and the rewards of the last update."""
        return {
            "scorer": self._scorer.state_dict(),
            "rewards": None if self._rewards is None else self._rewards.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        kept = SkillsState.model_validate(state)
        if kept.rewards is not None and len(kept.rewards) != len(self.context.domains):
            raise ValueError(
                f"there are {counted(len(kept.rewards), 'reward')} for {counted(len(self.context.domains), 'domain')}"
            )
        self._scorer.load_state_dict(kept.scorer)
        self._rewards = None if kept.rewards is None else np.array(kept.rewards, dtype=np.float64)

    def _rewards_now(self, observation: ProbeObservation) -> Vector:
        target = None if self.options.target is None else self.context.domains.index(self.options.target)
        if self.options.reward == "cossim":
            similarity = observation.similarity
            return similarity.mean(axis=1) if target is None else similarity[:, target]
        rewards = observation.difficulty.copy()
        if target is not None:
            rewards[target] *= 2.0
        return rewards
