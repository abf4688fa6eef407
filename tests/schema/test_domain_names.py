"""One spelling of a name; names that look alike."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versatune_plugin.schema.domain_names import alike_names, by_domain_name, domain_name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("law", "law"),
        ("  law\t", "law"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u6cd5\u5f8b", "\u6cd5\u5f8b"),
        ("law [eu]", "law [eu]"),
        ("../../esc", "../../esc"),
        ("\u00a0law\u2003", "law"),
    ],
)
def test_one_spelling(written: str, name: str) -> None:
    assert domain_name(written) == name


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "no character"),
        (" \t ", "no character"),
        ("law\u200b", "U+200B"),
        ("\u202elaw", "U+202E"),
        ("\x1b[2Jlaw", "U+001B"),
        ("a\nb", "U+000A"),
        ("surrogate \udcff", "U+DCFF"),
        ("x" * 201, "201 characters"),
    ],
)
def test_what_cannot_be_a_name(written: str, said: str) -> None:
    with pytest.raises(ValueError, match="characters?") as refused:
        domain_name(written)
    assert said in str(refused.value)


@given(st.text())
def test_a_spelling_is_its_own_spelling(written: str) -> None:
    try:
        name = domain_name(written)
    except ValueError:
        return
    assert domain_name(name) == name == unicodedata.normalize("NFC", name).strip()
    assert name.isprintable()


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["law", "code"], []),
        (["law", "Law"], [("law", "Law")]),
        (["law", "l\u0430w"], [("law", "l\u0430w")]),
        (["\uff4caw", "law"], [("\uff4caw", "law")]),
        (["\u0391I", "AI"], [("\u0391I", "AI")]),
        # A reader tells ASCII characters apart, and names that only begin alike.
        (["set1", "setl", "set0", "setO"], []),
        (["caf\u00e9", "cafe"], []),
        (["\u6cd5\u5f8b", "\u6cd5\u5b66"], []),
    ],
)
def test_names_that_look_alike(names: list[str], pairs: list[tuple[str, str]]) -> None:
    assert alike_names(names) == pairs
    assert alike_names([*names, *names]) == pairs


def test_a_domain_has_one_entry() -> None:
    assert by_domain_name({" law": 1, "cafe\u0301": 2}) == {"law": 1, "caf\u00e9": 2}
    with pytest.raises(ValueError, match="'law' is there twice"):
        by_domain_name({"law": 1, "law ": 2})
    with pytest.raises(ValueError, match="the key 1 is no text"):
        by_domain_name({1: 1})
