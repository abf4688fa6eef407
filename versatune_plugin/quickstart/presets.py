"""How large the quickstart is: `default` takes minutes on two cores, `short` is for tests; `real` is for `--rows`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """The sizes of one quickstart.

    Attributes:
        rows: fine-tuning rows of each domain, held-out ones included.
        documents: at most so many plain texts of each domain to draw from for pretraining.
        pretraining_documents: documents drawn for pretraining, all domains together.
        texts: texts of each of the two iterations of detection.
        text_tokens: the longest text, in tokens.
        steps: optimizer steps of a fine-tuning.
        update_steps: optimizer steps between two updates of the weights.
        heldout: rows of each domain kept out of training.
        reference_epochs: passes over each domain for its reference loss.
        sequence_len: longer rows are left out.
    """

    rows: int
    documents: int
    pretraining_documents: int
    texts: int
    text_tokens: int
    steps: int
    update_steps: int
    heldout: int
    reference_epochs: int
    sequence_len: int = 512


PRESETS: Mapping[str, Preset] = {
    "default": Preset(
        rows=500,
        documents=2000,
        pretraining_documents=8000,
        texts=400,
        text_tokens=80,
        steps=120,
        update_steps=20,
        heldout=24,
        reference_epochs=1,
    ),
    "short": Preset(
        rows=120,
        documents=300,
        pretraining_documents=1600,
        texts=128,
        text_tokens=48,
        steps=20,
        update_steps=5,
        heldout=8,
        reference_epochs=1,
    ),
    "real": Preset(
        rows=600,
        documents=1800,
        pretraining_documents=9000,
        texts=512,
        text_tokens=96,
        steps=240,
        update_steps=20,
        heldout=48,
        reference_epochs=2,
        sequence_len=256,
    ),
    "real-short": Preset(
        rows=100,
        documents=200,
        pretraining_documents=800,
        texts=64,
        text_tokens=32,
        steps=12,
        update_steps=3,
        heldout=4,
        reference_epochs=1,
        sequence_len=256,
    ),
}
