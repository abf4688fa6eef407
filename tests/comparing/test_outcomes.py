"""What a run is judged by: means, the worst domain, a target's gain against what the others lost."""

from __future__ import annotations

import math
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.compared_runs import losses
from versatune_plugin.comparing.outcomes import Losses, check_targets, importance_weights, outcome
from versatune_plugin.errors import ArtifactError, ConfigurationError

DOMAINS = ("code", "law", "medicine")
START = losses({"law": 2.0, "code": 4.0, "medicine": 3.0})
END = losses({"law": 1.0, "code": 5.0, "medicine": 2.4})


def test_means_and_the_worst_domain() -> None:
    found = outcome(START, END, "nats_per_token", importance_weights({"law": 2}, DOMAINS))
    assert found.mean == pytest.approx(2.8)
    assert found.weighted == pytest.approx((2 * 1 + 5 + 2.4) / 4)
    assert (found.worst, found.worst_domain) == (5.0, "code")
    assert found.expansion is None
    assert outcome(START, END, "nats_per_token").weighted is None


def test_the_unit_is_the_one_that_was_asked_for() -> None:
    found = outcome(START, END, "bits_per_byte")
    assert found.losses == END.bits_per_byte
    assert found.mean == pytest.approx(fmean(END.bits_per_byte.values()))


def test_a_gain_is_relative_to_before_fine_tuning() -> None:
    found = outcome(START, END, "nats_per_token", targets=["law"]).expansion
    assert found is not None
    assert found.gains == pytest.approx({"law": 0.5, "code": -0.25, "medicine": 0.2})
    assert (found.target, found.others, found.forgetting) == pytest.approx((0.5, -0.025, 0.125))
    # Of losses in proportion, it is the same in either unit.
    assert outcome(START, END, "bits_per_byte", targets=["law"]).expansion is not None
    assert outcome(START, END, "bits_per_byte", targets=["law"]).expansion.gains == pytest.approx(found.gains)  # type: ignore[union-attr]


def test_several_targets_count_alike() -> None:
    found = outcome(START, END, "nats_per_token", targets=["law", "medicine"]).expansion
    assert found is not None
    assert (found.target, found.others, found.forgetting) == pytest.approx((0.35, -0.25, 0.25))


def test_a_loss_that_is_not_finite_is_the_worst_and_spoils_the_means() -> None:
    end = losses({"law": 1.0, "code": math.nan, "medicine": 2.0})
    found = outcome(START, end, "nats_per_token", importance_weights({}, DOMAINS), ["law"])
    assert found.worst_domain == "code"
    assert found.expansion is not None
    figures = (found.mean, found.weighted, found.worst, found.expansion.others, found.expansion.forgetting)
    assert all(map(math.isnan, figures))  # type: ignore[arg-type]
    assert found.expansion.target == 0.5


def test_no_share_can_be_taken_from_a_loss_of_zero() -> None:
    found = outcome(
        losses({"law": 0.0, "code": 1.0}), losses({"law": 0.1, "code": 1.0}), "nats_per_token", None, ["law"]
    )
    assert found.expansion is not None
    assert math.isnan(found.expansion.target)


def test_importance_is_normalised_and_unnamed_domains_have_one() -> None:
    assert importance_weights({"law": 2}, DOMAINS) == {"law": 0.5, "code": 0.25, "medicine": 0.25}
    assert importance_weights({"law": 0, "code": 0}, DOMAINS) == {"law": 0, "code": 0, "medicine": 1}


@pytest.mark.parametrize(
    ("importance", "says"),
    [
        ({"Law": 2}, "importance: 'Law' is no domain of the runs; they have code, law, medicine"),
        ({"law": -1}, "importance.law: is -1"),
        ({"law": math.nan}, "importance.law: is nan"),
        ({"law": 0, "code": 0, "medicine": 0}, "every domain has 0"),
    ],
)
def test_importance_that_cannot_be_used(importance: dict[str, float], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        importance_weights(importance, DOMAINS)


def test_targets_that_cannot_be_used() -> None:
    check_targets((), DOMAINS)
    check_targets(("law", "code"), DOMAINS)
    with pytest.raises(ConfigurationError, match="target: 'tax' is no domain"):
        check_targets(("tax",), DOMAINS)
    with pytest.raises(ConfigurationError, match="no others that could lose"):
        check_targets(DOMAINS, DOMAINS)


def test_losses_are_of_the_same_domains_in_both_units() -> None:
    with pytest.raises(ArtifactError, match=r"of the domains \['law'\], in bits per byte of \['code'\]"):
        Losses({"law": 1.0}, {"code": 1.0})


figures = st.floats(0.01, 100)


@given(st.dictionaries(st.sampled_from(DOMAINS), st.tuples(figures, figures), min_size=2), figures)
def test_equal_importance_is_the_plain_mean_and_scale_does_not_matter(
    by_domain: dict[str, tuple[float, float]], importance: float
) -> None:
    start, end = (losses({name: pair[place] for name, pair in by_domain.items()}) for place in (0, 1))
    alike = importance_weights(dict.fromkeys(by_domain, importance), sorted(by_domain))
    target = min(by_domain)
    found = outcome(start, end, "nats_per_token", alike, [target])
    assert found.weighted == pytest.approx(found.mean)
    assert found.mean <= found.worst * (1 + 1e-12)
    assert found.expansion is not None
    # What the others forgot is what their mean gain lacks.
    others = [gain for name, gain in found.expansion.gains.items() if name != target]
    assert found.expansion.others == pytest.approx(fmean(max(gain, 0) for gain in others) - found.expansion.forgetting)
