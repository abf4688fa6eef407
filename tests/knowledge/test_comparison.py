"""How far two knowledge distributions are apart: the interval holds the truth as often as it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from versatune_plugin.artifacts.knowledge import KnowledgeFile, inspect_knowledge
from versatune_plugin.errors import ArtifactError
from versatune_plugin.knowledge import comparison
from versatune_plugin.knowledge.comparison import Comparison, compare, compare_files, total_variation, uncertainty
from versatune_plugin.knowledge.counts import write_counts

EVEN = {"law": 0.5, "code": 0.5}
TEXTS = 1000
# The first distribution, and a direction of total variation 1 to the second.
CASES = {
    2: ((0.5, 0.5), (1.0, -1.0)),
    3: ((0.2, 0.3, 0.5), (1.0, 0.0, -1.0)),
    6: ((0.05, 0.1, 0.1, 0.15, 0.2, 0.4), (0.5, 0.5, 0.0, 0.0, -0.5, -0.5)),
}


def multinomial(shares: np.ndarray) -> np.ndarray:
    return (np.diag(shares) - np.outer(shares, shares)) / TEXTS


def sampled(k: int, truth: float, count: int, seed: int) -> list[Comparison]:
    first, direction = map(np.array, CASES[k])
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        one, other = (
            draw.multinomial(TEXTS, shares) / TEXTS for shares in (first, np.clip(first + truth * direction, 0, 1))
        )
        found.append(compare(one, other, multinomial(one) + multinomial(other)))
    return found


@pytest.fixture
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "RESAMPLES", 1000)
    monkeypatch.setattr(comparison, "_HALVINGS", 12)


@pytest.mark.usefixtures("fewer_resamples")
@pytest.mark.parametrize("truth", [0.0, 0.01, 0.02, 0.03, 0.1])
@pytest.mark.parametrize("k", CASES)
def test_the_interval_holds_the_true_total_variation(k: int, truth: float) -> None:
    found = sampled(k, truth, 200, seed=k)
    held = [one.total_variation95[0] <= truth <= one.total_variation95[1] for one in found]
    # 95 % of 200, four standard errors below.
    assert np.mean(held) >= 0.89
    # An interval from 0 to 1 would hold it, too.
    assert np.mean([np.ptp(one.total_variation95) for one in found]) < 0.1


@pytest.mark.usefixtures("fewer_resamples")
def test_two_samples_of_one_distribution_seldom_differ_and_others_do() -> None:
    same = sampled(6, 0.0, 300, seed=1)
    assert np.mean([one.differ for one in same]) < 0.06
    # How often chance does as much is even over 0 to 1.
    assert np.mean([one.chance < 0.5 for one in same]) == pytest.approx(0.5, abs=0.12)
    assert min(one.total_variation95[1] for one in same) > 0.01
    assert np.mean([one.differ for one in sampled(6, 0.1, 50, seed=2)]) > 0.9


@pytest.mark.usefixtures("fewer_resamples")
def test_intervals_of_differences_hold_the_true_ones() -> None:
    truth = 0.1 * np.array(CASES[6][1])
    found = np.array([one.intervals95 for one in sampled(6, 0.1, 300, seed=3)])
    held = ((found[:, :, 0] <= truth) & (truth <= found[:, :, 1])).mean(axis=0)
    assert held.min() > 0.9
    assert np.ptp(found, axis=2).max() < 0.12


def test_the_same_estimate_twice_is_0_apart_and_not_said_to_be_equal() -> None:
    shares = np.array(CASES[6][0])
    found = compare(shares, shares, 2 * multinomial(shares))
    assert (found.total_variation, found.chance, found.differ) == (0, 1, False)
    assert found.total_variation95[0] == 0
    assert 0.01 < found.total_variation95[1] < 0.1


def test_without_uncertainty_a_difference_is_what_it_is() -> None:
    one, other = np.array([0.5, 0.5]), np.array([0.25, 0.75])
    exact = compare(one, other, np.zeros((2, 2)))
    assert exact.total_variation95 == pytest.approx([0.25, 0.25], abs=1e-6)
    assert exact.differ
    unknown = compare(one, other, None)
    assert unknown == Comparison(pytest.approx([-0.25, 0.25]), None, 0.25, None, None)
    assert unknown.differ is None


def test_total_variation_is_half_the_absolute_difference() -> None:
    assert total_variation({"a": 0.5, "b": 0.5}, {"b": 0.8, "a": 0.2}) == pytest.approx(0.3)
    assert total_variation({"a": 1.0, "b": 0.0}, {"a": 0.0, "b": 1.0}) == 1


def test_variances_are_read_from_intervals_where_there_is_no_covariance() -> None:
    file = KnowledgeFile(probabilities=EVEN, interval95={"code": [0.4, 0.6], "law": [0.3, 0.7]})
    found = uncertainty(file)
    assert found is not None
    assert not found.exact
    assert np.allclose(found.covariance, np.diag([0.4, 0.2]) ** 2 / (2 * 1.959964) ** 2)
    assert uncertainty(KnowledgeFile(probabilities=EVEN)) is None


def written(path: Path, **content: Any) -> Path:
    path.write_text(json.dumps({"kind": "versatune.knowledge", "schema": 1, "probabilities": EVEN, **content}))
    return path


def test_files_are_compared_by_name_whatever_their_order(tmp_path: Path) -> None:
    write_counts(["law=10", "code=30", "medicine=60"], tmp_path / "a.json", {})
    write_counts(["medicine=50", "law=30", "code=20"], tmp_path / "b.json", {})
    found = compare_files(tmp_path / "a.json", tmp_path / "b.json")
    assert found.names == ("law", "code", "medicine")
    assert found.comparison.differences == pytest.approx([0.2, -0.1, -0.1])
    variances = [p * (1 - p) / 100 + q * (1 - q) / 100 for p, q in ((0.1, 0.3), (0.3, 0.2), (0.6, 0.5))]
    assert np.ptp(found.comparison.intervals95, axis=1) == pytest.approx(2 * 1.959964 * np.sqrt(variances), rel=1e-5)
    assert found.remarks == ()


def test_what_is_not_known_of_an_uncertainty_is_said(tmp_path: Path) -> None:
    write_counts(["law=10", "code=30"], counted := tmp_path / "counted.json", {})
    old = written(tmp_path / "old.json", interval95={"law": [0.4, 0.6], "code": [0.4, 0.6]})
    hand = written(tmp_path / "hand.json")
    (remark,) = compare_files(counted, old).remarks
    assert remark.startswith(f"{old} has no `covariance`: its variances are taken from the widths of `interval95`")
    without = compare_files(hand, counted)
    assert without.comparison.total_variation == pytest.approx(0.25)
    assert without.comparison.total_variation95 is None
    assert without.remarks[0].startswith(f"no interval: {hand} says nothing of the uncertainty")


@pytest.mark.parametrize(
    ("key", "one", "other", "said"),
    [
        ("judge", {"name": "classifier"}, {"name": "model", "model": "a/b"}, "of classifier, * of model a/b;"),
        ("judge", {"name": "model", "model": "a/c"}, {"name": "model", "model": "a/b"}, "of model a/c, * of model a/b"),
        ("judge", {"name": "classifier"}, None, "of classifier, * of none that it names"),
        ("estimator", "corrected", "mean", "of corrected, * of mean"),
    ],
)
def test_other_judges_and_estimators_are_named(tmp_path: Path, key: str, one: Any, other: Any, said: str) -> None:
    first, second = (written(tmp_path / f"{number}.json", **{key: value}) for number, value in enumerate((one, other)))
    (_, remark) = compare_files(first, second).remarks
    assert remark.startswith(f"they are of different {key}s: {first} {said.replace('*', str(second))}")
    assert len(compare_files(first, first).remarks) == 1


def test_other_domains_are_refused_and_named(tmp_path: Path) -> None:
    first = written(tmp_path / "a.json")
    second = written(tmp_path / "b.json", probabilities={"law": 0.5, "poetry": 0.25, "art": 0.25})
    with pytest.raises(ArtifactError) as refused:
        compare_files(first, second)
    assert f"only {first} has 'code'; only {second} has 'poetry', 'art': compare files of" in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"covariance": [[1.0]]}, "covariance: must be 2 lists of 2 numbers each"),
        ({"covariance": [[1.0, 0.0], [0.0]]}, "covariance: must be 2 lists"),
        ({"covariance": [[1.0, 0.5], [0.0, 1.0]]}, "symmetric"),
        ({"covariance": [[-1.0, 0.0], [0.0, 1.0]]}, "no variance below 0"),
        ({"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "no variance below 0"),
        ({"covariance": [[1.0, "0"], [0.0, 1.0]]}, "covariance[0][1]: is '0'"),
        ({"covariance": {}}, "covariance: is {}"),
        ({"interval95": {"law": [0.4, 0.6]}}, "interval95: names law, but the domains are law, code"),
        ({"interval95": {"law": [0.6, 0.4], "code": [0, 1]}}, "interval95.law: begins above its end"),
        ({"warning": 7}, "warning: is 7"),
        ({"source": ["a"]}, "source: is ['a']"),
        ({"probabilities": {"law": 0.5, "code": 0.6}}, "the entries sum to 1.1"),
        ({"probabilities": {}}, "every entry is 0"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, content: Any, said: str) -> None:
    path = written(tmp_path / "k.json", **content)
    with pytest.raises(ArtifactError) as refused:
        inspect_knowledge(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_zero_variances_are_a_covariance(tmp_path: Path) -> None:
    path = written(tmp_path / "k.json", covariance=[[0, 0], [0, 0]])
    assert inspect_knowledge(path).covariance == [[0, 0], [0, 0]]
