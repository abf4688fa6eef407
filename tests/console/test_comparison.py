"""A comparison on the terminal says what it found, in the width that there is, and no name does anything."""

from __future__ import annotations

import math

import pytest

from tests.helpers.compared_runs import campaign, run
from tests.helpers.printed import rows_of_table
from versatune_plugin.comparing.tables import Question, compare
from versatune_plugin.console.comparison import show_comparison

MIXTURES = {"uniform": {"noise": 3.0, "learnable": 2.0}, "moving": {"noise": 3.0, "learnable": 1.8}}
SPREAD = {"noise": 0.02, "learnable": 0.01}
TITLE = "Equal training budget (rows): mean loss in nats per token, against 'uniform'"


def test_what_helped_is_called_better(capsys: pytest.CaptureFixture[str]) -> None:
    found = compare(campaign(MIXTURES, range(9), SPREAD), Question("uniform"))
    show_comparison(found)
    printed = capsys.readouterr().out
    (one,) = found.training.answer
    answer = rows_of_table(printed, TITLE)
    assert answer["uniform"][1] == "baseline"
    mean, effect, _, pairs, p, _ = answer["moving"]
    assert (mean, pairs, p) == (f"{found.training.levels[1].estimate.mean:.4f}", "9", f"{one.p:.3f}")
    assert float(effect) == pytest.approx(one.effect.mean, rel=0.1)
    assert "moving: better than the baseline (significant)" in printed
    details = rows_of_table(printed, "Equal training budget (rows): 'moving' against 'uniform', in detail")
    assert details["loss of learnable"][-1] == "better"
    assert details["loss of noise"][-1] == "-"
    assert int(details["loss of noise"][-2].replace(",", "")) > 9
    assert "Equal total budget: no mixture costs more or less in all than wall clock varies" in printed
    assert printed.count("What a run took") == 1
    assert "warning" not in printed


def test_what_is_not_shown_says_how_many_seeds_would(capsys: pytest.CaptureFixture[str]) -> None:
    found = compare(
        campaign({"uniform": MIXTURES["uniform"], "same": MIXTURES["uniform"]}, range(6), SPREAD), Question("uniform")
    )
    show_comparison(found)
    printed = capsys.readouterr().out
    verdict = found.training.answer[0].verdict
    assert f"same: {verdict.says} (6 seeds would find {verdict.detectable:.3g})" in printed
    assert f"about {verdict.seeds_needed} seeds would find" in printed


def test_cost_and_everything_that_is_missing_is_loud_once(capsys: pytest.CaptureFixture[str]) -> None:
    runs = campaign({"uniform": MIXTURES["uniform"]}, range(7), SPREAD)
    runs += campaign({"moving": MIXTURES["moving"]}, range(6), SPREAD, overhead=40)
    runs += [run("broken", 0, {"noise": math.inf, "learnable": 1.0})]
    show_comparison(compare(runs, Question("uniform")))
    printed = capsys.readouterr().out
    for said in (
        "warning: 'moving' has no run with seed 6: ",
        "warning: 'broken' has no run with seeds 1, 2, 3, 4, 5, 6: ",
        "warning: the run of 'broken' with seed 0 has no finite loss of noise",
        "warning: 'moving' has 40% more total cost than the baseline",
    ):
        assert printed.count(said) == 1
    assert rows_of_table(printed, "What a run took (equal training budget)")["moving"][3] == "+40%"
    assert rows_of_table(printed, TITLE)["broken"] == ["-", "-", "-", "0", "-", "-"]


def test_names_are_inert(capsys: pytest.CaptureFixture[str]) -> None:
    name = "[red]x\x1b[2J"
    runs = [run(mixture, seed, {name: 2.0 + seed}) for mixture in ("uniform", name) for seed in range(2)]
    show_comparison(compare(runs, Question("uniform")))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "[red]x\\x1b[2J" in printed
