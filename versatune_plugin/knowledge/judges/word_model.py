"""From words to probabilities of domains: two linear models on TF-IDF, each calibrated, and their mean.

Logistic regression separates like rows best; naive Bayes is steadier on texts unlike the rows, in which few words are
known. On texts that small models wrote, their mean agreed better than either with a judge that was trained on the
models' own pretraining documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import BaseCrossValidator, LeaveOneGroupOut, StratifiedKFold, cross_val_predict
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import normalize
from sklearn.utils.class_weight import compute_sample_weight

from versatune_plugin.knowledge.judges.calibration import Calibration
from versatune_plugin.knowledge.judges.content import IDEOGRAPH

# Words of two and more letters; Chinese and Japanese, which put no spaces between words, character by character.
TOKEN_PATTERN = rf"[{IDEOGRAPH}]|[^\W{IDEOGRAPH}]{{2,}}"
FEATURES = 50_000
FOLDS = 3
# So many known words and pairs make half of full evidence.
HALF_EVIDENCE = 5
# Neither has an intercept or a prior: a text without a known word says nothing, and gets the uniform distribution.
LINEAR_MODELS = (
    LogisticRegression(C=10.0, max_iter=1000, fit_intercept=False),
    MultinomialNB(alpha=0.01, fit_prior=False),
)
LOGITS = {LogisticRegression: "decision_function", MultinomialNB: "predict_log_proba"}
CLUSTERS = 5
CLUSTERED_DIMENSIONS = 50


@dataclass(frozen=True)
class WordModel:
    """Fitted on texts of known domains, which weigh the same however many texts they have.

    Attributes:
        vectorizer: makes features of texts.
        models: the fitted `LINEAR_MODELS`.
        calibrations: of each of them, fitted on texts that it had not seen.
        confusion: shape (k, k), the share of each domain's texts, unseen, that each domain was most probable for.
    """

    vectorizer: TfidfVectorizer
    models: tuple[Any, ...]
    calibrations: tuple[Calibration, ...]
    confusion: np.ndarray

    @classmethod
    def fit(cls, texts: Sequence[str], truth: np.ndarray, seed: int) -> WordModel:
        """Fit on texts of known domains.

        Args:
            texts: what to learn from.
            truth: the numbers of their domains, shape (n,), from 0.
            seed: of the folds of the calibration.

        Raises:
            ValueError: no word is in two texts.
        """
        vectorizer = _vectorizer().fit(texts)
        features = _features(vectorizer, texts)
        unseen = _unseen_logits(features, truth, StratifiedKFold(FOLDS, shuffle=True, random_state=seed))
        calibrations, confusion = _calibrated(unseen, features, truth)
        weights = compute_sample_weight("balanced", truth)
        models = tuple(
            clone(model).fit(of_one, truth, sample_weight=weights)
            for model, of_one in zip(LINEAR_MODELS, _for_each_model(features), strict=True)
        )
        return cls(vectorizer, models, calibrations, confusion)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """How probably each text is of each domain.

        Args:
            texts: any.

        Returns:
            Shape (n, k); each row sums to 1 and is uniform for a text without a known word.
        """
        features = _features(self.vectorizer, texts)
        logits = [
            _columns(getattr(model, LOGITS[type(model)])(of_one))
            for model, of_one in zip(self.models, _for_each_model(features), strict=True)
        ]
        return _mean(logits, self.calibrations, features)


@dataclass(frozen=True)
class Unlike:
    """The accuracy on texts unlike those learnt from: the mean over domains, and each domain's."""

    accuracy: float
    recall: list[float]


