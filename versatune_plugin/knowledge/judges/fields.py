"""Which parts of a raw row are its text: found by comparing some rows with what the format makes of them.

Axolotl has dozens of formats, plugins and users have more, and most say in the configuration which keys they read. What
a format puts into its prompt is looked up in the prompt itself, so no list of formats is needed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

from versatune_plugin.knowledge.judges.content import IDEOGRAPH

Path = tuple[str, ...]
EACH = "[]"
# Formats drop or rewrite parts of some rows (system messages, thoughts); what they do not read is seldom found.
LEAST_FOUND = 0.8
# A shorter part must be found as whole words: "en" is in most texts.
LONG = 12
COMPARED = 40
# Roles and kinds of the parts of a conversation.
MOST_LABELS = 8
_WORD = re.compile(rf"[{IDEOGRAPH}]|[^\W{IDEOGRAPH}]+")


def strings(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string in a row with where it stands; the items of a list stand at one place.

    Args:
        value: the row, or a part of it.
        path: where that part stands.
    """
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from strings(part, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from strings(part, (*path, EACH))


def text_paths(rows: Sequence[Mapping[str, Any]], made: Sequence[str]) -> list[Path]:
    """Where the rows' texts stand, in the order in which the format puts them; empty where nothing was found.

    Args:
        rows: some raw rows.
        made: what the format makes of each of them.
    """
    found: defaultdict[Path, list[bool]] = defaultdict(list)
    values: defaultdict[Path, list[str]] = defaultdict(list)
    before: Counter[tuple[str, str]] = Counter()
    for row, text in zip(rows, made, strict=True):
        words = _words(text)
        places: dict[str, int] = {}
        for path, part in strings(row):
            if not (sought := _words(part)):
                continue
            place = _place(sought, words)
            found[path].append(place is not None)
            values[path].append(part.strip())
            if place is not None:
                places.setdefault(path[0], place)
        before.update((one, other) for one in places for other in places if places[one] < places[other])
    paths = [
        path for path, hits in found.items() if sum(hits) >= LEAST_FOUND * len(hits) and not _labels(path, values[path])
    ]

    def order(one: Path, other: Path) -> int:
        return before[other[0], one[0]] - before[one[0], other[0]]

    return sorted(paths, key=cmp_to_key(order))


def text_of(row: Mapping[str, Any], paths: Sequence[Path]) -> str:
    """The strings that stand at the paths, a line each: key by key in the order of the paths, each key's in its own.

    Args:
        row: a raw row.
        paths: see `text_paths`.
    """
    wanted = set(paths)
    keys = dict.fromkeys(path[0] for path in paths)
    return "\n".join(part for key in keys for path, part in strings(row.get(key), (key,)) if path in wanted and part)


def _labels(path: Path, values: Sequence[str]) -> bool:
    kinds = set(values)
    single = all(len(value.split()) == 1 for value in kinds)
    return EACH in path and single and len(kinds) <= MOST_LABELS and len(values) >= 2 * len(kinds)


def _words(text: str) -> list[str]:
    # Tokenizers may change case, width and spaces.
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _place(sought: Sequence[str], words: Sequence[str]) -> int | None:
    """Where the beginning or the end of one text stands among the letters of another; None where neither does."""
    joined = "".join(sought)
    if len(joined) < LONG:
        whole, part = f" {' '.join(words)} ", f" {' '.join(sought)} "
        return len(whole[: whole.index(part)].replace(" ", "")) if part in whole else None
    whole = "".join(words)
    for part in (joined[:COMPARED], joined[-COMPARED:]):
        if part in whole:
            return whole.index(part)
    return None
