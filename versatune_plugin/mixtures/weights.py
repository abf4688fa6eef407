"""What makes numbers by domain a vector of weights: known domains, finite, not negative, summing to one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.errors import ConfigurationError

Vector = NDArray[np.float64]
Figures = Vector | NDArray[np.int64]


def weight_problems(values: Mapping[str, object], domains: Sequence[str], where: str) -> list[str]:
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
    problems = weight_problems(values, domains, where)
    if problems:
        raise ConfigurationError.collected("these weights cannot be used", problems)
    vector = np.array([float(values[name]) for name in domains])
    return vector / vector.sum()


def by_domain(names: Sequence[str], figures: Figures) -> dict[str, Any]:
    """Figures of shape (k,) as plain JSON."""
    return {name: json_number(value) for name, value in zip(names, figures.tolist(), strict=True)}


def json_number(value: float) -> float | None:
    """JSON has no infinities: they become null."""
    return value if math.isfinite(value) else None
