"""Mixtures and observations as tests make them."""

from __future__ import annotations

from typing import Any

import numpy as np

from versatune_plugin.mixtures.base import Mixture, MixtureContext
from versatune_plugin.mixtures.bounds import Bounds
from versatune_plugin.mixtures.controller import MixtureController
from versatune_plugin.mixtures.observations import BatchLoss, BatchObservation, HeldoutObservation, Measurement
from versatune_plugin.mixtures.registry import MIXTURES
from versatune_plugin.mixtures.stages import PlannedStage, StagedOptions, plan_stages
from versatune_plugin.mixtures.weights import Vector

NAMES = ("code", "law", "medicine")


def make(
    name: str,
    prior: list[float] | Vector,
    rows: list[float] | Vector | None = None,
    domains: tuple[str, ...] = NAMES,
    *,
    seed: int = 0,
    **options: Any,
) -> Mixture[Any]:
    """A mixture with its options, at its start."""
    counts = np.ones(len(domains)) if rows is None else np.array(rows, dtype=np.float64)
    context = MixtureContext(domains, np.array(prior, dtype=np.float64), counts, seed)
    mixture = MIXTURES[name]
    assert issubclass(mixture, Mixture)
    return mixture(mixture.Options(**options), context)


def bounded(mixture: Mixture[Any], weights: Vector, floor: float = 0.0, cap: float = 1.0) -> Vector:
    """What the controller makes of proposed weights."""
    if not mixture.requirements(mixture.options).bounded:
        return weights / weights.sum()
    return Bounds(floor, cap).project(weights)


def control(
    name: str,
    prior: list[float] | Vector,
    rows: list[float] | Vector | None = None,
    domains: tuple[str, ...] = NAMES,
    *,
    floor: float = 0.0,
    cap: float = 1.0,
    batch_size: float = 1.0,
    seed: int = 0,
    total_steps: int = 10**6,
    update_steps: int | None = None,
    reference: list[float] | Vector | None = None,
    **options: Any,
) -> MixtureController:
    """A controller of one mixture, or of stages, at its first step."""
    counts = np.ones(len(domains)) if rows is None else np.array(rows, dtype=np.float64)
    mixture = MIXTURES[name]
    given = mixture.Options(**options)
    if isinstance(given, StagedOptions):
        stages = plan_stages(given.staged(domains), domains, counts.astype(int).tolist(), batch_size)
    else:
        assert issubclass(mixture, Mixture)
        stages = (PlannedStage(mixture, given, 0, total_steps, counts.astype(np.int64)),)
    return MixtureController(
        stages,
        MixtureContext(domains, np.array(prior, dtype=np.float64), counts, seed),
        Bounds(floor, cap),
        total_steps,
        update_steps,
        None if reference is None else np.array(reference),
    )


def heldout(
    weights: Vector | list[float],
    loss: list[float],
    reference: list[float] | None = None,
    before: list[float] | None = None,
    step: int = 1,
) -> HeldoutObservation:
    """An observation of held-out losses."""
    return HeldoutObservation(
        step=step,
        weights=np.array(weights),
        loss=np.array(loss),
        tokens=np.ones(len(loss)),
        previous_loss=None if before is None else np.array(before),
        reference_loss=None if reference is None else np.array(reference),
    )


def batches(weights: Vector | list[float], *losses: tuple[int, float, float], step: int = 1) -> BatchObservation:
    """An observation of training losses: domain, weight and loss of each batch."""
    return BatchObservation(step=step, weights=np.array(weights), batch_losses=tuple(BatchLoss(*one) for one in losses))


def measured(loss: list[float] | Vector, **probes: Any) -> Measurement:
    """A measurement of held-out rows."""
    vector = np.array(loss, dtype=np.float64)
    return Measurement(vector, np.ones(len(vector)), vector, 0.0, **probes)
