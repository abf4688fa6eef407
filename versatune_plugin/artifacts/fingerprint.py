"""What says that two artifacts were made alike: tokenizers by their fingerprint, settings by their differences."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_SHOWN = 60


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """A stable hash of a Hugging Face tokenizer's vocabulary and special tokens (16 hexadecimal digits).

    Losses per token are comparable only between equal fingerprints.
    """
    digest = hashlib.sha256()
    for token, index in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        digest.update(f"{index}\t{token}\n".encode())
    special = {name: str(value) for name, value in sorted(tokenizer.special_tokens_map.items()) if name != "pad_token"}
    digest.update(json.dumps(special, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def settings_differences(old: Any, new: Any, place: str) -> dict[str, str]:
    """Where two nested settings of plain JSON differ: dotted name -> a sentence that says how.

    Args:
        old: as they were when something was made.
        new: as they are now.
        place: where the old ones stand, for example ``"in the checkpoint"``.
    """
    return dict(_differences(old, new, place, ""))


def _differences(old: Any, new: Any, place: str, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            inner = f"{name}.{key}" if name else str(key)
            if key not in old:
                yield inner, f"{inner}: not {place}, now {_short(new[key])}"
            elif key not in new:
                yield inner, f"{inner}: {_short(old[key])} {place}, gone now"
            else:
                yield from _differences(old[key], new[key], place, inner)
    elif old != new:
        yield name, f"{name}: {_short(old)} {place}, {_short(new)} now"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."
