"""Policies as tests make them, and the caller's rule for what they propose."""

from __future__ import annotations

from typing import Any

import numpy as np

from versatune_plugin.mixtures.base import Policy, Signal, Start
from versatune_plugin.mixtures.registry import POLICIES
from versatune_plugin.mixtures.weights import Vector, admissible

NAMES = ("code", "law", "medicine")


def make(
    name: str,
    prior: list[float] | Vector,
    rows: list[float] | Vector | None = None,
    domains: tuple[str, ...] = NAMES,
    *,
    floor: float = 0.0,
    cap: float = 1.0,
    batch_size: int = 1,
    seed: int = 0,
    **options: Any,
) -> Policy:
    """A policy with its options, at its start."""
    counts = np.ones(len(domains)) if rows is None else np.array(rows, dtype=np.float64)
    start = Start(domains, np.array(prior, dtype=np.float64), counts, floor, cap, float(batch_size), seed)
    return POLICIES[name](POLICIES[name].Options(**options), start)


def bounded(policy: Policy, weights: Vector) -> Vector:
    """What training/run_plan.py makes of proposed weights."""
    if policy.exact:
        return weights / weights.sum()
    return admissible(weights, policy.start.floor, policy.start.cap)


def heldout(
    weights: Vector | list[float],
    loss: list[float],
    reference: list[float] | None = None,
    before: list[float] | None = None,
    step: int = 1,
) -> Signal:
    """A signal of held-out losses."""
    return Signal(
        step,
        np.array(weights),
        np.array(loss),
        np.ones(len(loss)),
        None if before is None else np.array(before),
        None if reference is None else np.array(reference),
    )
