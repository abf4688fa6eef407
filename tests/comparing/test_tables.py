"""Runs become tables: known answers, promises by simulation, and everything that is loud."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from tests.helpers.compared_runs import campaign, run
from versatune_plugin.comparing.contrasts import Contrast
from versatune_plugin.comparing.power import power
from versatune_plugin.comparing.tables import Comparison, Question, Table, compare
from versatune_plugin.errors import ArtifactError, ConfigurationError

SPREAD = {"noise": 0.02, "mastered": 0.02, "learnable": 0.02}
# `uniform` and `same` are one mixture under two names.
MIXTURES = {
    "uniform": {"noise": 6.0, "mastered": 0.2, "learnable": 2.0},
    "same": {"noise": 6.0, "mastered": 0.2, "learnable": 2.0},
    "moving": {"noise": 6.0, "mastered": 0.2, "learnable": 1.8},
}
SEEDS = range(12)
QUESTION = Question("uniform")


def only(of: tuple[Contrast, ...], mixture: str, quantity: str | None = None) -> Contrast:
    (found,) = (one for one in of if one.mixture == mixture and quantity in (None, one.quantity.name))
    return found


@pytest.fixture(scope="module")
def known() -> Comparison:
    return compare(campaign(MIXTURES, SEEDS, SPREAD), QUESTION)


def test_the_answer_names_the_mixture_that_helps(known: Comparison) -> None:
    assert known.mixtures == ("uniform", "same", "moving")
    moving, same = only(known.training.answer, "moving"), only(known.training.answer, "same")
    assert moving.verdict.significant
    assert moving.better
    assert moving.effect.mean == pytest.approx(-0.2 / 3, abs=0.02)
    assert moving.effect.interval95 is not None
    assert moving.effect.interval95[0] < -0.2 / 3 < moving.effect.interval95[1]
    assert not same.verdict.significant
    assert (moving.comparisons, moving.pairs.seeds) == (2, tuple(SEEDS))


@pytest.mark.parametrize(("domain", "says"), [("noise", False), ("mastered", False), ("learnable", True)])
def test_noise_and_mastered_show_no_difference_and_learnable_does(known: Comparison, domain: str, says: bool) -> None:
    found = only(known.training.details, "moving", f"loss of {domain}")
    assert found.verdict.significant == says
    assert found.verdict.says.startswith("significant" if says else "no difference shown")
    assert found.quantity.domain == domain
    # Of two mixtures the worst domain and three domains each.
    assert found.comparisons == 8
    assert not only(known.training.details, "same", f"loss of {domain}").verdict.significant


def test_two_names_of_one_mixture_come_out_without_a_difference() -> None:
    """In at least 19 of 20 repetitions; the exact rate with six seeds is 2 / 2^6."""
    mixtures = {name: MIXTURES[name] for name in ("uniform", "same")}
    shown = [compare(campaign(mixtures, range(6), SPREAD, stream), QUESTION).training for stream in range(300)]
    false = sum(table.answer[0].verdict.significant for table in shown)
    assert false / 300 == pytest.approx(2 / 2**6, abs=3 * math.sqrt(2 / 2**6 / 300))
    assert false / 300 <= 0.05
    assert sum(any(one.verdict.significant for one in (*table.answer, *table.details)) for table in shown) / 300 <= 0.05


def test_one_standard_deviation_is_found_at_the_promised_rate() -> None:
    """Of the difference between two runs of a seed, whose noise is that of both."""
    apart = 0.02 * math.sqrt(2)
    mixtures = {"uniform": {"law": 2.0}, "moving": {"law": 2.0 - apart}}
    seeds, repetitions = 8, 600
    found = sum(
        compare(campaign(mixtures, range(seeds), {"law": 0.02}, stream), QUESTION)
        .training.answer[0]
        .verdict.significant
        for stream in range(repetitions)
    )
    promised = power(1, seeds)
    error = math.sqrt(promised * (1 - promised) * (1 / repetitions + 1 / 3000))
    assert found / repetitions == pytest.approx(promised, abs=3 * error)


def figures(table: Table) -> list[tuple[object, ...]]:
    return [
        (one.mixture, one.quantity.name, one.effect, one.p, one.holm_p, one.max_t_p, one.verdict)
        for one in sorted((*table.answer, *table.details), key=lambda one: (one.mixture, one.quantity.name))
    ]


def test_the_order_of_runs_changes_nothing(known: Comparison) -> None:
    shuffled = list(known.runs)
    random.Random(1).shuffle(shuffled)
    again = compare(shuffled, QUESTION)
    assert figures(again.training) == figures(known.training)
    assert figures(again.total) == figures(known.total)


def test_names_of_mixtures_change_no_figure(known: Comparison) -> None:
    renamed = [replace(one, mixture={"same": "a", "moving": "z"}.get(one.mixture, one.mixture)) for one in known.runs]
    moving, z = only(known.training.answer, "moving"), only(compare(renamed, QUESTION).training.answer, "z")
    assert (moving.effect, moving.holm_p, moving.verdict) == (z.effect, z.holm_p, z.verdict)


def test_the_other_unit_has_the_same_tests_of_a_domain(known: Comparison) -> None:
    bits = compare(known.runs, replace(QUESTION, unit="bits_per_byte"))
    for quantity in ("loss of noise", "loss of learnable"):
        one, other = (only(table.training.details, "moving", quantity) for table in (known, bits))
        assert one.p == other.p
        assert one.effect.mean == pytest.approx(other.effect.mean * 3.5 * math.log(2))


def test_importance_decides_what_the_answer_is_of(known: Comparison) -> None:
    found = compare(known.runs, replace(QUESTION, importance={"noise": 0, "mastered": 0}))
    one = only(found.training.answer, "moving")
    assert one.quantity.name == "mean loss by importance"
    assert one.effect == only(known.training.details, "moving", "loss of learnable").effect
    assert only(found.training.details, "moving", "mean loss").effect == only(known.training.answer, "moving").effect
    assert found.weights == {"learnable": 1, "mastered": 0, "noise": 0}


def test_a_target_sets_its_gain_against_the_others() -> None:
    moving = {"noise": 6.6, "mastered": 0.2, "learnable": 1.8}
    runs = campaign({"uniform": MIXTURES["uniform"], "moving": moving}, range(10), dict.fromkeys(SPREAD, 1e-3))
    found = compare(runs, Question("uniform", targets=("learnable",)))
    gain, others, forgetting = (
        only(found.training.details, "moving", name)
        for name in ("gain of target", "gain of others", "forgetting of others")
    )
    assert gain.effect.mean == pytest.approx(0.2 / 3, abs=1e-3)
    assert others.effect.mean == pytest.approx(-0.1, abs=1e-3)
    assert forgetting.effect.mean == pytest.approx(0.1, abs=1e-3)
    assert (gain.better, others.better, forgetting.better) == (True, False, False)
    assert all(one.verdict.significant for one in (gain, others, forgetting))


def test_runs_without_a_partner_are_named() -> None:
    runs = campaign({"uniform": {"law": 2.0}, "moving": {"law": 1.9}}, range(7), {"law": 0.01})
    kept = [one for one in runs if (one.mixture, one.seed) not in {("uniform", 6), ("moving", 0), ("moving", 2)}]
    found = compare(kept, QUESTION).training
    assert found.answer[0].pairs.seeds == (1, 3, 4, 5)
    assert found.answer[0].pairs.unpaired == (0, 2, 6)
    assert "'moving' has no run with seeds 0, 2: what the baseline came to there is not compared" in found.remarks
    assert "the baseline has no run with seed 6: what 'moving' came to there is not compared" in found.remarks
    # They are in the levels all the same.
    assert [sorted(one.values) for one in found.levels[:2]] == [[0, 1, 2, 3, 4, 5], [1, 3, 4, 5, 6]]


def test_mixtures_without_a_common_seed() -> None:
    runs = [run("uniform", 1, {"law": 2.0}), run("moving", 2, {"law": 1.0})]
    (one,) = compare(runs, QUESTION).training.answer
    assert math.isnan(one.p)
    assert math.isnan(one.holm_p)
    assert math.isnan(one.max_t_p)
    assert one.verdict.says == "no difference shown; no seed was run with both"


def test_a_run_without_a_finite_loss_is_named_and_decides() -> None:
    spread = {"law": 0.01, "code": 0.01}
    runs = campaign({"uniform": {"law": 2.0, "code": 2.0}, "moving": {"law": 1.0, "code": 2.0}}, range(9), spread)
    runs[-1] = run("moving", 8, {"law": math.nan, "code": 2.0})
    found = compare(runs, QUESTION).training
    assert found.answer[0].pairs.not_finite == (8,)
    assert found.answer[0].holm_p < 0.05
    assert not found.answer[0].verdict.significant
    assert "the run of 'moving' with seed 8 has no finite loss of law" in found.remarks
    # What the loss is not part of is not touched.
    assert only(found.details, "moving", "loss of code").pairs.not_finite == ()


def test_seeds_that_do_nothing_are_remarked() -> None:
    runs = [run(name, seed, {"law": loss}) for name, loss in (("uniform", 2.0), ("moving", 1.5)) for seed in range(6)]
    assert any("as if the seeds did nothing" in remark for remark in compare(runs, QUESTION).training.remarks)


def test_an_unequal_training_budget_is_remarked() -> None:
    runs = [
        run(name, seed, {"law": 2.0 + seed}, rows=900 if (name, seed) == ("moving", 1) else 1000)
        for name in ("uniform", "moving")
        for seed in range(3)
    ]
    (remark,) = compare(runs, QUESTION).training.remarks
    assert remark == (
        "'moving' and the baseline were not trained on equally many rows with seed 1, so the training budget is not "
        "equal"
    )
    assert compare(runs, QUESTION).total.remarks == ()


def test_runs_of_a_seed_that_start_elsewhere_are_remarked() -> None:
    runs = [run(name, seed, {"law": 2.0 + seed}) for name in ("uniform", "moving") for seed in range(3)]
    runs[-1] = run("moving", 2, {"law": 4.0}, start={"law": 3.1})
    (remark,) = compare(runs, QUESTION).total.remarks
    assert remark == "'moving' and the baseline do not start from the same losses with seed 2: no real pairs"


BETTER, WORSE = {"law": 1.8}, {"law": 2.2}


def priced(end: dict[str, float], overhead: float) -> Comparison:
    runs = campaign({"uniform": {"law": 2.0}}, range(6), {"law": 0.01})
    runs += campaign({"moving": end}, range(6), {"law": 0.01}, overhead=overhead)
    return compare(runs, QUESTION)


@pytest.mark.parametrize(
    ("end", "overhead", "says"),
    [
        (BETTER, 3, "significant"),
        (BETTER, 30, "no difference shown; it is better with 30% more total cost, which may be why"),
        (WORSE, 30, "significant"),
    ],
)
def test_at_equal_total_nothing_is_claimed_that_the_cost_may_explain(
    end: dict[str, float], overhead: float, says: str
) -> None:
    found = priced(end, overhead)
    assert found.training.answer[0].verdict.says == "significant"
    assert found.total.answer[0].verdict.says == says
    assert found.equal_totals == (overhead == 3)
    assert found.total.costs[1].extra == pytest.approx(overhead / 100)
    assert any("30% more total cost" in remark for remark in found.total.remarks) == (overhead == 30)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (BETTER, "significant"),
        (WORSE, "no difference shown; it is worse with 33% less total cost, which may be why"),
    ],
)
def test_a_cheaper_mixture_may_be_called_better_and_not_worse(end: dict[str, float], says: str) -> None:
    runs = campaign({"uniform": {"law": 2.0}}, range(6), {"law": 0.01}, overhead=50)
    runs += campaign({"moving": end}, range(6), {"law": 0.01})
    found = compare(runs, QUESTION)
    assert found.training.answer[0].verdict.significant
    assert found.total.answer[0].verdict.says == says


def test_runs_made_for_an_equal_total_stand_in_its_table() -> None:
    spread = {"law": 0.01}
    runs = campaign({"uniform": {"law": 2.0}}, range(6), spread)
    runs += campaign({"moving": {"law": 1.8}}, range(6), spread, overhead=30)
    runs += campaign({"moving": {"law": 1.9}}, range(6), spread, budget="total", seconds=70, overhead=30, rows=700)
    found = compare(runs, QUESTION)
    assert found.training.answer[0].effect.mean == pytest.approx(-0.2, abs=0.02)
    assert found.total.answer[0].effect.mean == pytest.approx(-0.1, abs=0.02)
    assert found.total.answer[0].verdict.significant
    assert not found.equal_totals
    assert found.total.remarks == ()
    assert found.total.costs[1].extra == 0


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (
            Question("versatune"),
            "baseline: needs finished runs of 'versatune' and of another mixture, but there are runs",
        ),
        (Question("uniform", worth=0), "worth: is 0"),
        (Question("uniform", importance={"tax": 2}), "importance: 'tax' is no domain"),
        (Question("uniform", targets=("tax",)), "target: 'tax' is no domain"),
    ],
)
def test_questions_that_do_not_fit(question: Question, says: str) -> None:
    runs = [run(name, 1, {"law": 2.0, "code": 1.0}) for name in ("uniform", "moving")]
    with pytest.raises(ConfigurationError, match=says):
        compare(runs, question)


def test_one_mixture_alone_cannot_be_compared() -> None:
    with pytest.raises(ConfigurationError, match="and of another mixture"):
        compare([run("uniform", 1, {"law": 2.0})], QUESTION)


def test_runs_that_cannot_be_compared_are_all_named() -> None:
    good = run("uniform", 1, {"law": 2.0})
    runs = [good, good, run("moving", 1, {"code": 2.0}), run("moving", 2, {"law": 2.0}, seconds=math.nan)]
    with pytest.raises(ArtifactError) as raised:
        compare(runs, QUESTION)
    message = str(raised.value)
    assert "the run of 'uniform' with seed 1 (equal training budget) is there 2 times" in message
    assert (
        "the run of 'moving' with seed 1 (equal training budget): its losses at the end are of code, and not of law"
        in message
    )
    assert "with seed 2 (equal training budget): its seconds (nan" in message
    with pytest.raises(ArtifactError, match="there is no run to compare"):
        compare([], QUESTION)
