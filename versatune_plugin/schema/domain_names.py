"""Domain names: what may be one, its one spelling, and names that a reader would take for each other."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator

# Longer ones are a mistake, and no table could show them.
LONGEST_NAME = 200


def domain_name(text: str) -> str:
    """The one spelling of a domain's name: Unicode's NFC, without blanks at its ends.

    Args:
        text: as a user wrote it.

    Raises:
        ValueError: it cannot be a name; the message says why and what to do.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise ValueError("has no character; give it a name")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"has {len(name)} characters; shorten it to {LONGEST_NAME} or fewer")
    # Whoever reads it in a table must see all of it.
    unseen = sorted({character for character in name if not character.isprintable()})
    if unseen:
        shown = ", ".join(f"U+{ord(character):04X}" for character in unseen)
        raise ValueError(f"has characters that cannot be seen ({shown}); write it without them")
    return name


Value = TypeVar("Value")
DomainName = Annotated[str, AfterValidator(domain_name)]


def by_domain_name(values: Mapping[Any, Any]) -> dict[str, Any]:
    """A mapping from domain to anything, its keys in their one spelling.

    Args:
        values: as a user or a file has it.

    Raises:
        ValueError: a key is no name, or two are spellings of one.
    """
    named: dict[str, Any] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise ValueError(f"the key {key!r} is no text; put it in quotes")
        try:
            name = domain_name(key)
        except ValueError as error:
            raise ValueError(f"the name {key[:60]!a} {error}") from None
        if name in named:
            raise ValueError(f"the domain {name!r} is there twice ({key!a} is one spelling of it)")
        named[name] = value
    return named


def _mapping_by_domain(values: object) -> object:
    return by_domain_name(values) if isinstance(values, Mapping) else values


ByDomain = Annotated[dict[str, Value], BeforeValidator(_mapping_by_domain)]


def alike_names(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of names that differ only by case or by characters that look alike (Unicode's confusables, UTS 39).

    Two ASCII characters (``l`` and ``1``) are told apart.

    Args:
        names: in their one spelling.
    """
    first: dict[str, str] = {}
    pairs = []
    for name in dict.fromkeys(names):
        other = first.setdefault(_appearance(name), name)
        if other != name:
            pairs.append((other, name))
    return pairs


def _appearance(name: str) -> str:
    folded = unicodedata.normalize("NFKC", name).casefold()
    return folded if folded.isascii() else "".join(map(_likeness, folded)).casefold()


@functools.cache
def _likeness(character: str) -> str:
    """One character for all that look like this one: an ASCII one where there is any."""
    if character.isascii():
        return character
    from confusable_homoglyphs.confusables import confusables_data

    # Right-to-left characters stand between marks of direction in its table.
    alike: Sequence[str] = [one["c"].strip("\u200e") for one in confusables_data.get(character, ())]
    single = [one for one in alike if len(one) == 1]
    return min((one for one in single if one.isascii()), default=min([character, *single]))
