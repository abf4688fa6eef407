"""Held-out rows by their texts, whatever the tokenizer."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from versatune_plugin.data.domains import DomainTable, Rows
from versatune_plugin.errors import DataError
from versatune_plugin.schema.wording import counted


def text_key(text: str) -> str:
    """A text up to white space, which tokenizers treat differently."""
    return " ".join(text.split())


def heldout_digest(table: DomainTable, name: str, tokenizer: Any) -> str:
    """Identifies the held-out rows of a domain by their texts, whatever the tokenizer.

    Args:
        table: the domains of the run, with their held-out rows.
        name: the domain.
        tokenizer: of the table's tokens.

    Returns:
        16 hexadecimal digits.
    """
    keys = sorted(text_key(text) for text in _texts(table, table.heldout_rows(name), tokenizer))
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]


def same_rows(table: DomainTable, tokenizer: Any, others: DomainTable, other_tokenizer: Any) -> DomainTable:
    """The rows of one domain under another tokenizer or template, split as the run's: a text's row has its part.

    Args:
        table: one domain of the run, with its held-out rows.
        tokenizer: the run's.
        others: rows of the same files under the other tokenizer.
        other_tokenizer: their tokenizer.

    Returns:
        ``others`` with the run's held-out rows held out, and all that the run does not train on left out.

    Raises:
        DataError: some of the held-out texts are not among the rows, or none of the others is.
    """
    (name,) = table.names
    held = _keys(table, table.heldout_rows(name), tokenizer)
    trained = set(_keys(table, table.training_rows(name), tokenizer))
    keys = _keys(others, np.arange(others.domains[0].size), other_tokenizer)
    wanted = set(held)
    found = np.array([row for row, key in enumerate(keys) if key in wanted], dtype=np.int64)
    lacking = len(wanted - {keys[row] for row in found})
    reason = (
        "with this model's tokenizer and template (too long, or written differently); use a reference model with the "
    )
    remedy = "same chat template, or a larger `sequence_len`"
    if lacking:
        raise DataError(
            f"domain {name!r}: {lacking} of {counted(len(wanted), 'held-out row')} do not occur {reason}{remedy}"
        )
    excluded = np.array([row for row, key in enumerate(keys) if key not in trained], dtype=np.int64)
    if len(np.union1d(found, excluded)) == len(keys):
        raise DataError(f"domain {name!r}: none of the rows that the run trains on occurs {reason}{remedy}")
    return others.with_heldout({name: found}, excluded)


def _keys(table: DomainTable, rows: Rows, tokenizer: Any) -> list[bytes]:
    return [hashlib.sha256(text_key(text).encode()).digest() for text in _texts(table, rows, tokenizer)]


def _texts(table: DomainTable, rows: Rows, tokenizer: Any) -> list[str]:
    """The rows' texts without special tokens."""
    return list(tokenizer.batch_decode(table.dataset[rows.tolist()]["input_ids"], skip_special_tokens=True))
