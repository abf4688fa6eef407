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
TEXTS_KIND = "versatune.heldout_texts"
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


def hold_out_texts(table: DomainTable, path: Path, tokenizer: Any) -> DomainTable:
    """Hold out the rows whose texts stand in a file that `reference` wrote for a model with another tokenizer.

    Raises:
        VersaTuneError: some of the texts are not among the rows.
    """
    texts: dict[str, list[str]] = read_json(path, TEXTS_KIND, SCHEMA)["texts"]
    chosen, problems = {}, []
    for domain in table.domains:
        wanted = set(texts[domain.name])
        rows = np.arange(domain.first, domain.first + domain.size)
        found = [row for row, text in zip(rows, table.texts(rows, tokenizer), strict=True) if text_key(text) in wanted]
        keys = {text_key(text) for text in table.texts(np.array(found, dtype=np.int64), tokenizer)} if found else set()
        if wanted - keys:
            problems.append(
                f"domain {domain.name!r}: {len(wanted - keys)} of {len(wanted)} held-out rows do not occur with this "
                "model's tokenizer and template (too long, or written differently); use a reference model with the "
                "same chat template, or a larger `sequence_len`"
            )
        chosen[domain.name] = np.array(found, dtype=np.int64)
    if problems:
        raise VersaTuneError.collected("the reference model cannot be measured on the run's held-out rows", problems)
    return table.with_heldout(chosen)


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
