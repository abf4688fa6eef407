"""Shares corrected for a judge's mistakes, against QuaPy and against simulated judges."""

from __future__ import annotations

import warnings
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import binom

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge import correction, estimation
from versatune_plugin.knowledge.correction import ESTIMATORS, LabelledJudgements, ShareEstimate, estimate_shares
from versatune_plugin.knowledge.judges.calibration import Calibration

# It changes how whatever is drawn afterwards looks.
with warnings.catch_warnings(), mpl.rc_context():
    warnings.simplefilter("ignore")
    from quapy.method.aggregative import ACC, EMQ, PACC


def resample(monkeypatch: pytest.MonkeyPatch, shares: int, em: int) -> None:
    monkeypatch.setattr(estimation, "RESAMPLES", shares)
    monkeypatch.setattr(correction, "EM_RESAMPLES", em)
    monkeypatch.setattr(correction, "_LEAST_EM_RESAMPLES", em)


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    resample(monkeypatch, shares=50, em=5)


def draw_truth(shares: list[float], size: int, draw: np.random.Generator) -> np.ndarray:
    return draw.choice(len(shares), size=size, p=shares)


def logits(truth: np.ndarray, domains: int, draw: np.random.Generator, apart: float = 1.8) -> np.ndarray:
    """Log-likelihoods, up to a constant of each text, of Gaussians whose means lie ``apart`` on the axes."""
    seen = draw.normal(size=(len(truth), domains))
    seen[np.arange(len(truth)), truth] += apart
    return apart * seen


def a_judge(truth: np.ndarray, domains: int, draw: np.random.Generator) -> np.ndarray:
    """Too sure, and partial to the first domain."""
    return softmax(1.7 * logits(truth, domains, draw) + np.eye(domains)[0], axis=1)


def judged(shares: list[float], texts: int, rows: int, seed: int) -> tuple[list[np.ndarray], LabelledJudgements]:
    """Two iterations, and labelled rows of every domain."""
    draw = np.random.default_rng(seed)
    of_rows = np.repeat(np.arange(len(shares)), rows)
    iterations = [a_judge(draw_truth(shares, texts, draw), len(shares), draw) for _ in range(2)]
    return iterations, LabelledJudgements(a_judge(of_rows, len(shares), draw), of_rows)


def rates(labelled: LabelledJudgements, given: np.ndarray) -> np.ndarray:
    return PACC.getPteCondEstim(np.arange(given.shape[1]), labelled.truth, given)


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("seed", range(4))
def test_adjusted_counts_inside_the_simplex_are_the_solution_that_quapy_finds(seed: int) -> None:
    iterations, labelled = judged([0.5, 0.3, 0.2], 300, 100, seed)
    found = estimate_shares(iterations, labelled, seed=0)["adjusted"].probabilities
    observed = np.concatenate(iterations).mean(axis=0)
    expected = ACC.solve_adjustment(rates(labelled, labelled.given), observed, "inversion", "exact-raise")
    assert (expected > 0).all(), "the case is to be one without a bound"
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - observed).max() > 0.01, "nothing was corrected"


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("seed", range(4))
def test_adjusted_counts_on_the_edge_of_the_simplex_are_those_that_quapy_minimises(seed: int) -> None:
    iterations, labelled = judged([0.7, 0.3, 0.0, 0.0], 150, 40, seed)
    found = estimate_shares(iterations, labelled, seed=0)["adjusted"].probabilities
    matrix, observed = rates(labelled, labelled.given), np.concatenate(iterations).mean(axis=0)
    assert (np.linalg.solve(matrix, observed) < 0).any(), "the case is to be one with a bound"
    expected = ACC.solve_adjustment(matrix, observed, "inversion", "minimize")
    np.testing.assert_allclose(found, expected, atol=2e-3)
    ours, theirs = (np.linalg.norm(matrix @ shares - observed) for shares in (found, expected))
    assert ours <= theirs + 1e-7


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("shares", [[0.5, 0.3, 0.2], [0.8, 0.2, 0.0]])
def test_expectation_maximisation_ends_where_that_of_quapy_ends(
    shares: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EMQ, "MAX_ITER", 5000)
    iterations, labelled = judged(shares, 300, 100, seed=7)
    found = estimate_shares(iterations, labelled, seed=0)["em"].probabilities
    least = correction.LEAST_PROBABILITY
    rows, texts = (np.log(np.maximum(one, least)) for one in (labelled.given, np.concatenate(iterations)))
    calibration = Calibration.fit(rows, np.ones(300), labelled.truth, np.ones(300))
    expected, _ = EMQ.EM(np.full(3, 1 / 3), calibration.probabilities(texts, np.ones(600)), epsilon=1e-10)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    without, _ = EMQ.EM(np.full(3, 1 / 3), np.concatenate(iterations), epsilon=1e-10)
    assert np.abs(found - without).max() > 0.01, "the calibration changed nothing"


