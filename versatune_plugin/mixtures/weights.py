"""What makes numbers by domain a vector of weights: known domains, finite, not negative, summing to one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.schema.model import number_hint, shown

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
    for name in (name for name in domains if name in values):
        if not _is_weight(value := values[name]):
            must = "it must be a finite number that is not negative"
            problems.append(f"{where}: {name} is {shown(value)}; {must}{number_hint(value)}")
    if values and not problems and not any(values.values()):
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
    # By a power of two, which changes no digit: the sum of huge ones is no number any more.
    vector = np.ldexp(vector, -int(np.frexp(vector.max())[1]))
    return np.asarray(vector / vector.sum())


def _is_weight(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value) and value >= 0
    except OverflowError:  # an integer that no float can hold
        return False


def by_domain(names: Sequence[str], figures: Figures) -> dict[str, Any]:
    """Figures of shape (k,) as plain JSON."""
    return {name: json_number(value) for name, value in zip(names, figures.tolist(), strict=True)}


def json_number(value: float) -> float | None:
    """JSON has no infinities: they become null."""
    return value if math.isfinite(value) else None
