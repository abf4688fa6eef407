"""How good a judge's probabilities are, on rows whose domain is known (NumPy and SciPy only)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from versatune_plugin.knowledge.correction import LEAST_PROBABILITY, LabelledJudgements
from versatune_plugin.knowledge.judges.calibration import BINS, expected_calibration_error

_COLDEST, _HOTTEST = 0.01, 100.0


@dataclass(frozen=True)
class ReliabilityBin:
    """One bin of a reliability diagram: rows whose highest probability is above ``low`` and at most ``high``.

    Attributes:
        low: the lower edge.
        high: the upper edge.
        confidence: the mean highest probability of its rows; None without a row.
        accuracy: the share of its rows that are judged right; None without a row.
        count: its rows.
    """

    low: float
    high: float
    confidence: float | None
    accuracy: float | None
    count: int


@dataclass(frozen=True)
class JudgeQuality:
    """A judge's quality on labelled rows. Every domain weighs the same, however many rows it has.

    Attributes:
        domains: the names, in the order of the columns.
        rows: of each domain, usable ones.
        unusable: rows without a usable judgement; they are in nothing else.
        accuracy: balanced, the mean of the domains' recalls.
        confusion: shape (k, k), how many rows of a domain (row) are judged to be of a domain (column).
        calibration_error: expected calibration error, see `expected_calibration_error`.
        brier: the mean of the squared distances between probabilities and the truth as 0 and 1, summed over the
            domains: from 0 (always sure and right) to 2; (k - 1) / k for a judge that knows nothing (Brier 1950).
        log_loss: the mean of -log of the probability given to the truth, in nats; a probability below 2.2e-16 counts
            as that.
        temperature: what log-probabilities should be divided by: above 1 for a judge that is too sure.
        calibration_error_scaled: the expected calibration error after a temperature that was fitted on the other half
            of the rows.
        reliability: the bins of the expected calibration error, for a picture.
    """

    domains: tuple[str, ...]
    rows: tuple[int, ...]
    unusable: int
    accuracy: float
    confusion: np.ndarray
    calibration_error: float
    brier: float
    log_loss: float
    temperature: float
    calibration_error_scaled: float
    reliability: tuple[ReliabilityBin, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain JSON; ``confusion[a][b]`` counts rows of a that are judged to be of b."""
        counts = self.confusion.tolist()
        return {
            "rows": dict(zip(self.domains, self.rows, strict=True)),
            "unusable": self.unusable,
            "accuracy": self.accuracy,
            "confusion": {
                name: dict(zip(self.domains, row, strict=True)) for name, row in zip(self.domains, counts, strict=True)
            },
            "calibration_error": self.calibration_error,
            "brier": self.brier,
            "log_loss": self.log_loss,
            "temperature": self.temperature,
            "calibration_error_scaled": self.calibration_error_scaled,
            "reliability": [asdict(one) for one in self.reliability],
        }


def quality(labelled: LabelledJudgements, domains: Sequence[str]) -> JudgeQuality:
    """Measure a judge.

    Args:
        labelled: what it says of rows that it has not learnt from.
        domains: the names of the columns.

    Raises:
        DataError: a domain without any usable labelled row.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", sections 2 and 4.2 (temperature scaling).
    """
    rows = labelled.usable()
    given, truth = rows.given, rows.truth
    counts = np.bincount(truth)
    weights = 1 / (counts[truth] * len(counts))
    taken = given.argmax(axis=1)
    confusion = np.zeros((len(counts), len(counts)), dtype=np.int64)
    np.add.at(confusion, (truth, taken), 1)
    of_truth = np.maximum(given[np.arange(len(truth)), truth], np.finfo(np.float64).eps)
    return JudgeQuality(
        domains=tuple(domains),
        rows=tuple(counts.tolist()),
        unusable=len(labelled.truth) - len(truth),
        accuracy=float((confusion.diagonal() / counts).mean()),
        confusion=confusion,
        calibration_error=expected_calibration_error(given, truth, weights),
        brier=float(weights @ ((given - np.eye(len(counts))[truth]) ** 2).sum(axis=1)),
        log_loss=float(-weights @ np.log(of_truth)),
        temperature=fitted_temperature(given, truth, weights),
        calibration_error_scaled=expected_calibration_error(_cross_fitted(given, truth, weights), truth, weights),
        reliability=_reliability(given, truth, weights),
    )


def fitted_temperature(given: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """The temperature of maximum likelihood, from 0.01 to 100; 1 where none is more likely.

    Args:
        given: probabilities, shape (n, k).
        truth: column numbers, shape (n,).
        weights: of the rows, shape (n,).
    """
    logits = np.log(np.maximum(given, LEAST_PROBABILITY))

    def loss(logarithm: float) -> float:
        scores = log_softmax(logits * np.exp(-logarithm), axis=1)
        return -float(weights @ scores[np.arange(len(truth)), truth])

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x)) if found.fun < loss(0.0) - 1e-12 else 1.0


def _cross_fitted(given: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The probabilities at the temperature of the other half, shape (n, k). Each domain's rows are halved by turns."""
    half = np.zeros(len(truth), dtype=bool)
    for domain in np.unique(truth):
        half[np.flatnonzero(truth == domain)[1::2]] = True
    scaled = np.empty_like(given)
    logits = np.log(np.maximum(given, LEAST_PROBABILITY))
    for here, other in ((half, ~half), (~half, half)):
        # With one row of every domain the second half is empty, and nothing can be fitted.
        temperature = fitted_temperature(given[other], truth[other], weights[other]) if other.any() else 1.0
        scaled[here] = softmax(logits[here] / temperature, axis=1)
    return scaled


def _reliability(given: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple[ReliabilityBin, ...]:
    confidence, right = given.max(axis=1), given.argmax(axis=1) == truth
    bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(int)
    found = []
    for number in range(BINS):
        inside = bins == number
        count = int(inside.sum())
        of_rows = weights[inside]
        found.append(
            ReliabilityBin(
                low=number / BINS,
                high=(number + 1) / BINS,
                confidence=float(np.average(confidence[inside], weights=of_rows)) if count else None,
                accuracy=float(np.average(right[inside], weights=of_rows)) if count else None,
                count=count,
            )
        )
    return tuple(found)
