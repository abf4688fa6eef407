"""Reference losses for a run with its own tokenizer and held-out rows."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from versatune_plugin.artifacts.fingerprint import tokenizer_fingerprint
from versatune_plugin.artifacts.reference import ReferenceFile, read_reference
from versatune_plugin.data.domains import DomainTable
from versatune_plugin.data.heldout import heldout_digest
from versatune_plugin.errors import ArtifactError
from versatune_plugin.mixtures.weights import Vector, weight_problems

LOG = logging.getLogger("axolotl.versatune")


def check_reference(reference: Path, names: Sequence[str], heldout: int | None, seed: int) -> None:
    """See, before there are rows, that a file can be what a run needs.

    Args:
        reference: the file.
        names: the run's domains.
        heldout: rows of each domain that the run was told to hold out; None: it takes the number from the file.
        seed: of the choice of held-out rows.

    Raises:
        VersaTuneError: the file is missing or damaged, is of other domains, or was measured on other held-out rows.
    """
    found = read_reference(reference)
    _positive(found.nats_per_token, names, f"{reference}, nats_per_token")
    wanted = found.heldout if heldout is None else heldout
    if (found.heldout, found.seed) != (wanted, seed):
        raise _other_rows(reference, found, names, wanted)


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
    found = read_reference(reference)
    same = found.tokenizer == tokenizer_fingerprint(tokenizer)
    if not same and found.bits_per_byte is None:
        raise ArtifactError(
            f"{reference}: its losses are per token of another tokenizer ({found.tokenizer}), and without "
            "`bits_per_byte` they cannot be compared; make it anew with `axolotl versatune reference CONFIG`"
        )
    unit = "nats_per_token" if same else "bits_per_byte"
    losses = _positive(getattr(found, unit), table.names, f"{reference}, {unit}")
    others = [n for n in table.names if found.heldout_digests.get(n) != heldout_digest(table, n, tokenizer)]
    if others:
        raise _other_rows(reference, found, others, len(table.domains[0].heldout))
    if same:
        return losses
    LOG.warning("%s was made with another tokenizer: losses are compared in bits per byte", reference)
    per_token = [
        table.response_bytes(domain.heldout, tokenizer) / table.supervised[domain.heldout].sum()
        for domain in table.domains
    ]
    return losses * math.log(2) * np.array(per_token)


def _other_rows(reference: Path, found: ReferenceFile, names: Sequence[str], heldout: int) -> ArtifactError:
    return ArtifactError(
        f"{reference}: its losses of {', '.join(names)} were measured on other held-out rows than this run holds out "
        f"({found.heldout} a domain there, {heldout} here, seed {found.seed} there); set `versatune.heldout: "
        f"{found.heldout}` and `seed: {found.seed}` (or `versatune.split_seed: {found.seed}`), or make it anew with "
        "`axolotl versatune reference CONFIG`"
    )


def _positive(values: Mapping[str, Any], names: Sequence[str], where: str) -> Vector:
    problems = weight_problems(values, names, where)
    problems += [
        f"{where}: {name} is 0; a loss of zero is memorised training text, not a ceiling"
        for name in names
        if values.get(name) == 0
    ]
    if problems:
        raise ArtifactError.collected("these reference losses cannot be used", problems)
    return np.array([float(values[name]) for name in names])
