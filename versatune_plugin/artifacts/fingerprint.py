"""What says that two artifacts were made alike: fingerprints of tokenizers and weights, differences of settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from versatune_plugin.errors import ConfigurationError

LONGEST_SHOWN = 60
_WEIGHT_FILES = ("*.safetensors", "*.bin", "*.gguf", "config.json")
_SAMPLES_PER_FILE = 64
_SAMPLE_BYTES = 4096


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """A stable hash of a tokenizer's vocabulary and special tokens.

    Losses per token are comparable only between equal fingerprints.

    Args:
        tokenizer: of Hugging Face's.

    Returns:
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for token, index in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        digest.update(f"{index}\t{token}\n".encode())
    special = {name: str(value) for name, value in sorted(tokenizer.special_tokens_map.items()) if name != "pad_token"}
    digest.update(json.dumps(special, sort_keys=True).encode())
    return digest.hexdigest()[:16]


def weights_identity(name: str, revision: str | None = None) -> str:
    """What distinguishes two versions of a model's weights: a hub commit, or a hash of samples of a folder's files.

    The hash takes the names, the sizes and 64 evenly spaced pieces of 4 KiB of ``config.json`` and of every file of
    weights: any training changes it, and it costs milliseconds where a whole hash of a large model costs minutes.

    Args:
        name: a Hugging Face id, or the path of a folder.
        revision: of a model of the hub; by default its newest.

    Returns:
        The commit, or 16 hexadecimal digits.

    Raises:
        ConfigurationError: there is no such model.
    """
    folder = Path(name)
    if not folder.is_dir():
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(name, "config.json", revision=revision)).parent.name
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{name}: neither a folder nor a model that the hub or its cache has ({error})"
            ) from error
    digest = hashlib.sha256()
    for path in sorted({path for pattern in _WEIGHT_FILES for path in folder.glob(pattern)}):
        size = path.stat().st_size
        digest.update(f"{path.name}\t{size}\n".encode())
        with path.open("rb") as file:
            for sample in range(_SAMPLES_PER_FILE):
                file.seek(max(size - _SAMPLE_BYTES, 0) * sample // (_SAMPLES_PER_FILE - 1))
                digest.update(file.read(_SAMPLE_BYTES))
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
