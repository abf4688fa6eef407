from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.helpers.making import bounded, heldout, make
from versatune_plugin.mixtures.weights import Vector

REFERENCE = [1.0, 2.0, 3.0]


def loss_that_multiplies_by(*factors: int) -> list[float]:
    """Losses whose excess over the reference is the logarithm of each factor; 0 stands for a loss under it."""
    return [ref + (math.log(factor) if factor else -0.7) for ref, factor in zip(REFERENCE, factors, strict=True)]


def exactly(weights: Vector, fractions: list[Fraction]) -> bool:
    return weights.tolist() == pytest.approx([float(x) for x in fractions], abs=1e-14)


def test_dynamic_loading_by_hand() -> None:
    """P <- P exp(excess). A loss under the reference leaves its domain as it is, rather than lowering it."""
    mixture = make("dynamic_loading", [0.5, 0.3, 0.2])
    weights, exact = mixture.initial_weights(), [Fraction(5, 10), Fraction(3, 10), Fraction(2, 10)]
    assert exactly(weights, exact)
    for factors in ((2, 1, 0), (0, 4, 1), (1, 0, 3)):
        weights = bounded(mixture, mixture.update(heldout(weights, loss_that_multiplies_by(*factors), REFERENCE)))
        raised = [x * max(factor, 1) for x, factor in zip(exact, factors, strict=True)]
        exact = [x / sum(raised) for x in raised]
        assert exactly(weights, exact)
    assert exact == [Fraction(10, 28), Fraction(12, 28), Fraction(6, 28)]


def test_doremi_by_hand() -> None:
    """eta = 1/2 takes the root of each factor; a tenth is uniform, and the next update starts from the smoothed."""
    mixture = make("doremi", [0.5, 0.3, 0.2], eta=0.5, smoothing=0.1)
    weights, exact = mixture.initial_weights(), [Fraction(5, 10), Fraction(3, 10), Fraction(2, 10)]
    assert exactly(weights, exact)
    for factors in ((4, 1, 0), (0, 16, 1), (1, 0, 9)):
        weights = bounded(mixture, mixture.update(heldout(weights, loss_that_multiplies_by(*factors), REFERENCE)))
        raised = [x * math.isqrt(max(factor, 1)) for x, factor in zip(exact, factors, strict=True)]
        exact = [Fraction(9, 10) * x / sum(raised) + Fraction(1, 30) for x in raised]
        assert exactly(weights, exact)


def test_doremis_defaults_are_the_papers() -> None:
    mixture = make("doremi", [0.5, 0.3, 0.2])
    weights = mixture.update(heldout([0.5, 0.3, 0.2], loss_that_multiplies_by(2, 1, 1), REFERENCE))
    assert weights.tolist() == pytest.approx([0.999 * w / 15 + 0.001 / 3 for w in (10, 3, 2)], abs=1e-14)


def test_doremi_brings_a_domain_back_that_had_nothing() -> None:
    mixture = make("doremi", [0.5, 0.5, 0.0], smoothing=0.3)
    assert mixture.update(heldout([0.5, 0.5, 0.0], REFERENCE, REFERENCE)).tolist() == pytest.approx([0.45, 0.45, 0.1])


@pytest.mark.parametrize("name", ["dynamic_loading", "doremi"])
def test_a_huge_excess_does_not_overflow(name: str) -> None:
    with np.errstate(over="ignore"):
        assert np.isinf(np.exp(np.float64(5000.0)))
    mixture = make(name, [0.5, 0.3, 0.2])
    weights = mixture.update(heldout([0.5, 0.3, 0.2], [1.0, 5002.0, 3.0], REFERENCE))
    assert weights.tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-3)
