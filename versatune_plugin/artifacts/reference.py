"""The file of reference losses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from versatune_plugin.artifacts.io import read_artifact
from versatune_plugin.schema.domain_names import ByDomain
from versatune_plugin.schema.model import StrictModel

KIND = "versatune.reference"
SCHEMA = 1
# In nats per token or bits per byte: far more than any model that has learnt anything.
HIGHEST_LOSS = 1000.0
Loss = Annotated[float, Field(ge=0, le=HIGHEST_LOSS)]


class ReferenceFile(StrictModel):
    """What is read of the file.

    Attributes:
        nats_per_token: of each domain the loss of its best epoch, in nats per supervised token.
        tokenizer: fingerprint of the tokenizer whose tokens these are.
        heldout: rows of each domain that they were measured on.
        heldout_digests: of each domain, which rows these were.
        seed: of their choice.
        bits_per_byte: the same losses in bits per UTF-8 byte; what other tokenizers compare by.
        epochs: the loss after each epoch; null where it was not finite.
        best_epoch: from 1.
        made_under: what decided the losses.
    """

    model_config = ConfigDict(extra="allow")

    nats_per_token: ByDomain[Loss]
    tokenizer: str
    heldout: int = Field(ge=1)
    heldout_digests: ByDomain[str]
    seed: int
    bits_per_byte: ByDomain[Loss] | None = None
    epochs: ByDomain[list[Loss | None]] | None = None
    best_epoch: ByDomain[int] | None = None
    made_under: dict[str, Any] | None = None


def read_reference(path: Path) -> ReferenceFile:
    """What a reference file holds.

    Args:
        path: the file.

    Raises:
        ArtifactError: it is missing, damaged, of another kind, or lacks something.
    """
    return read_artifact(path, KIND, SCHEMA, ReferenceFile)
