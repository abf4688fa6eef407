from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.helpers.making import bounded, heldout, make
from versatune_plugin.mixtures.registry import MIXTURES


def test_algorithm_2_by_hand() -> None:
    mixture = make("versatune", [0.5, 0.3, 0.2], sigma=0.5)
    assert mixture.initial_weights().tolist() == [0.5, 0.3, 0.2]
    weights = mixture.initial_weights()
    # gamma = (1/2, 0, 1/2), then (0, 0, 1/3), then all zero.
    for loss, expected in (
        ([2.0, 1.0, 4.0], [0.625 / 1.175, 0.3 / 1.175, 0.25 / 1.175]),
        ([0.5, 1.0, 3.0], [0.625 / 1.21666667, 0.3 / 1.21666667, 0.29166667 / 1.21666667]),
        ([0.5, 1.0, 2.0], [0.625 / 1.21666667, 0.3 / 1.21666667, 0.29166667 / 1.21666667]),
    ):
        weights = bounded(mixture, mixture.update(heldout(weights, loss, [1.0, 1.0, 2.0])))
        assert weights.tolist() == pytest.approx(expected, abs=1e-8)


def test_the_rule_run_every_step_collapses_as_the_algorithms_page_says() -> None:
    """The top weight is .28 after 50 updates and .91 after 500: hence an interval and a floor."""
    gamma = np.array([0.30, 0.20, 0.10, 0.25, 0.15, 0.05])
    weights = np.full(6, 1 / 6)
    mixture = make("versatune", weights, domains=tuple("abcdef"), sigma=0.1)
    tops = {}
    for number in range(1, 501):
        weights = bounded(mixture, mixture.update(heldout(weights, [1.0] * 6, (1 - gamma).tolist(), step=number)))
        tops[number] = weights.max()
    assert tops[50] == pytest.approx(0.28, abs=0.005)
    assert tops[500] == pytest.approx(0.91, abs=0.005)


def test_algorithm_3_by_hand() -> None:
    """Law is cultivated. Line 8 holds, then fails (code and medicine forget), then holds (only law forgets)."""
    mixture = make("versatune", [0.5, 0.3, 0.2], sigma=1.0, expand={"domain": "law", "delta": 0.1, "epsilon": 0.5})
    reference = [1.0, 1.0, 2.0]
    weights = mixture.initial_weights()

    # gamma = 1/2 everywhere: P' = (3/4, 9/20, 3/10); 0 < 1/4, so law gets 3/10 + 1/10 and the others 3/5 as 5 : 2.
    weights = bounded(mixture, mixture.update(heldout(weights, [2.0, 2.0, 4.0], reference)))
    one = (Fraction(3, 7), Fraction(2, 5), Fraction(6, 35))
    assert weights.tolist() == pytest.approx([float(x) for x in one], abs=1e-14)

    # phi = (1, 0, 1/4), a third of which is 5/12; gamma = (3/4, 1/4, 3/5); 5/12 > 1/8, so Algorithm 2.
    before, loss = [2.0, 2.0, 4.0], [4.0, 4 / 3, 5.0]
    weights = bounded(mixture, mixture.update(heldout(weights, loss, reference, before)))
    moved = (one[0] * Fraction(7, 4), one[1] * Fraction(5, 4), one[2] * Fraction(8, 5))
    two = tuple(x / sum(moved) for x in moved)
    assert weights.tolist() == pytest.approx([float(x) for x in two], abs=1e-14)

    # phi = (0, 2, 0): law's own does not count. gamma = (3/4, 3/4, 3/5); 0 < 3/8.
    before, loss = loss, [4.0, 4.0, 5.0]
    weights = bounded(mixture, mixture.update(heldout(weights, loss, reference, before)))
    law = two[1] + Fraction(1, 10)
    code, medicine = two[0] * Fraction(7, 4), two[2] * Fraction(8, 5)
    three = (code / (code + medicine) * (1 - law), law, medicine / (code + medicine) * (1 - law))
    assert weights.tolist() == pytest.approx([float(x) for x in three], abs=1e-14)
    assert sum(three) == 1


