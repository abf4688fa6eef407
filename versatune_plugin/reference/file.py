"""The reference-loss file, and what it means for a run with its own tokenizer and held-out rows."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from versatune_plugin.artifacts import read_json, tokenizer_fingerprint
from versatune_plugin.domains import DomainTable
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.mixture.weights import Vector, complaints

LOG = logging.getLogger("axolotl.versatune")
KIND = "versatune.reference"
SCHEMA = 1
REQUIRED = ("nats_per_token", "tokenizer", "heldout", "heldout_digests", "seed")


def text_key(text: str) -> str:
    """A text up to white space, which tokenizers treat differently."""
    return " ".join(text.split())


def heldout_digest(table: DomainTable, name: str, tokenizer: Any) -> str:
    """Identifies the held-out rows of a domain by their texts, whatever the tokenizer (16 hexadecimal digits)."""
    keys = sorted(text_key(text) for text in table.texts(table.heldout_rows(name), tokenizer))
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]


def heldout_of(path: Path) -> int:
    """The held-out rows of a domain that the losses in a reference file were measured on."""
    return int(_read(path)["heldout"])


def read_reference_losses(reference: Path | Mapping[str, float], table: DomainTable, tokenizer: Any) -> Vector:
    """The reference losses in nats per token of ``tokenizer``, shape (k,), in the order of the table's domains.

    A file of another tokenizer is compared in bits per byte: its bits per byte times this run's bytes per token.

    Args:
        reference: a file, or nats per token of this very tokenizer by domain.
        table: the run's domains with their held-out rows.
        tokenizer: the run's.

    Raises:
        VersaTuneError: the file is missing or damaged, its domains or held-out rows are not the run's, a loss is no
            positive number, or tokenizers differ and the file has no bits per byte.
    """
    if isinstance(reference, Mapping):
        return _positive(reference, table.names, "versatune.reference")
    payload = _read(reference)
    same = payload["tokenizer"] == tokenizer_fingerprint(tokenizer)
    if not same and "bits_per_byte" not in payload:
        raise VersaTuneError(
            f"{reference}: its losses are per token of another tokenizer ({payload['tokenizer']}), and without "
            "`bits_per_byte` they cannot be compared; make it anew with `axolotl versatune reference CONFIG`"
        )
    unit = "nats_per_token" if same else "bits_per_byte"
    losses = _positive(payload[unit], table.names, f"{reference}, {unit}")
    others = [n for n in table.names if payload["heldout_digests"].get(n) != heldout_digest(table, n, tokenizer)]
    if others:
        raise VersaTuneError(
            f"{reference}: its losses of {', '.join(others)} were measured on other held-out rows than this run holds "
            f"out ({payload['heldout']} a domain there, {len(table.domains[0].heldout)} here, seed {payload['seed']} "
            f"there); set `versatune.heldout: {payload['heldout']}` and `seed: {payload['seed']}`, or make it anew "
            "with `axolotl versatune reference CONFIG`"
        )
    if same:
        return losses
    LOG.warning("%s was made with another tokenizer: losses are compared in bits per byte", reference)
    per_token = [
        table.response_bytes(domain.heldout, tokenizer) / table.supervised[domain.heldout].sum()
        for domain in table.domains
    ]
    return losses * math.log(2) * np.array(per_token)


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
        VersaTuneError: some of the held-out texts are not among the rows, or none of the others is.
    """
    (name,) = table.names
    held = _keys(table, table.heldout_rows(name), tokenizer)
    trained = set(_keys(table, table.training_rows(name), tokenizer))
    keys = _keys(others, np.arange(others.domains[0].size), other_tokenizer)
    wanted = set(held)
    found = np.array([row for row, key in enumerate(keys) if key in wanted], dtype=np.int64)
    lacking = len(wanted - {keys[row] for row in found})
    told = (
        "with this model's tokenizer and template (too long, or written differently); use a reference model with the "
    )
    remedy = "same chat template, or a larger `sequence_len`"
    if lacking:
        raise VersaTuneError(f"domain {name!r}: {lacking} of {len(wanted)} held-out rows do not occur {told}{remedy}")
    excluded = np.array([row for row, key in enumerate(keys) if key not in trained], dtype=np.int64)
    if len(np.union1d(found, excluded)) == len(keys):
        raise VersaTuneError(f"domain {name!r}: none of the rows that the run trains on occurs {told}{remedy}")
    return others.with_heldout({name: found}, excluded)


def _keys(table: DomainTable, rows: Any, tokenizer: Any) -> list[bytes]:
    return [hashlib.sha256(text_key(text).encode()).digest() for text in table.texts(rows, tokenizer)]


def _read(path: Path) -> dict[str, Any]:
    payload = read_json(path, KIND, SCHEMA)
    lacking = [key for key in REQUIRED if key not in payload]
    if lacking:
        raise VersaTuneError(
            f"{path}: lacks {', '.join(lacking)}; make it anew with `axolotl versatune reference CONFIG`, or write the "
            "losses into the YAML: `reference: {domain: nats per token, ...}`"
        )
    return payload


def _positive(values: Mapping[str, Any], names: Sequence[str], where: str) -> Vector:
    problems = complaints(values, names, where)
    problems += [
        f"{where}: {name} is 0; a loss of zero is memorised training text, not a ceiling"
        for name in names
        if values.get(name) == 0
    ]
    if problems:
        raise VersaTuneError.collected("these reference losses cannot be used", problems)
    return np.array([float(values[name]) for name in names])
