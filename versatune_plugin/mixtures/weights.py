"""What makes a vector of numbers a mixture: finite, within floor and cap, summing to one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.errors import VersaTuneError

Vector = NDArray[np.float64]


def admissible(weights: Vector, floor: float = 0.0, cap: float = 1.0) -> Vector:
    """The weights in proportion to ``weights`` that lie within ``[floor, cap]`` and sum to one.

    Those that a bound holds are set to it, and the others share the rest in their old proportions, so that a vector
    already within the bounds is only normalised. A weight of zero stays zero where the floor is zero.

    Args:
        weights: shape (k,), non-negative, with a positive sum.
        floor: the least weight of a domain; ``floor * k`` must be under one.
        cap: the greatest weight of a domain; ``cap * k`` must be at least one.

    Returns:
        Shape (k,), float64.
    """
    proportions = np.asarray(weights, dtype=np.float64)
    result = proportions / proportions.sum()
    bounded = np.zeros(len(result), dtype=bool)
    for _ in range(len(result)):
        below, above = ~bounded & (result < floor), ~bounded & (result > cap)
        if not (below.any() or above.any()):
            break
        deficit, excess = (floor - result[below]).sum(), (result[above] - cap).sum()
        # Only the side that is violated more is sure to stay at its bound once the others are rescaled.
        side = below if deficit >= excess else above
        result[side] = floor if deficit >= excess else cap
        bounded |= side
        free = proportions[~bounded]
        rest = 1.0 - result[bounded].sum()
        result[~bounded] = rest * (free / free.sum()) if free.sum() > 0 else rest / max(len(free), 1)
    return result


def complaints(values: Mapping[str, object], domains: Sequence[str], where: str) -> list[str]:
    """Everything that keeps ``values`` from being the weights of ``domains``, one sentence each.

    Args:
        values: domain -> weight, as a user wrote it.
        domains: the domains of the run.
        where: what the sentences name, for example ``"knowledge.json"``.
    """
    known = "the domains of `datasets` are " + ", ".join(domains)
    problems = [f"{where}: unknown domain {name!r}; {known}" for name in values if name not in domains]
    problems += [f"{where}: no entry for domain {name!r}; {known}" for name in domains if name not in values]
    numbers = {}
    for name in (name for name in domains if name in values):
        value = values[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            problems.append(f"{where}: {name} is {value!r}; it must be a finite number that is not negative")
        else:
            numbers[name] = float(value)
    if numbers and not problems and sum(numbers.values()) == 0:
        problems.append(f"{where}: every entry is zero; at least one domain needs a positive weight")
    return problems


def normalised(values: Mapping[str, float], domains: Sequence[str], where: str) -> Vector:
    """Weights or counts by domain as a vector of shape (k,), in the order of ``domains``, that sums to one.

    Raises:
        VersaTuneError: entries are unknown, missing, negative, not finite or all zero.
    """
    problems = complaints(values, domains, where)
    if problems:
        raise VersaTuneError.collected("these weights cannot be used", problems)
    vector = np.array([float(values[name]) for name in domains])
    return vector / vector.sum()