@pytest.mark.parametrize(("forgotten", "expands"), [(0.0, True), (0.6, True), (0.75, False), (0.9, False)])
def test_line_8_takes_a_kth_of_the_forgetting_and_is_strict(forgotten: float, expands: bool) -> None:
    """epsilon gamma = 1/4: 0.6 / 3 lies under it, though 0.6 / 2 would not, and 0.75 / 3 equals it."""
    mixture = make("versatune", [0.5, 0.3, 0.2], sigma=0.5, expand={"domain": "law", "delta": 0.1, "epsilon": 0.5})
    signal = heldout([0.5, 0.3, 0.2], [1.0 + forgotten, 2.0, 1.0], [9.0, 1.0, 9.0], [1.0, 2.0, 1.0])
    law = bounded(mixture, mixture.update(signal))[1]
    assert law == pytest.approx(0.4 if expands else 0.375 / 1.075)


def test_without_line_8_forgetting_does_not_matter() -> None:
    loss, reference, before = [9.0, 2.0, 9.0], [9.0, 1.0, 9.0], [1.0, 2.0, 1.0]
    expand = {"domain": "law", "delta": 0.1, "epsilon": 0.5}
    weights = {}
    for unconditional in (False, True):
        mixture = make("versatune", [0.5, 0.3, 0.2], sigma=0.5, expand={**expand, "unconditional": unconditional})
        weights[unconditional] = bounded(mixture, mixture.update(heldout([0.5, 0.3, 0.2], loss, reference, before)))
    assert weights[False].tolist() == pytest.approx([0.5 / 1.075, 0.375 / 1.075, 0.2 / 1.075])
    assert weights[True].tolist() == pytest.approx([0.6 * 5 / 7, 0.4, 0.6 * 2 / 7])


def test_the_target_leaves_the_others_their_floor() -> None:
    """1 - 2 x 0.1 is the most."""
    mixture = make("versatune", [0.2, 0.7, 0.1], expand={"domain": "law", "delta": 0.3, "unconditional": True})
    signal = heldout([0.2, 0.7, 0.1], [1.0] * 3, [1.0] * 3)
    proposed = mixture.update(signal)
    assert proposed.tolist() == pytest.approx([0.0, 1.0, 0.0])
    weights = bounded(mixture, proposed, floor=0.1)
    for _ in range(100):
        assert weights.tolist() == pytest.approx([0.1, 0.8, 0.1])
        weights = bounded(mixture, mixture.update(heldout(weights, [1.0] * 3, [1.0] * 3)), floor=0.1)
    assert weights.tolist() == pytest.approx([0.1, 0.8, 0.1], abs=1e-6)


@pytest.mark.parametrize(("k", "delta"), [(2, 0.6), (3, 0.5), (3, 0.9)])
def test_a_target_that_has_everything_keeps_it(k: int, delta: float) -> None:
    """Without a floor it comes to that."""
    expand = {"domain": "code", "delta": delta, "unconditional": True}
    mixture = make("versatune", np.full(k, 1 / k), domains=("code", "law", "medicine")[:k], sigma=0.5, expand=expand)
    weights = mixture.initial_weights()
    for _ in range(4):
        weights = bounded(mixture, mixture.update(heldout(weights, [1.0] * k, [0.5] * k)))
    assert weights.tolist() == pytest.approx([1.0] + [0.0] * (k - 1), abs=1e-12)


def test_several_targets_share_delta() -> None:
    """gamma of a and d is 1/2 and 0, so 1/4 on average; phi of b and c is 1/2 and 1/4, so 3/16 over k = 4."""
    expand = {"domain": ["d", "a"], "delta": 0.2, "epsilon": 0.8}
    mixture = make("versatune", [0.4, 0.3, 0.2, 0.1], domains=tuple("abcd"), sigma=1.0, expand=expand)
    loss, reference, before = [2.0, 1.5, 1.25, 1.0], [1.0, 3.0, 3.0, 1.0], [2.0, 1.0, 1.0, 0.1]
    weights = bounded(mixture, mixture.update(heldout([0.4, 0.3, 0.2, 0.1], loss, reference, before)))
    assert weights.tolist() == pytest.approx([0.5, 0.18, 0.12, 0.2])
    weights = bounded(mixture, mixture.update(heldout(weights, loss, reference, loss)))
    assert weights.tolist() == pytest.approx([0.6, 0.06, 0.04, 0.3])
    # phi of b is 3/4 more: (1 + 1/4) / 4 lies over 0.8 / 4, so Algorithm 2: a times 3/2.
    weights = bounded(mixture, mixture.update(heldout(weights, [2.0, 2.0, 1.25, 1.0], reference, before)))
    assert weights.tolist() == pytest.approx([0.9 / 1.3, 0.06 / 1.3, 0.04 / 1.3, 0.3 / 1.3])