@pytest.mark.usefixtures("few_resamples")
def test_mean_is_what_estimate_gives_to_the_bit_and_iterations_weigh_the_same_in_all() -> None:
    iterations, labelled = judged([0.5, 0.3, 0.2], 200, 50, seed=1)
    iterations[1] = np.concatenate([iterations[1][:70], np.full((5, 3), np.nan)])
    found = estimate_shares(iterations, labelled, seed=3)
    expected = estimation.estimate(iterations, seed=3)
    np.testing.assert_array_equal(found["mean"].probabilities, expected.probabilities)
    np.testing.assert_array_equal(found["mean"].interval95, expected.interval95)
    # An iteration of the same texts twice over says the same.
    doubled = estimate_shares([iterations[0], np.concatenate([iterations[1]] * 2)], labelled, seed=3)
    for name in ESTIMATORS:
        np.testing.assert_allclose(found[name].probabilities, doubled[name].probabilities, atol=1e-6)


def test_covariance_and_interval_are_of_the_same_replicates(monkeypatch: pytest.MonkeyPatch) -> None:
    resample(monkeypatch, shares=500, em=60)
    iterations, labelled = judged([0.5, 0.3, 0.2], 400, 100, seed=2)
    for name, found in estimate_shares(iterations, labelled, seed=3).items():
        width = (found.interval95[:, 1] - found.interval95[:, 0]) / (2 * 1.96)
        few = 0.35 if name == "em" else 0.15
        np.testing.assert_allclose(np.sqrt(found.covariance.diagonal()), width, rtol=few)
        np.testing.assert_allclose(found.covariance.sum(axis=0), 0, atol=1e-12)


def test_intervals_of_the_corrections_know_how_few_rows_are_labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    resample(monkeypatch, shares=300, em=40)
    texts, many_rows = judged([0.5, 0.3, 0.2], 800, 800, 4)
    few_rows = judged([0.5, 0.3, 0.2], 1, 15, 5)[1]
    wide, narrow = estimate_shares(texts, few_rows, seed=0), estimate_shares(texts, many_rows, seed=0)
    for name in ("adjusted", "em"):
        assert (half_widths(wide[name]) > 1.5 * half_widths(narrow[name])).all()
    for name in ("mean", "label"):
        np.testing.assert_array_equal(wide[name].interval95, narrow[name].interval95)
    few_texts = estimate_shares([rows[:30] for rows in texts], many_rows, seed=0)
    for name in ESTIMATORS:
        assert (half_widths(few_texts[name]) > 1.5 * half_widths(narrow[name])).all()


@pytest.mark.usefixtures("few_resamples")
def test_equal_seeds_give_equal_intervals_and_rows_of_nan_count_for_nothing() -> None:
    iterations, labelled = judged([0.5, 0.3, 0.2], 60, 20, seed=6)
    found = estimate_shares(iterations, labelled, seed=1)
    nothing = np.full((3, 3), np.nan)
    padded = LabelledJudgements(np.concatenate([labelled.given, nothing]), np.concatenate([labelled.truth, [0, 1, 2]]))
    same = estimate_shares([np.concatenate([rows, nothing]) for rows in iterations], padded, seed=1)
    other = estimate_shares(iterations, labelled, seed=2)
    for name in ESTIMATORS:
        np.testing.assert_array_equal(found[name].interval95, same[name].interval95)
        np.testing.assert_array_equal(found[name].covariance, same[name].covariance)
        assert (found[name].interval95 != other[name].interval95).any()


def test_without_labelled_rows_nothing_is_corrected() -> None:
    found = estimate_shares([np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])], None, seed=0)
    assert list(found) == ["mean", "label"]
    np.testing.assert_allclose(found["label"].probabilities, [0.5, 0.5])
    np.testing.assert_allclose(found["mean"].probabilities, [0.6, 0.4])


def test_names_domains_without_a_labelled_row_and_shapes_that_do_not_fit() -> None:
    given = np.array([[0.9, 0.1], [np.nan, np.nan]])
    with pytest.raises(VersaTuneError, match="number 2 have no labelled row"):
        estimate_shares([given], LabelledJudgements(given, np.array([0, 1])), seed=0)
    with pytest.raises(ValueError, match="label of 0 to 1 is 0 or 2"):
        LabelledJudgements(given, np.array([0, 2]))
    with pytest.raises(ValueError, match="labelled rows"):
        LabelledJudgements(given, np.array([0]))
    with pytest.raises(ValueError, match="2 domains of the texts, 3"):
        estimate_shares([given], LabelledJudgements(np.eye(3), np.arange(3)), seed=0)


def half_widths(found: ShareEstimate) -> np.ndarray:
    return (found.interval95[:, 1] - found.interval95[:, 0]) / 2


seeds = st.integers(0, 2**32 - 1)


@st.composite
def any_judge(draw: Any) -> tuple[list[np.ndarray], LabelledJudgements]:
    """Any probabilities, ones that are exactly 0 or 1 and ties among them, for 2 to 4 domains."""
    domains = draw(st.integers(2, 4))
    generator = np.random.default_rng(draw(seeds))
    coarse = draw(st.sampled_from([1, 2, 5, 1000]))

    def rows(count: int) -> np.ndarray:
        parts = generator.multinomial(coarse, generator.dirichlet(np.full(domains, 0.5)), size=count)
        return parts / coarse

    iterations = [rows(size) for size in draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))]
    truth = np.concatenate([np.arange(domains), generator.integers(domains, size=draw(st.integers(0, 15)))])
    return iterations, LabelledJudgements(rows(len(truth)), truth)


