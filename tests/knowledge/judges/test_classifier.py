"""The judge that is trained on the configuration's own rows."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny import WORDS
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge.judges.calibration import Calibration, expected_calibration_error
from versatune_plugin.knowledge.judges.classifier import ClassifierJudge
from versatune_plugin.knowledge.judges.content import content, repeated

DATA = os.environ.get("VERSATUNE_DATA")
Texts = dict[str, list[str]]


def rows(sizes: dict[str, int], *, seed: int, shared: float = 0.5) -> Texts:
    """Texts in which a share of the words could be of any domain."""
    draw = random.Random(seed)
    common = " ".join(WORDS.values()).split()
    return {
        name: [
            " ".join(draw.choice(common if draw.random() < shared else WORDS[name].split()) for _ in range(8))
            for _ in range(size)
        ]
        for name, size in sizes.items()
    }


def judge(training: Texts, test: Texts, seed: int = 0) -> ClassifierJudge:
    return ClassifierJudge(training, test, seed=seed)


SIZES = {"code": 120, "law": 120, "medicine": 120}


def test_rows_sum_to_one_and_do_not_depend_on_their_neighbours() -> None:
    training, test = rows(SIZES, seed=1), rows(SIZES, seed=2)
    made = judge(training, test)
    texts = [*test["law"][:5], "nothing which anyone knows", *test["code"][:5]]
    given = made.probabilities(texts)
    assert given.shape == (11, 3)
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-12)
    assert (given > 0).all()
    np.testing.assert_array_equal(given[5], np.full(3, 1 / 3))
    alone = np.concatenate([made.probabilities([text]) for text in texts])
    np.testing.assert_array_equal(given, alone)
    again = judge(training, test)
    np.testing.assert_array_equal(again.probabilities(texts), given)


def test_reports_what_it_does_on_rows_it_was_not_trained_on() -> None:
    training, test = rows(SIZES, seed=1), rows({"code": 60, "law": 90, "medicine": 30}, seed=2)
    made = judge(training, test)
    report = made.describe()
    given = {name: made.probabilities(test[name]).argmax(axis=1) for name in test}
    for name in test:
        confusion = [report["confusion"][name][other] for other in test]
        assert confusion == np.bincount(given[name], minlength=3).tolist()
        assert sum(confusion) == len(test[name])
    shares = [np.mean(given[name] == column) for column, name in enumerate(test)]
    assert report["accuracy"] == pytest.approx(np.mean(shares))
    assert 0.8 < report["accuracy"] < 1
    assert 0 < report["log_loss"] < np.log(3)
    assert report["calibration_error"] < 0.1
    assert report["test_rows"] == {"code": 60, "law": 90, "medicine": 30}
    assert json.loads(json.dumps(report)) == report


def test_probabilities_are_calibrated_where_plain_regression_is_unsure() -> None:
    """Mean probability of each domain over texts of a known mixture: closer to the truth than the raw classifier's."""
    from sklearn.linear_model import LogisticRegression

    training, test = rows(SIZES, seed=1), rows({"code": 800, "law": 150, "medicine": 50}, seed=2)
    made = judge(training, test)
    texts = [text for name in test for text in test[name]]
    truth = np.repeat([0, 1, 2], [800, 150, 50])
    vectorizer = made._model.vectorizer
    plain = LogisticRegression(max_iter=1000).fit(
        vectorizer.transform([text for name in training for text in training[name]]), np.repeat([0, 1, 2], 120)
    )
    unsure = plain.predict_proba(vectorizer.transform(texts))
    calibrated = made.probabilities(texts)
    weights = np.ones(len(texts))
    assert expected_calibration_error(calibrated, truth, weights) < 0.5 * expected_calibration_error(
        unsure, truth, weights
    )
    shares = np.array([0.8, 0.15, 0.05])
    assert np.abs(calibrated.mean(axis=0) - shares).sum() < 0.6 * np.abs(unsure.mean(axis=0) - shares).sum()


def test_a_domain_with_more_rows_is_not_more_probable() -> None:
    made = judge(rows({"code": 600, "law": 60, "medicine": 60}, seed=1, shared=0.6), rows(SIZES, seed=2))
    balanced = rows({"code": 300, "law": 300, "medicine": 300}, seed=3, shared=0.6)
    given = made.probabilities([text for texts in balanced.values() for text in texts])
    np.testing.assert_allclose(given.mean(axis=0), 1 / 3, atol=0.05)