def test_several_targets_at_their_limit_keep_their_proportions() -> None:
    """0.5 + 0.25 and 0.2 + 0.25 pass 1 - 2 x 0.05 together; 0.9 is shared as 0.75 : 0.45."""
    expand = {"domain": ["a", "b"], "delta": 0.5, "unconditional": True}
    mixture = make("versatune", [0.5, 0.2, 0.15, 0.15], domains=tuple("abcd"), sigma=0.5, expand=expand)
    weights = bounded(mixture, mixture.update(heldout([0.5, 0.2, 0.15, 0.15], [1.0] * 4, [1.0] * 4)), floor=0.05)
    assert weights.tolist() == pytest.approx([0.5625, 0.3375, 0.05, 0.05])


def test_line_9_as_printed_does_not_sum_to_one() -> None:
    """P' of the others is 5 : 2, and each gets its share of 1 - P_j - delta: 5/7 of 0.4 and 2/7 of 0.7."""
    expand = {"domain": "law", "delta": 0.1, "unconditional": True}
    printed = make("versatune", [0.5, 0.3, 0.2], sigma=0.5, expand={**expand, "line_9": "printed"})
    corrected = make("versatune", [0.5, 0.3, 0.2], sigma=0.5, expand=expand)
    signal = heldout([0.5, 0.3, 0.2], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0])
    proposed = printed.update(signal)
    assert proposed.tolist() == pytest.approx([2 / 7, 0.4, 0.2])
    assert proposed.sum() == pytest.approx(31 / 35)
    assert corrected.update(signal).sum() == pytest.approx(1.0, abs=1e-15)

    weights = bounded(printed, proposed)
    exact = [Fraction(10, 31), Fraction(14, 31), Fraction(7, 31)]
    assert weights.tolist() == pytest.approx([float(x) for x in exact])
    for _ in range(2):
        weights = bounded(printed, printed.update(heldout(weights, [2.0] * 3, [1.0] * 3)))
        others = exact[0] + exact[2]
        raw = [
            exact[0] / others * (1 - exact[0] - Fraction(1, 10)),
            exact[1] + Fraction(1, 10),
            exact[2] / others * (1 - exact[2] - Fraction(1, 10)),
        ]
        assert sum(raw) != 1
        exact = [x / sum(raw) for x in raw]
        assert weights.tolist() == pytest.approx([float(x) for x in exact], abs=1e-14)


def test_line_9_as_printed_gives_nothing_where_it_would_be_negative() -> None:
    expand = {"domain": "law", "delta": 0.2, "unconditional": True, "line_9": "printed"}
    mixture = make("versatune", [0.9, 0.05, 0.05], sigma=0.5, expand=expand)
    proposed = mixture.update(heldout([0.9, 0.05, 0.05], [1.0] * 3, [1.0] * 3))
    assert proposed.tolist() == pytest.approx([0.0, 0.25, 0.05 / 0.95 * 0.75])


@pytest.mark.parametrize(
    ("domain", "told"),
    [
        ("poetry", "expand.domain: 'poetry' is no domain"),
        (["law", "poetry"], "expand.domain: 'poetry' is no domain"),
        (["law", "law"], "must name each domain once"),
        ([], "must name each domain once, and at least one"),
        (["law", "code", "medicine"], "names every domain"),
    ],
)
def test_targets_that_cannot_be_are_named(domain: str | list[str], told: str) -> None:
    problems = MIXTURES["versatune"].Options(expand={"domain": domain}).problems(("code", "law", "medicine"))
    assert len(problems) == 1
    assert told in problems[0]


@pytest.mark.parametrize("domain", ["law", ["law", "code"]])
def test_targets_that_can_be_are_not_complained_about(domain: str | list[str]) -> None:
    assert MIXTURES["versatune"].Options(expand={"domain": domain}).problems(("code", "law", "medicine")) == []
