"""A run of a comparison: whose it is, what it measured, what it cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from versatune_plugin.comparing.outcomes import Losses
from versatune_plugin.errors import ArtifactError

# What is made equal between mixtures: what they train on, or all that they cost.
Budget = Literal["training", "total"]
TrainingUnit = Literal["rows", "supervised_tokens"]


@dataclass(frozen=True)
class Cost:
    """What one run took.

    Attributes:
        training_seconds: wall clock of training, without what is named below.
        measuring_seconds: of held-out losses and probes that the mixture asks for; not of those that report.
        prior_seconds: of detecting the knowledge distribution, 0 where the mixture needs none.
        reference_seconds: of the reference losses, 0 where the mixture needs none.
        rows: drawn, by domain.
        supervised_tokens: drawn, by domain.
        passes: over each domain's rows.
    """

    training_seconds: float
    measuring_seconds: float
    prior_seconds: float
    reference_seconds: float
    rows: Mapping[str, int]
    supervised_tokens: Mapping[str, int]
    passes: Mapping[str, float]

    @property
    def total_seconds(self) -> float:
        """All of it. Who trains once pays prior and reference losses in full, so every run that needs them does."""
        return self.training_seconds + self.measuring_seconds + self.prior_seconds + self.reference_seconds

    def trained(self, unit: TrainingUnit) -> int:
        """Rows or supervised tokens of all domains together."""
        return sum((self.rows if unit == "rows" else self.supervised_tokens).values())


@dataclass(frozen=True)
class Run:
    """One run of a comparison.

    Attributes:
        mixture: its name in the comparison, options included.
        seed: runs of the same seed have the same start and the same rows in the same order within a domain.
        budget: what its length was chosen for. ``training``: as much training as every other mixture; ``total``: less
            training than that where the mixture costs more besides, so that the total is equal.
        start: held-out losses before training.
        end: after it.
        cost: what it took.
    """

    mixture: str
    seed: int
    budget: Budget
    start: Losses
    end: Losses
    cost: Cost


def domains_of(runs: Sequence[Run]) -> tuple[str, ...]:
    """The domains of all runs, sorted.

    Raises:
        ArtifactError: there is no run, two are of one mixture, seed and budget, their domains differ, or a cost is no
            finite number of at least 0.
    """
    if not runs:
        raise ArtifactError("there is no run to compare: wait for one to finish, or name another folder")
    domains = set(runs[0].end.nats_per_token)
    wrong = [
        f"{name} is there {count} times: leave one" for name, count in Counter(map(_name, runs)).items() if count > 1
    ]
    for run in runs:
        parts = {
            "losses at the start": run.start.nats_per_token,
            "losses at the end": run.end.nats_per_token,
            "rows": run.cost.rows,
            "supervised tokens": run.cost.supervised_tokens,
            "passes": run.cost.passes,
        }
        wrong += [
            f"{_name(run)}: its {what} are of {', '.join(sorted(part))}, and not of {', '.join(sorted(domains))}: "
            "compare runs of the same domains"
            for what, part in parts.items()
            if set(part) != domains
        ]
        cost = run.cost
        seconds = (cost.training_seconds, cost.measuring_seconds, cost.prior_seconds, cost.reference_seconds)
        if not (all(math.isfinite(one) and one >= 0 for one in seconds) and cost.training_seconds > 0):
            wrong.append(f"{_name(run)}: its seconds {seconds} should be finite, at least 0, and above 0 for training")
    if wrong:
        raise ArtifactError.collected("the runs cannot be compared", wrong)
    return tuple(sorted(domains))


def _name(run: Run) -> str:
    return f"the run of {run.mixture!r} with seed {run.seed} (equal {run.budget} budget)"
