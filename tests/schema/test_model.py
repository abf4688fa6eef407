"""What is said of a value that a model refuses: its place, the value, what it should be, and what it is for."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from versatune_plugin.schema.model import LONGEST_SHOWN, Real, StrictModel, number_hint, problems_of, scientific, shown


class Inner(StrictModel):
    """Stands within `Outer`."""

    rate: Annotated[Real, Field(gt=0, description="how fast")] = 1.0


class Outer(StrictModel):
    """What a user would write."""

    steps: Annotated[int, Field(ge=1, description="how long")] = 1
    parts: list[Inner] = Field(default_factory=list)
    sure: Annotated[bool, Field(description="whether")] = False
    name: Annotated[str, Field(description="which")] = ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"steps": 0}, "x.steps: is 0, but should be greater than or equal to 1 (how long)"),
        ({"steps": "5"}, "x.steps: is '5', but should be a valid integer; write 5 without quotes (how long)"),
        ({"steps": True}, "x.steps: is true, but should be a valid integer (how long)"),
        ({"sure": "1"}, "x.sure: is '1', but should be a valid boolean (whether)"),
        ({"name": 7}, "x.name: is 7, but should be a valid string (which)"),
        (
            {"parts": [{"rate": "1,5"}]},
            "x.parts[0].rate: is '1,5', but should be a valid number; write 1.5, with a point",
        ),
        ({"parts": [{}, {"rat": 1}]}, "x.parts[1].rat: is not known here; did you mean 'rate'?"),
        ({"stepz": 1}, "x.stepz: is not known here; did you mean 'steps'?"),
        ({"qqqq": 1}, "x.qqqq: is not known here; it has steps, parts, sure, name"),
    ],
)
def test_a_sentence_for_a_value(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer(**given)
    assert problems_of(caught.value, Outer, "x.") == [said]


def test_a_sentence_for_each_place() -> None:
    with pytest.raises(ValidationError) as caught:
        Outer(steps=0, name=None, parts=[{"rate": 0}, {"rate": float("nan")}])  # type: ignore[arg-type, list-item]
    assert [text.partition(":")[0] for text in problems_of(caught.value, Outer)] == [
        "steps",
        "parts[0].rate",
        "parts[1].rate",
        "name",
    ]


@pytest.mark.parametrize(
    ("value", "read"),
    [("1e-3", 1e-3), ("+2E5", 2e5), ("1.e1", 10.0), ("1", "1"), ("e5", "e5"), ("1e9999", "1e9999"), (3, 3)],
)
def test_what_yaml_takes_for_text_is_a_number(value: object, read: object) -> None:
    assert scientific(value) == read


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ("a\nb", "'a\\nb'"),
        (list(range(100)), "a list of 100 entries"),
        ({str(number): 1 for number in range(100)}, "a mapping of 100 entries"),
        ("x" * 10**7, "'" + "x" * (LONGEST_SHOWN - 4) + "..."),
    ],
)
def test_a_value_in_one_line(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("50 %", "; write 0.5"),
        ("12.5%", "; write 0.125"),
        ("0,5", "; write 0.5, with a point"),
        (" .5 ", "; write .5 without quotes"),
        ("half", ""),
        (5, ""),
    ],
)
def test_how_a_number_is_written(value: object, hint: str) -> None:
    assert number_hint(value) == hint
