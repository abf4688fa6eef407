"""Synthetic runs of a comparison: held-out losses with known differences and noise, without a model."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from versatune_plugin.comparing.outcomes import Losses
from versatune_plugin.comparing.runs import Budget, Cost, Run

BYTES_PER_TOKEN = 3.5
START = 3.0


def losses(nats: Mapping[str, float]) -> Losses:
    """The same losses in both units."""
    return Losses(dict(nats), {name: loss / (BYTES_PER_TOKEN * np.log(2)) for name, loss in nats.items()})


def run(
    mixture: str,
    seed: int,
    end: Mapping[str, float],
    *,
    budget: Budget = "training",
    start: Mapping[str, float] | None = None,
    seconds: float = 100,
    overhead: float = 0,
    rows: int = 1000,
) -> Run:
    """A run with these losses at its end, in nats per token."""
    cost = Cost(
        training_seconds=seconds,
        measuring_seconds=0,
        prior_seconds=overhead,
        reference_seconds=0,
        rows=dict.fromkeys(end, rows),
        supervised_tokens=dict.fromkeys(end, 50 * rows),
        passes=dict.fromkeys(end, rows / 400),
    )
    return Run(mixture, seed, budget, losses(start or dict.fromkeys(end, START)), losses(end), cost)


def campaign(
    mixtures: Mapping[str, Mapping[str, float]],
    seeds: Sequence[int],
    spread: Mapping[str, float],
    stream: int = 0,
    budget: Budget = "training",
    **options: float,
) -> list[Run]:
    """Runs of mixtures with known mean losses.

    Args:
        mixtures: by mixture, the true loss of each domain.
        seeds: of the runs. What one does to all mixtures is ten times ``spread``.
        spread: standard deviation of a run's own noise, by domain.
        stream: another one gives other noise.
        budget: as of `run`.
        options: of `run`.
    """
    made = []
    for mixture, of in mixtures.items():
        for seed in seeds:
            shared = np.random.default_rng([stream, seed])
            own = np.random.default_rng([stream, seed, zlib.crc32(f"{budget} {mixture}".encode())])
            end = {
                name: of[name] + 10 * shared.normal(0, spread[name]) + own.normal(0, spread[name])
                for name in sorted(of)
            }
            made.append(run(mixture, seed, end, budget=budget, **options))  # type: ignore[arg-type]
    return made