def unlike_rows(texts: Sequence[str], truth: np.ndarray, seed: int) -> Unlike:
    """How well domains are separated by rows that are unlike the training rows.

    Rows set aside at random have near relatives among the training rows (the same source, template, document), and a
    base model's texts have none. So each domain's rows are clustered (k-means on the leading components of their
    features) and each cluster is judged by a model that has seen only the others: a subject within the domain that
    was not trained on. It is a lower bound for texts about subjects that the rows do have.

    Args:
        texts: the training texts.
        truth: the numbers of their domains, shape (n,).
        seed: of the clusters.
    """
    features = _features(_vectorizer().fit(texts), texts)
    clusters = np.zeros(len(truth), dtype=np.int64)
    for domain in np.unique(truth):
        clusters[truth == domain] = _clusters(features[truth == domain], seed)
    unseen = _unseen_logits(features, truth, LeaveOneGroupOut(), clusters)
    _, confusion = _calibrated(unseen, features, truth)
    return Unlike(float(confusion.diagonal().mean()), confusion.diagonal().tolist())


def _clusters(features: csr_matrix, seed: int) -> np.ndarray:
    dimensions = max(min(CLUSTERED_DIMENSIONS, min(features.shape) - 2), 1)
    leading = TruncatedSVD(dimensions, random_state=seed).fit_transform(features[:, :-1])
    # The direction of a text, not its length, says what it is about.
    found: np.ndarray = KMeans(CLUSTERS, n_init=5, random_state=seed).fit_predict(normalize(leading))
    # Texts that are all alike, or have no known word, are one cluster; each part of it is held out in turn.
    return found if found.any() else np.arange(len(found)) % CLUSTERS


def _vectorizer() -> TfidfVectorizer:
    return TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_features=FEATURES, token_pattern=TOKEN_PATTERN
    )


def _features(vectorizer: TfidfVectorizer, texts: Sequence[str]) -> csr_matrix:
    """TF-IDF of words and pairs of words that two texts have, and in the last column the evidence that they give."""
    words = vectorizer.transform(texts)
    known = np.diff(words.indptr)
    return csr_matrix(hstack([words, (known / (known + HALF_EVIDENCE))[:, None]]))


def _for_each_model(features: csr_matrix) -> tuple[csr_matrix, csr_matrix]:
    """What each of `LINEAR_MODELS` reads: to regression the evidence is its intercept, to naive Bayes it is no word."""
    return features, features[:, :-1]


def _unseen_logits(
    features: csr_matrix, truth: np.ndarray, folds: BaseCrossValidator, groups: np.ndarray | None = None
) -> list[np.ndarray]:
    """The logits of each of `LINEAR_MODELS` for every text, fitted on the other folds, shape (n, k) each."""
    weights = compute_sample_weight("balanced", truth)
    return [
        _columns(
            cross_val_predict(
                model,
                of_one,
                truth,
                cv=folds,
                groups=groups,
                method=LOGITS[type(model)],
                params={"sample_weight": weights},
            )
        )
        for model, of_one in zip(LINEAR_MODELS, _for_each_model(features), strict=True)
    ]


def _calibrated(
    unseen: Sequence[np.ndarray], features: csr_matrix, truth: np.ndarray
) -> tuple[tuple[Calibration, ...], np.ndarray]:
    """A calibration of each model's logits and the confusion that they then give, shape (k, k)."""
    weights = compute_sample_weight("balanced", truth)
    calibrations = tuple(Calibration.fit(logits, _evidence(features), truth, weights) for logits in unseen)
    taken = _mean(unseen, calibrations, features).argmax(axis=1)
    return calibrations, confusion_matrix(truth, taken, normalize="true")


def _mean(logits: Sequence[np.ndarray], calibrations: Sequence[Calibration], features: csr_matrix) -> np.ndarray:
    """The mean of the models' calibrated probabilities, shape (n, k)."""
    evidence = _evidence(features)
    given = [one.probabilities(of_one, evidence) for one, of_one in zip(calibrations, logits, strict=True)]
    mean: np.ndarray = np.mean(given, axis=0)
    return mean


def _evidence(features: csr_matrix) -> np.ndarray:
    evidence: np.ndarray = features[:, [-1]].toarray()[:, 0]
    return evidence


def _columns(decisions: np.ndarray) -> np.ndarray:
    """Logits of shape (n, k); for two domains a regression gives the second one's alone, shape (n,)."""
    return decisions if decisions.ndim == 2 else np.stack([-decisions / 2, decisions / 2], axis=1)
