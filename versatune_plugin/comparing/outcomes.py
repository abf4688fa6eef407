"""What a run is judged by: its held-out losses at the start and at the end, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from versatune_plugin.errors import ArtifactError, ConfigurationError

Unit = Literal["nats_per_token", "bits_per_byte"]
ByDomain = Mapping[str, float]


@dataclass(frozen=True)
class Losses:
    """Held-out losses of a model, on rows that no mixture ever saw.

    Attributes:
        nats_per_token: by domain, in nats per supervised token; NaN where it is not finite.
        bits_per_byte: the same losses in bits per UTF-8 byte of the responses.
    """

    nats_per_token: ByDomain
    bits_per_byte: ByDomain

    def __post_init__(self) -> None:
        if not self.nats_per_token or self.nats_per_token.keys() != self.bits_per_byte.keys():
            raise ArtifactError(
                f"losses in nats per token are of the domains {sorted(self.nats_per_token)}, in bits per byte of "
                f"{sorted(self.bits_per_byte)}: measure the model anew"
            )

    def within(self, unit: Unit) -> ByDomain:
        """The losses in one of the units."""
        return self.nats_per_token if unit == "nats_per_token" else self.bits_per_byte


@dataclass(frozen=True)
class Expansion:
    """A target's gain against what the others lost, relative to before fine-tuning (VersaTune, Figure 2, D.2).

    The paper measures scores of benchmarks; here a domain's gain is the share of its loss that training took away.

    Attributes:
        gains: of every domain, (l(0) - l) / l(0); negative where it got worse. The bars of the figure.
        target: mean over the target's domains.
        others: mean over all others; NaN without any.
        forgetting: mean over all others of what they lost, max(-gain, 0): equation 3 from before to after training.
    """

    gains: ByDomain
    target: float
    others: float
    forgetting: float


@dataclass(frozen=True)
class Outcome:
    """What a run came to, in one unit of the loss.

    Attributes:
        losses: by domain, at the end.
        mean: over the domains, each alike.
        weighted: mean with the user's importance; None where none was given.
        worst: the largest loss of a domain.
        worst_domain: whose it is; of equal ones the first by name.
        expansion: None without a target.
    """

    losses: ByDomain
    mean: float
    weighted: float | None
    worst: float
    worst_domain: str
    expansion: Expansion | None


def importance_weights(importance: Mapping[str, float], domains: Sequence[str]) -> dict[str, float]:
    """Normalised weights of the domains: a domain that is not named has an importance of 1.

    Args:
        importance: as a user wrote it, for example ``{"law": 2}``.
        domains: of the runs.

    Raises:
        ConfigurationError: a name is no domain, or a number is negative or not finite, or all are 0.
    """
    wrong = [
        *_unknown("importance", importance, domains),
        *(
            f"importance.{name}: is {value}, but should be a finite number of at least 0"
            for name, value in importance.items()
            if not (math.isfinite(value) and value >= 0)
        ),
    ]
    if wrong:
        raise ConfigurationError.collected("the importance of domains cannot be used", wrong)
    given = {name: importance.get(name, 1.0) for name in domains}
    total = math.fsum(given.values())
    if not total > 0:
        raise ConfigurationError("importance: every domain has 0; give at least one a larger number")
    return {name: value / total for name, value in given.items()}


def check_targets(targets: Sequence[str], domains: Sequence[str]) -> None:
    """See that a target's domains are domains, and leave others.

    Raises:
        ConfigurationError: they are not, or do not.
    """
    wrong = _unknown("target", targets, domains)
    if targets and not wrong and set(targets) == set(domains):
        wrong = ["target: names every domain, so there are no others that could lose; name fewer"]
    if wrong:
        raise ConfigurationError.collected("the target cannot be used", wrong)


def outcome(
    start: Losses,
    end: Losses,
    unit: Unit,
    weights: Mapping[str, float] | None = None,
    targets: Sequence[str] = (),
) -> Outcome:
    """What a run came to.

    Args:
        start: before training.
        end: after it, of the same rows.
        unit: of the losses.
        weights: by domain, summing to 1 (`importance_weights`).
        targets: domains whose gain is set against what the others lost.
    """
    losses = end.within(unit)
    # A loss that is no number is worse than any that is one.
    worst = max(sorted(losses), key=lambda name: losses[name] if math.isfinite(losses[name]) else math.inf)
    return Outcome(
        losses=losses,
        mean=fmean(losses.values()),
        weighted=None if weights is None else math.fsum(weights[name] * loss for name, loss in losses.items()),
        worst=losses[worst],
        worst_domain=worst,
        expansion=_expansion(start.within(unit), losses, targets) if targets else None,
    )


def _expansion(start: ByDomain, end: ByDomain, targets: Sequence[str]) -> Expansion:
    # From a loss of 0 no share can be taken.
    gains = {name: (start[name] - loss) / start[name] if start[name] > 0 else math.nan for name, loss in end.items()}
    others = [gain for name, gain in gains.items() if name not in targets]
    return Expansion(
        gains=gains,
        target=fmean(gains[name] for name in dict.fromkeys(targets)),
        others=fmean(others) if others else math.nan,
        forgetting=fmean(max(-gain, 0.0) if math.isfinite(gain) else gain for gain in others) if others else math.nan,
    )


def _unknown(place: str, names: Mapping[str, float] | Sequence[str], domains: Sequence[str]) -> list[str]:
    return [
        f"{place}: {name!r} is no domain of the runs; they have {', '.join(sorted(domains))}"
        for name in names
        if name not in domains
    ]
