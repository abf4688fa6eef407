"""What says that two artifacts were made with the same tokenizer."""

from __future__ import annotations

import hashlib
import json
from typing import Any


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