def test_settings_change_with_the_rows_and_the_seed() -> None:
    training, test = rows(SIZES, seed=1), rows(SIZES, seed=2)
    settings = judge(training, test).settings()
    assert settings == judge(training, rows(SIZES, seed=3)).settings()
    changed = training | {"law": [*training["law"][:-1], "another text"]}
    assert settings != judge(changed, test).settings()
    assert settings != judge(training, test, seed=1).settings()
    assert settings["training_rows"] == SIZES


def test_chinese_is_read_character_by_character() -> None:
    training = {
        "law": [f"法院判决合同纠纷第{number}号" for number in range(30)],
        "medicine": [f"患者发热咳嗽病历第{number}号" for number in range(30)],
    }
    made = judge(training, training)
    given = made.probabilities(["合同与法院", "咳嗽的患者"])
    assert given.argmax(axis=1).tolist() == [0, 1]
    assert given.max(axis=1).min() > 0.8


def test_refuses_too_few_rows_and_a_single_domain() -> None:
    few = rows({"code": 40, "law": 14, "medicine": 3}, seed=0)
    with pytest.raises(VersaTuneError, match="(?s)'law' has 14 training rows .* but needs 15.*'medicine' has 3"):
        judge(few, few)
    one = rows({"code": 40}, seed=0)
    with pytest.raises(VersaTuneError, match="only the domain code"):
        judge(one, one)
    bare = {"code": ["?"] * 20, "law": ["!"] * 20}
    with pytest.raises(VersaTuneError, match="share no words"):
        judge(bare, bare).probabilities(["x"])


def test_calibration_undoes_a_known_distortion() -> None:
    draw = np.random.default_rng(0)
    true_logits = draw.normal(size=(20_000, 3)) * 2
    true = np.exp(true_logits) / np.exp(true_logits).sum(axis=1, keepdims=True)
    truth = (draw.random((20_000, 1)) > true.cumsum(axis=1)).sum(axis=1)
    evidence = draw.uniform(0.2, 1, size=20_000)
    distorted = (true_logits - evidence[:, None] * np.array([-1.5, 0.0, 1.0])) / 5
    found = Calibration.fit(distorted, evidence, truth, np.ones(20_000))
    assert found.sharpness == pytest.approx(5, rel=0.03)
    np.testing.assert_allclose(found.bias - found.bias[1], [-1.5, 0, 1.0], atol=0.1)
    np.testing.assert_allclose(found.probabilities(distorted, evidence), true, atol=0.03)
    np.testing.assert_array_equal(found.probabilities(np.zeros((1, 3)), np.zeros(1)), np.full((1, 3), 1 / 3))
    assert np.isfinite(Calibration.fit(np.eye(3) * 9, np.ones(3), np.arange(3), np.ones(3)).bias).all()


def test_calibration_error_by_hand() -> None:
    given = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.55, 0.45]])
    truth = np.array([0, 1, 1, 0])
    # Three bins are filled: |0.9 - 0.5| x 2/4 + |0.7 - 1| x 1/4 + |0.55 - 1| x 1/4.
    assert expected_calibration_error(given, truth, np.ones(4)) == pytest.approx(0.2 + 0.075 + 0.1125)
    weighted = expected_calibration_error(given, truth, np.array([1, 0, 0, 0]))
    assert weighted == pytest.approx(0.1)


@pytest.mark.skipif(DATA is None, reason="VERSATUNE_DATA is not set: it names the folder with sft/ and sft_heldout/")
def test_tells_real_domains_apart() -> None:
    assert DATA is not None

    def read(folder: str, most: int) -> Texts:
        texts = {}
        for name in ("code", "finance", "general", "law", "medicine", "science"):
            lines = (Path(DATA) / folder / f"{name}.jsonl").read_text(encoding="utf-8").strip().split("\n")
            random.Random(0).shuffle(lines)
            made = [json.loads(line) for line in lines[:most]]
            texts[name] = ["\n".join(row[key] for key in ("instruction", "input", "output")) for row in made]
        return texts

    training, test = read("sft", 300), read("sft_heldout", 300)
    without = repeated(training.values())
    report = ClassifierJudge(
        *(
            {name: [content(text, without)[:500] for text in texts[name]] for name in texts}
            for texts in (training, test)
        ),
        seed=0,
    ).describe()
    assert report["accuracy"] > 0.9
    assert report["accuracy_unlike"] > 0.65
    assert report["log_loss"] < 0.25
    assert report["calibration_error"] < 0.05
    assert report["warnings"] == []
