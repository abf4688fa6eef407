"""Who is compared, as a user writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.comparing.contenders import Contender, read_contenders
from versatune_plugin.errors import ConfigurationError

NAMES = ("code", "law", "medicine")


def test_names_options_and_values_of_yaml() -> None:
    found = read_contenders(
        "versatune, big step=versatune(sigma=2, expand={domain: law, delta: 0.1}), temperature(tau=10),"
        " held=replay(of='big step'), again = uniform , uniform"
    )
    assert found == (
        Contender("versatune", "versatune"),
        Contender("big step", "versatune", {"sigma": 2, "expand": {"domain": "law", "delta": 0.1}}),
        Contender("temperature(tau=10)", "temperature", {"tau": 10}),
        Contender("held", "replay", {"of": "big step"}),
        Contender("again", "uniform"),
        Contender("uniform", "uniform"),
    )
    assert [one.replays for one in found] == [None, None, None, "big step", None, None]
    assert found[3].section(NAMES, 1, "run/versatune.jsonl") == {"mixture": "replay", "replay": "run/versatune.jsonl"}
    assert found[1].section(NAMES, 1, None) == {"mixture": "versatune", **found[1].options}


def test_random_shares_differ_by_seed_and_name_and_are_the_same_again() -> None:
    one, other = read_contenders("random, other=random")
    drawn = [one.section(NAMES, seed, None)["knowledge"] for seed in (1, 2)]
    assert drawn[0] != drawn[1]
    assert drawn[0] == one.section(NAMES, 1, None)["knowledge"]
    assert drawn[0] != other.section(NAMES, 1, None)["knowledge"]
    assert sum(drawn[0].values()) == pytest.approx(1, abs=1e-5)
    assert drawn[0].keys() == set(NAMES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names 0 of them"),
        ("uniform", "names 1 of them: a comparison needs two"),
        ("uniform, uniform", "'uniform' is there 2 times: give the others names, as in again=uniform"),
        ("uniform,, constant", "'' is not of the form"),
        ("uniform, versatune(sigma)", "'sigma' is not of the form OPTION=VALUE"),
        ("uniform, versatune(sigma=)", "'sigma=' is not of the form OPTION=VALUE"),
        ("uniform, versatune(sigma=1, sigma=2)", "the option 'sigma' is there twice"),
        ("uniform, versatune(expand={a: b)", "is not of the form"),
        ("uniform, versatune sigma", "is not of the form"),
        ("uniform, replay(of=versatune)", "replays 'versatune', but there are 'uniform'"),
        ("r=replay(of=r), uniform", "'r' replays 'r'"),
        ("uniform, a=replay(of=b), b=replay(of=uniform)", "'a' replays 'b', which replays another"),
    ],
)
def test_what_is_in_no_such_form(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="--mixtures cannot be used") as raised:
        read_contenders(text)
    assert said in str(raised.value)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = read_contenders(text)
    except ConfigurationError:
        return
    assert len({one.name for one in found}) == len(found) >= 2
