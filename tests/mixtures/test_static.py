from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import ValidationError

from tests.helpers.making import bounded, control, make, measured
from versatune_plugin.mixtures.registry import MIXTURES

ROWS = [10.0, 30.0, 60.0]
ROOTS = [10**0.1, 30**0.1, 60**0.1]


@pytest.mark.parametrize(
    ("name", "options", "weights"),
    [
        ("constant", {}, [0.5, 0.3, 0.2]),
        ("uniform", {}, [1 / 3, 1 / 3, 1 / 3]),
        ("inverse", {}, [0.25, 0.35, 0.4]),
        ("inverse", {"form": "complement"}, [0.25, 0.35, 0.4]),
        ("inverse", {"form": "reciprocal"}, [6 / 31, 10 / 31, 15 / 31]),
        ("proportional", {}, [0.1, 0.3, 0.6]),
        ("temperature", {"tau": 1}, [0.1, 0.3, 0.6]),
        ("temperature", {"tau": 10}, [root / sum(ROOTS) for root in ROOTS]),
        ("temperature", {"tau": math.inf}, [1 / 3, 1 / 3, 1 / 3]),
        ("temperature", {"tau": "inf"}, [1 / 3, 1 / 3, 1 / 3]),
        ("temperature", {"tau": 0.5}, [1 / 46, 9 / 46, 36 / 46]),
        ("temperature", {"tau": 0.001}, [0.0, 0.0, 1.0]),
        ("single", {"domain": "law"}, [0.0, 1.0, 0.0]),
    ],
)
def test_static_mixtures_by_hand(name: str, options: dict[str, object], weights: list[float]) -> None:
    mixture = make(name, [0.5, 0.3, 0.2], ROWS, **options)
    assert not mixture.requirements(mixture.options).moves
    assert not mixture.requirements(mixture.options).updates
    assert bounded(mixture, mixture.initial_weights()).tolist() == pytest.approx(weights, abs=1e-12)
    controller = control(name, [0.5, 0.3, 0.2], ROWS, update_steps=1, **options)
    first = controller.weights.tolist()
    for step in range(1, 4):
        change = controller.after_step(step, lambda: measured([1.0, 2.0, 3.0]))
        # It is measured for the record.
        assert change is not None
        assert change.measurement is not None
        assert controller.weights_at(step).tolist() == first


def test_a_single_domain_has_no_floor_but_a_constant_prior_has() -> None:
    single = make("single", [0.5, 0.3, 0.2], domain="law")
    assert bounded(single, single.initial_weights(), floor=0.1).tolist() == [0.0, 1.0, 0.0]
    constant = make("constant", [0.5, 0.5, 0.0])
    assert bounded(constant, constant.initial_weights(), floor=0.1).tolist() == pytest.approx([0.45, 0.45, 0.1])


@pytest.mark.parametrize("form", ["complement", "reciprocal"])
def test_inverse_of_a_single_domain_is_that_domain(form: str) -> None:
    mixture = make("inverse", [1.0], domains=("law",), form=form)
    assert bounded(mixture, mixture.initial_weights()).tolist() == [1.0]


def test_what_is_not_known_at_all_shares_everything_in_the_reciprocal() -> None:
    mixture = make("inverse", [0.0, 1.0, 0.0], form="reciprocal")
    assert bounded(mixture, mixture.initial_weights()).tolist() == [0.5, 0.0, 0.5]


def test_the_inverse_of_the_published_prior_of_llama_2_7b() -> None:
    """(1 - P) / (k - 1), as in the authors' code."""
    counts = np.array([571.0, 866.0, 653.0, 595.0, 813.0, 6489.0])
    mixture = make("inverse", counts / counts.sum(), domains=tuple("abcdef"))
    expected = [(9987 - count) / (5 * 9987) for count in counts]
    assert bounded(mixture, mixture.initial_weights()).tolist() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("tau", [0, -1, math.nan, "warm", None])
def test_a_temperature_is_a_positive_number(tau: object) -> None:
    with pytest.raises(ValidationError, match="tau"):
        MIXTURES["temperature"].Options(tau=tau)


def test_a_single_domain_must_be_one_of_the_runs() -> None:
    options = MIXTURES["single"].Options(domain="poetry")
    assert options.problems(("code", "law")) == [
        "domain: 'poetry' is no domain; the domains of `datasets` are code, law"
    ]
    assert MIXTURES["single"].Options(domain="law").problems(("code", "law")) == []
