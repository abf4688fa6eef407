"""Calibration of a classifier's logits, and its measure (NumPy and SciPy only)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

BINS = 15
# Keeps the biases finite where the logits already separate the domains without a mistake.
_BIAS_PENALTY = 1e-4
_SHARPEST = 100.0


@dataclass(frozen=True)
class Calibration:
    """Probabilities from logits: softmax(sharpness * logits + evidence * bias).

    Attributes:
        sharpness: the inverse of a temperature.
        bias: shape (k,). Without it a domain with few rows stays less probable than its share: weighting its rows does
            not undo that a classifier of very many features sees few of that domain's features. It acts as far as a
            text gives evidence (0 to 1): a text of which nothing is known is not judged by the bias.

    Source: bias-corrected temperature scaling, Alexandari, Kundaje and Shrikumar 2020, "Maximum Likelihood with
    Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation", section 2.
    """

    sharpness: float
    bias: np.ndarray

    @classmethod
    def fit(cls, logits: np.ndarray, evidence: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> Calibration:
        """The maximum of the weighted likelihood.

        Args:
            logits: shape (n, k), of rows that the classifier was not fitted on.
            evidence: of the rows, shape (n,), from 0 to 1.
            truth: column numbers, shape (n,).
            weights: of the rows, shape (n,).
        """
        domains = logits.shape[1]
        right = np.eye(domains)[truth]
        shares = weights / weights.sum()

        def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            scores = log_softmax(parameters[0] * logits + evidence[:, None] * parameters[1:], axis=1)
            slope = shares[:, None] * (np.exp(scores) - right)
            bias = parameters[1:]
            by_bias = evidence @ slope + 2 * _BIAS_PENALTY * bias
            gradient = np.concatenate([[(slope * logits).sum()], by_bias])
            return -float((shares[:, None] * right * scores).sum()) + _BIAS_PENALTY * float(bias @ bias), gradient

        start = np.concatenate([[1.0], np.zeros(domains)])
        bounds = [(1 / _SHARPEST, _SHARPEST), *[(None, None)] * domains]
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        return cls(float(found[0]), found[1:])

    def probabilities(self, logits: np.ndarray, evidence: np.ndarray) -> np.ndarray:
        """Calibrated probabilities.

        Args:
            logits: shape (n, k).
            evidence: of the rows, shape (n,), from 0 to 1.

        Returns:
            Shape (n, k); each row sums to 1.
        """
        given: np.ndarray = softmax(self.sharpness * logits + evidence[:, None] * self.bias, axis=1)
        return given


def expected_calibration_error(given: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    """Mean distance of confidence and accuracy over 15 bins of the highest probability, by weight of the bin.

    Args:
        given: probabilities, shape (n, k).
        truth: column numbers, shape (n,).
        weights: of the rows, shape (n,).

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    confidence = given.max(axis=1)
    right = given.argmax(axis=1) == truth
    bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(int)
    gaps = np.bincount(bins, weights=weights * (confidence - right), minlength=BINS)
    return float(np.abs(gaps).sum() / weights.sum())
