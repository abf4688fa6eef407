"""Shares corrected for a judge's mistakes, which labelled rows show, with the uncertainty of both (NumPy and SciPy).

A judge that takes a tenth of the texts of one domain for another shifts every mean of its probabilities. Rows whose
domain is known say by how much, and two estimators undo it: adjusted counts and expectation maximisation. Both assume
that the judge errs on the texts of a domain as it does on that domain's labelled rows ("label shift").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from versatune_plugin.errors import DataError
from versatune_plugin.knowledge import estimation
from versatune_plugin.knowledge.estimation import bootstrap_generator, bootstrap_means, percentile95, usable
from versatune_plugin.knowledge.judges.calibration import Calibration

ESTIMATORS = ("mean", "label", "adjusted", "em")
"""The mean probability; the share of texts that each domain is most probable for; and the two corrections."""

# Expectation maximisation costs tens of milliseconds a resample. The ends of a 95 % interval are then known to about
# 7 % of its half width; above 10,000 texts fewer resamples keep the time about constant.
EM_RESAMPLES = 400
_LEAST_EM_RESAMPLES = 100
_EM_TEXTS = 4_000_000
_EM_STEPS = 2000
_EM_CHANGE = 1e-8
# Expectation maximisation comes ever nearer to a share of 0 and never there.
_LEAST_SHARE = 1e-6
# A judge's zero is not taken at its word: its logarithm would be infinite.
LEAST_PROBABILITY = 1e-6
# Decides only where the labelled rows do not: a judge that takes two domains for each other alike.
_RIDGE = 1e-4
_LABELLED, _EM, _TIES = 1, 2, 3


@dataclass(frozen=True)
class LabelledJudgements:
    """What a judge says of rows whose domain is known and that it has not learnt from.

    Attributes:
        given: its probabilities, float64, shape (m, k); a row of NaN is a judgement that cannot be used.
        truth: the column of each row's domain, int, shape (m,).

    Raises:
        ValueError: the shapes do not fit, or a column does not exist.
    """

    given: np.ndarray
    truth: np.ndarray

    def __post_init__(self) -> None:
        if self.given.ndim != 2 or self.truth.shape != self.given.shape[:1]:
            raise ValueError(f"{self.given.shape} probabilities of {self.truth.shape} labelled rows")
        if len(self.truth) and not 0 <= self.truth.min() <= self.truth.max() < self.given.shape[1]:
            raise ValueError(f"a label of 0 to {self.given.shape[1] - 1} is {self.truth.min()} or {self.truth.max()}")

    def usable(self) -> LabelledJudgements:
        """Without the rows of NaN.

        Raises:
            DataError: a domain is left without a row.
        """
        kept = ~np.isnan(self.given).any(axis=1)
        left = LabelledJudgements(self.given[kept], self.truth[kept])
        counts = np.bincount(left.truth, minlength=self.given.shape[1])
        if not counts.all():
            raise DataError(
                f"the domains number {', '.join(str(column + 1) for column in np.flatnonzero(counts == 0))} have no "
                "labelled row with a usable judgement, so nothing says how the judge errs on them: add rows of them, "
                "or do without labelled rows"
            )
        return left


@dataclass(frozen=True)
class ShareEstimate:
    """Shares of k domains and how far to trust them.

    Attributes:
        probabilities: shape (k,); sums to 1.
        interval95: shape (k, 2), bootstrap percentiles.
        covariance: shape (k, k), of the bootstrap's replicates.
    """

    probabilities: np.ndarray
    interval95: np.ndarray
    covariance: np.ndarray


def estimate_shares(
    judgements: Sequence[np.ndarray], labelled: LabelledJudgements | None, seed: int
) -> dict[str, ShareEstimate]:
    """The shares of the domains by every estimator that there are rows for.

    Iterations weigh the same in all of them. ``mean`` is VersaTune's equation 1, as `estimation.estimate` gives it.
    The intervals of ``mean`` and ``label`` know only that other texts could have been written, those of ``adjusted``
    and ``em`` also that other rows could have been labelled. Where the labelled rows do not say how to tell domains
    apart (a judge that gives all of them the same), a replicate takes any shares for as likely, so that the interval is
    wide.

    Args:
        judgements: one array per iteration, shape (texts, k); a row of NaN is a text without a usable judgement.
        labelled: the same judge on labelled rows; without them there are only ``mean`` and ``label``.
        seed: of the bootstrap, which draws texts anew within iterations and rows within domains, both at once.

    Returns:
        By names of `ESTIMATORS`, in their order.

    Raises:
        ArtifactError: an iteration without any usable judgement.
        DataError: a domain without any usable labelled row.
        ValueError: judgements of texts and of rows are of different numbers of domains.

    Source: adjusted counts with probabilities, Bella et al. 2010, "Quantification via Probability Estimators", over
    the simplex as Bunse 2022, "On Multi-Class Extensions of Adjusted Classify and Count"; expectation maximisation,
    Saerens, Latinne and Decaestecker 2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities",
    section 2.2, after the calibration of Alexandari, Kundaje and Shrikumar 2020.
    """
    parsed = usable(judgements)
    hard = [most_probable(rows) for rows in parsed]
    of_mean = bootstrap_means(parsed, seed)
    found = {
        "mean": _share_estimate(_mean(parsed), of_mean),
        "label": _share_estimate(_mean(hard), bootstrap_means(hard, seed)),
    }
    if labelled is not None:
        if labelled.given.shape[1] != parsed[0].shape[1]:
            raise ValueError(f"{parsed[0].shape[1]} domains of the texts, {labelled.given.shape[1]} of labelled rows")
        rows = labelled.usable()
        found["adjusted"] = _adjusted(_mean(parsed), of_mean, rows, seed)
        found["em"] = _expectation_maximisation(parsed, rows, seed)
    return found


def most_probable(rows: np.ndarray) -> np.ndarray:
    """1 for the most probable domain of each row and 0 for the others, shape (n, k); a tie is split evenly."""
    highest = (rows == rows.max(axis=1, keepdims=True)).astype(np.float64)
    return highest / highest.sum(axis=1, keepdims=True)


def adjusted_shares(rates: np.ndarray, observed: np.ndarray, doubtful: np.ndarray) -> np.ndarray:
    """The shares p on the simplex for which ``rates @ p`` is nearest to what was observed, by least squares.

    Args:
        rates: shape (k, k), the mean judgement of a domain's rows in its column.
        observed: the mean judgement of the texts, shape (k,).
        doubtful: shares that are taken where ``rates`` cannot tell, shape (k,).

    Returns:
        Shape (k,).
    """
    count = len(observed)
    # On the simplex rates @ p - observed = (rates - observed 1') p, and the point of the simplex at which a linear
    # map is shortest is, up to its length, the non-negative y that minimises |map y|^2 + (1'y - 1)^2.
    apart = np.concatenate([rates - observed[:, None], _RIDGE * (np.eye(count) - doubtful[:, None])])
    lengths, _ = nnls(np.vstack([apart, np.ones(count)]), np.concatenate([np.zeros(2 * count), [1.0]]))
    shares: np.ndarray = lengths / lengths.sum()
    return shares


def maximum_likelihood_shares(likelihoods: np.ndarray, weights: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Expectation maximisation of the shares of a mixture whose components are known.

    Args:
        likelihoods: of each text under each domain, up to a factor of each text, shape (n, k). They are a judge's
            probabilities divided by its prior.
        weights: of the texts, shape (n,); they sum to 1.
        start: shares above 0, shape (k,).

    Returns:
        Shape (k,).
    """
    shares = start
    for _ in range(_EM_STEPS):
        before = shares
        shares = before * ((weights / (likelihoods @ before)) @ likelihoods)
        if np.abs(shares - before).max() < _EM_CHANGE:
            break
    shares = np.where(shares < _LEAST_SHARE, 0.0, shares)
    return shares / shares.sum()


