"""The learning rate of a staged run: each stage with a warm-up and a decay of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from versatune_plugin.mixtures.stages import PlannedStage, Stage

# Axolotl's own default.
WARMUP_RATIO = 0.03


def stage_scheduler(optimizer: Optimizer, cfg: Any, stages: Sequence[PlannedStage]) -> LambdaLR:
    """A scheduler over all stages.

    Args:
        optimizer: with the run's learning rate in its groups.
        cfg: Axolotl's configuration: ``learning_rate``, ``lr_scheduler``, ``warmup_steps`` and ``warmup_ratio`` hold
            for every stage that does not say otherwise.
        stages: in order.
    """

    def factor(step: int) -> float:
        planned = [stage for stage in stages if stage.first_step <= step][-1]
        stage = planned.configured
        assert stage is not None
        decay = stage.lr_scheduler or cfg.lr_scheduler or "cosine"
        peak = 1.0 if stage.learning_rate is None else stage.learning_rate / float(cfg.learning_rate)
        return peak * learning_rate_factor(
            str(decay), step - planned.first_step, warmup_steps(cfg, stage, planned.steps), planned.steps
        )

    return LambdaLR(optimizer, factor)


def warmup_steps(cfg: Any, stage: Stage, steps: int) -> int:
    """Optimizer steps of the warm-up of a stage of so many."""
    if stage.warmup_ratio is not None:
        return math.ceil(stage.warmup_ratio * steps)
    if cfg.warmup_steps is not None:
        return min(int(cfg.warmup_steps), steps)
    ratio = WARMUP_RATIO if cfg.warmup_ratio is None else cfg.warmup_ratio
    return math.ceil(ratio * steps)


def learning_rate_factor(decay: str, step: int, warmup: int, steps: int) -> float:
    """The share of its peak that the learning rate has at a stage's optimizer step (0 is its first)."""
    if step < warmup:
        return step / warmup
    progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
    if decay == "constant":
        return 1.0
    if decay == "linear":
        return 1.0 - progress
    return 0.5 * (1.0 + math.cos(math.pi * progress))