@pytest.mark.usefixtures("few_resamples")
@settings(max_examples=40, deadline=None)
@given(any_judge(), st.randoms(use_true_random=False))
def test_any_judge_gives_shares_that_do_not_depend_on_the_order_of_domains(
    case: tuple[list[np.ndarray], LabelledJudgements], random: Any
) -> None:
    iterations, labelled = case
    found = estimate_shares(iterations, labelled, seed=0)
    order = np.array(random.sample(range(labelled.given.shape[1]), labelled.given.shape[1]))
    place = np.argsort(order)
    moved = estimate_shares(
        [rows[:, order] for rows in iterations],
        LabelledJudgements(labelled.given[:, order], place[labelled.truth]),
        seed=0,
    )
    assert tuple(found) == ESTIMATORS
    for name, one in found.items():
        assert one.probabilities.sum() == pytest.approx(1, abs=1e-9)
        assert (one.probabilities >= 0).all()
        assert np.isfinite(one.covariance).all()
        assert (one.interval95 >= 0).all()
        assert (one.interval95 <= 1 + 1e-9).all()
        # The optimiser of the calibration ends within a tolerance, at another place for another order.
        near = 0.01 if name == "em" else 1e-6
        np.testing.assert_allclose(moved[name].probabilities, one.probabilities[order], atol=near)


@pytest.mark.usefixtures("few_resamples")
@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), seeds)
def test_a_perfect_judge_gives_the_same_by_every_estimator(domains: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    iterations = [np.eye(domains)[draw.integers(domains, size=30)] for _ in range(2)]
    truth = np.repeat(np.arange(domains), 5)
    found = estimate_shares(iterations, LabelledJudgements(np.eye(domains)[truth], truth), seed=0)
    for one in found.values():
        np.testing.assert_allclose(one.probabilities, found["mean"].probabilities, atol=1e-4)


@pytest.mark.parametrize("domains", [2, 6])
def test_a_judge_that_knows_nothing_is_reported_as_such(domains: int) -> None:
    truth = np.repeat(np.arange(domains), 10)
    uniform = np.full((len(truth), domains), 1 / domains)
    found = estimate_shares([uniform], LabelledJudgements(uniform, truth), seed=0)
    for one in found.values():
        np.testing.assert_allclose(one.probabilities, 1 / domains, atol=1e-6)
    # Shares drawn evenly from the simplex: each is below x with probability 1 - (1 - x)^(k - 1).
    ends = 1 - (1 - np.array([0.025, 0.975])) ** (1 / (domains - 1))
    for name in ("adjusted", "em"):
        np.testing.assert_allclose(found[name].interval95, np.tile(ends, (domains, 1)), atol=0.06)


TEXTS, ROWS = 60, 50


def assumed(
    name: str, shares: list[float], draw: np.random.Generator
) -> tuple[list[np.ndarray], LabelledJudgements | None]:
    """Texts and rows as an estimator supposes them; ``mean`` and ``label`` need no rows."""
    domains = len(shares)
    truths = [draw_truth(shares, TEXTS, draw) for _ in range(2)]
    of_rows = np.repeat(np.arange(domains), ROWS)
    if name == "label":
        return [np.eye(domains)[truth] for truth in truths], None
    if name == "mean":
        # The posterior under the very shares that are to be found.
        with np.errstate(divide="ignore"):
            prior = np.log(shares)
        return [softmax(logits(truth, domains, draw) + prior, axis=1) for truth in truths], None
    given = [a_judge(truth, domains, draw) for truth in truths]
    return given, LabelledJudgements(a_judge(of_rows, domains, draw), of_rows)


@pytest.mark.parametrize("shares", [[0.55, 0.3, 0.15], [0.7, 0.3, 0.0]], ids=["all", "absent"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_intervals_cover_the_truth_as_often_as_they_say(
    name: str, shares: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fit of the calibration for every resample takes its time.
    repetitions = 100 if name == "em" else 200
    resample(monkeypatch, shares=300, em=60 if name == "em" else 2)
    draw = np.random.default_rng(5)
    covered = np.zeros(len(shares))
    for seed in range(repetitions):
        found = estimate_shares(*assumed(name, shares, draw), seed)[name].interval95
        covered += (found[:, 0] <= np.array(shares)) & (np.array(shares) <= found[:, 1])
    # Three domains: each bound is passed by chance once in 500 tests. Few resamples make an interval a little short.
    least, most = binom.ppf(0.002, repetitions, 0.935), binom.ppf(0.998, repetitions, 0.955)
    assert (covered >= least).all(), covered / repetitions
    if 0.0 not in shares:
        assert (covered <= most).all(), covered / repetitions