def _adjusted(observed: np.ndarray, resampled: np.ndarray, labelled: LabelledJudgements, seed: int) -> ShareEstimate:
    count = len(observed)
    rows = [labelled.given[labelled.truth == domain] for domain in range(count)]
    rates = np.stack([of_one.mean(axis=0) for of_one in rows], axis=1)
    drawn = np.stack([bootstrap_means([of_one], seed, _LABELLED, domain) for domain, of_one in enumerate(rows)], axis=2)
    doubtful = _any_shares(estimation.RESAMPLES, count, seed)
    replicates = np.stack([adjusted_shares(*one) for one in zip(drawn, resampled, doubtful, strict=True)])
    return _share_estimate(adjusted_shares(rates, observed, np.full(count, 1 / count)), replicates)


def _expectation_maximisation(parsed: Sequence[np.ndarray], labelled: LabelledJudgements, seed: int) -> ShareEstimate:
    count = labelled.given.shape[1]
    texts, rows = _logarithms(np.concatenate(parsed)), _logarithms(labelled.given)
    iterations = np.repeat(np.arange(len(parsed)), [len(of_one) for of_one in parsed])
    once, each = np.ones(len(texts)), np.ones(len(rows))

    def shares(text_times: np.ndarray, row_times: np.ndarray, start: np.ndarray) -> np.ndarray:
        kept = row_times > 0
        of_rows = row_times / np.bincount(labelled.truth)[labelled.truth]
        calibration = Calibration.fit(rows[kept], each[kept], labelled.truth[kept], of_rows[kept])
        of_texts = text_times / (np.bincount(iterations)[iterations] * len(parsed))
        drawn = text_times > 0
        # Domains weigh the same in the calibration: its prior is uniform, and so its probabilities are likelihoods.
        likelihoods = calibration.probabilities(texts[drawn], once[drawn])
        return maximum_likelihood_shares(likelihoods, of_texts[drawn], start)

    generator = bootstrap_generator(seed, _EM)
    resamples = max(min(EM_RESAMPLES, _EM_TEXTS // len(texts)), _LEAST_EM_RESAMPLES)
    replicates = np.stack(
        [
            shares(_times_drawn(iterations, generator), _times_drawn(labelled.truth, generator), start)
            for start in _any_shares(resamples, count, seed)
        ]
    )
    return _share_estimate(shares(once, each, np.full(count, 1 / count)), replicates)


def _times_drawn(groups: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """How often each row is drawn when as many as a group has are drawn of every group, shape (n,)."""
    times = np.zeros(len(groups))
    for group in np.unique(groups):
        members = np.flatnonzero(groups == group)
        times[members] = np.bincount(generator.integers(len(members), size=len(members)), minlength=len(members))
    return times


def _any_shares(resamples: int, count: int, seed: int) -> np.ndarray:
    """Shares drawn evenly from the simplex, shape (resamples, count)."""
    return bootstrap_generator(seed, _TIES).dirichlet(np.ones(count), size=resamples)


def _logarithms(given: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(given, LEAST_PROBABILITY))


def _mean(iterations: Sequence[np.ndarray]) -> np.ndarray:
    mean: np.ndarray = np.stack([rows.mean(axis=0) for rows in iterations]).mean(axis=0)
    return mean


def _share_estimate(point: np.ndarray, replicates: np.ndarray) -> ShareEstimate:
    return ShareEstimate(point, percentile95(replicates), np.atleast_2d(np.cov(replicates, rowvar=False)))
