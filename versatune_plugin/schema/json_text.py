"""The one reader of JSON: strict, and with limits that no file of ours comes near."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from versatune_plugin.schema.plain_text import TextError, decoded

MOST_LEVELS = 64
MOST_DIGITS = 40
MOST_DIGITS_OF_A_FRACTION = 400
# Whatever stands between quotes is no bracket.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
_HALF_OF_A_CHARACTER = re.compile("[\ud800-\udfff]")


class JsonError(ValueError):
    """Why bytes are not JSON that is read here."""


def parse_json(data: bytes) -> Any:
    """Read one JSON value.

    Stricter than `json.loads`: UTF-8 alone (a byte-order mark may come first), no key twice, no lone
    surrogate; at most `MOST_LEVELS` of nesting and `MOST_DIGITS` of an integer, so that no file exhausts the stack
    or the processor.

    Args:
        data: the bytes of a file, or of a line.

    Raises:
        JsonError: they are no such value; the message has the line and column where that is known.
    """
    if data.count(b"[") + data.count(b"{") > MOST_LEVELS and max(_levels(data), default=0) > MOST_LEVELS:
        raise JsonError(f"it is nested more than {MOST_LEVELS} deep")
    try:
        value = json.loads(
            decoded(data),
            object_pairs_hook=_mapping,
            parse_int=_integer,
            parse_float=_number,
        )
    except (TextError, json.JSONDecodeError) as error:
        raise JsonError(str(error)) from None
    if b"\\ud" in data.lower() and (half := _half_of_a_character(value)) is not None:
        raise JsonError(f"{half[:60]!a} holds half of a character (a lone surrogate)")
    return value


def parse_line(line: bytes) -> Any:
    """Read one JSON value that stands in a line of a file; the message of an error has the column alone.

    Args:
        line: without its end, or with it.

    Raises:
        JsonError: as of `parse_json`.
    """
    try:
        return parse_json(line.strip())
    except JsonError as error:
        # Every line is the first one of its own text.
        raise JsonError(str(error).replace("line 1 column", "column")) from None


def _levels(data: bytes) -> Iterator[int]:
    level = 0
    for token in _TOKENS.finditer(data):
        first = token.group()[:1]
        if first in b"[{":
            level += 1
            yield level
        elif first in b"]}":
            level -= 1


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        (most, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise JsonError(f"the key {most!r} is there twice")
    return made


def _half_of_a_character(value: Any) -> str | None:
    """The first text in a value with a lone surrogate."""
    if isinstance(value, str):
        return value if _HALF_OF_A_CHARACTER.search(value) else None
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return next((found for one in inner if (found := _half_of_a_character(one)) is not None), None)


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise JsonError(f"it holds a number of {len(text)} digits")
    return int(text)


def _number(text: str) -> float:
    if len(text) > MOST_DIGITS_OF_A_FRACTION:
        raise JsonError(f"it holds a number of {len(text)} digits")
    return float(text)
