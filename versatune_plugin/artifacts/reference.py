"""The file of reference losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from versatune_plugin.artifacts.io import read_json
from versatune_plugin.errors import ArtifactError

KIND = "versatune.reference"
SCHEMA = 1
REQUIRED = ("nats_per_token", "tokenizer", "heldout", "heldout_digests", "seed")


def heldout_of(path: Path) -> int:
    """How many held-out rows of each domain the losses in a reference file were measured on.

    Args:
        path: the file.

    Raises:
        ArtifactError: as of `read_reference`.
    """
    return int(read_reference(path)["heldout"])


def read_reference(path: Path) -> dict[str, Any]:
    """What a reference file holds.

    Args:
        path: the file.

    Returns:
        At least the keys of `REQUIRED`; losses are in nats per supervised token.

    Raises:
        ArtifactError: it is missing, damaged, of another kind, or lacks something.
    """
    payload = read_json(path, KIND, SCHEMA)
    lacking = [key for key in REQUIRED if key not in payload]
    if lacking:
        raise ArtifactError(
            f"{path}: lacks {', '.join(lacking)}; make it anew with `axolotl versatune reference CONFIG`, or write the "
            "losses into the YAML: `reference: {domain: nats per token, ...}`"
        )
    return payload
