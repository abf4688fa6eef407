"""What labelled rows say about a judge, against scikit-learn and by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, log_loss
from sklearn.utils.class_weight import compute_sample_weight

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge.correction import LabelledJudgements
from versatune_plugin.knowledge.judge_quality import fitted_temperature, quality

NAMES = ("code", "law", "medicine")


def calibrated(counts: list[int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are right as they are, of rows of every domain."""
    draw = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(counts)), counts)
    seen = draw.normal(size=(len(truth), len(counts)))
    seen[np.arange(len(truth)), truth] += 1.5
    return 1.5 * seen, truth


def test_figures_are_those_of_scikit_learn_with_domains_of_equal_weight() -> None:
    logits, truth = calibrated([40, 90, 15], seed=0)
    given = softmax(2 * logits, axis=1)
    given[3] = np.nan
    found = quality(LabelledJudgements(given, truth), NAMES)
    kept = np.arange(len(truth)) != 3
    given, truth = given[kept], truth[kept]
    weights = compute_sample_weight("balanced", truth)
    assert found.unusable == 1
    assert found.rows == (39, 90, 15)
    assert found.accuracy == pytest.approx(balanced_accuracy_score(truth, given.argmax(axis=1)))
    assert found.log_loss == pytest.approx(log_loss(truth, given, sample_weight=weights))
    np.testing.assert_array_equal(found.confusion, confusion_matrix(truth, given.argmax(axis=1)))
    squares = ((given - np.eye(3)[truth]) ** 2).sum(axis=1)
    assert found.brier == pytest.approx(np.mean([squares[truth == domain].mean() for domain in range(3)]))


def test_brier_score_by_hand() -> None:
    given = np.array([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    found = quality(LabelledJudgements(given, np.arange(3)), NAMES)
    # 0.09 + 0.04 + 0.01, then 0, then 1 + 1.
    assert found.brier == pytest.approx((0.14 + 0 + 2) / 3)
    nothing = quality(LabelledJudgements(np.full((3, 3), 1 / 3), np.arange(3)), NAMES)
    assert nothing.brier == pytest.approx(2 / 3)
    assert nothing.temperature == 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_again_and_mends_the_calibration(temperature: float) -> None:
    logits, truth = calibrated([3000] * 3, seed=1)
    given = softmax(logits * temperature, axis=1)
    found = quality(LabelledJudgements(given, truth), NAMES)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert found.calibration_error_scaled < 0.02
    assert (found.calibration_error > 0.05) == (temperature != 1)


def test_the_calibration_error_after_the_temperature_is_measured_on_rows_it_was_not_fitted_on() -> None:
    # Rows by turns: a judge that is too sure on every second row and too unsure on the others.
    logits, truth = calibrated([2000] * 3, seed=2)
    turns = np.tile([3.0, 1 / 3], 3000)[:, None]
    given = softmax(logits * turns, axis=1)
    found = quality(LabelledJudgements(given, truth), NAMES)
    here = turns[:, 0] > 1
    assert fitted_temperature(given[here], truth[here], np.ones(3000)) == pytest.approx(3, rel=0.1)
    # With the other half's temperature both halves are worse than as they are.
    assert found.calibration_error_scaled > found.calibration_error + 0.02


def test_reliability_has_the_bins_of_the_calibration_error() -> None:
    logits, truth = calibrated([200] * 3, seed=3)
    found = quality(LabelledJudgements(softmax(2 * logits, axis=1), truth), NAMES)
    filled = [one for one in found.reliability if one.count]
    assert sum(one.count for one in filled) == 600
    assert all(one.low < one.confidence <= one.high for one in filled if one.confidence is not None)
    gaps = [one.count / 600 * abs(one.confidence - one.accuracy) for one in filled if one.confidence and one.accuracy]
    assert sum(gaps) == pytest.approx(found.calibration_error, abs=1e-6)
    assert found.reliability[0].confidence is None


def test_is_plain_json_by_names() -> None:
    logits, truth = calibrated([5, 6, 7], seed=4)
    found = quality(LabelledJudgements(softmax(logits, axis=1), truth), NAMES)
    written = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert written["rows"] == {"code": 5, "law": 6, "medicine": 7}
    assert written["confusion"]["law"]["medicine"] == found.confusion[1, 2]
    assert written["temperature"] == found.temperature
    assert len(written["reliability"]) == 15


def test_one_row_of_each_domain_is_enough_and_none_is_not() -> None:
    given = np.array([[0.9, 0.1], [0.2, 0.8], [np.nan, np.nan]])
    assert quality(LabelledJudgements(given[:2], np.array([0, 1])), ("a", "b")).accuracy == 1
    with pytest.raises(VersaTuneError, match="number 2"):
        quality(LabelledJudgements(given[[0, 2]], np.array([0, 1])), ("a", "b"))
