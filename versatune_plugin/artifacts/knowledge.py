"""The knowledge file: `knowledge.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from versatune_plugin.artifacts.io import read_artifact, write_json
from versatune_plugin.errors import ArtifactError
from versatune_plugin.schema.domain_names import ByDomain
from versatune_plugin.schema.model import Count, Share, StrictModel, number_hint, shown

KIND = "versatune.knowledge"
SCHEMA = 1
SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Knowledge:
    """What Algorithm 1 found out about a base model.

    Attributes:
        probabilities: the knowledge distribution P; sums to 1.
        interval95: each domain's 95 % interval, [low, high].
        iterations: the distribution of each iteration.
        texts: how many texts were generated and judged.
        unparsed: how many of them have no usable judgement and are left out.
        made_by: what made it: command, model, tokenizer, start token, judge, seeds, versions, ...
        path: the file it was written to or read from; not in the file itself.
    """

    probabilities: dict[str, float]
    interval95: dict[str, list[float]]
    iterations: list[dict[str, float]]
    texts: int
    unparsed: int
    made_by: dict[str, Any] = field(default_factory=dict)
    path: Path | None = field(default=None, compare=False)


class KnowledgeFile(StrictModel):
    """What is read of the file; one written by hand needs only ``probabilities``, whose numbers the domains check."""

    # What made it differs from version to version.
    model_config = ConfigDict(extra="allow")

    probabilities: ByDomain[Any]
    interval95: ByDomain[Annotated[list[Share], Field(min_length=2, max_length=2)]] | None = None
    iterations: list[ByDomain[Share]] | None = None
    texts: Count | None = None
    unparsed: Count | None = None


_REQUIRED = ("probabilities", "interval95", "iterations", "texts", "unparsed")


def write_knowledge(path: Path, knowledge: Knowledge) -> None:
    """Write the file in one rename.

    Args:
        path: the file.
        knowledge: its contents.

    Raises:
        ArtifactError: it could not be written; what ``path`` held before is intact.
    """
    facts = {name: getattr(knowledge, name) for name in _REQUIRED}
    write_json(path, {"kind": KIND, "schema": SCHEMA, **facts, **knowledge.made_by})


def load_knowledge(path: Path) -> Knowledge:
    """Read everything in a file of `detect`.

    Args:
        path: the file.

    Raises:
        ArtifactError: the file is missing, cut off or of another kind, or lacks a key that `detect` writes.
    """
    found = read_artifact(path, KIND, SCHEMA, KnowledgeFile)
    lacking = [name for name in _REQUIRED if getattr(found, name) is None]
    if lacking:
        raise ArtifactError(f"{path}: lacks {', '.join(lacking)}; make it anew with `axolotl versatune detect CONFIG`")
    required = {name: getattr(found, name) for name in _REQUIRED}
    return Knowledge(**required, made_by=dict(found.model_extra or {}), path=path)


def read_knowledge(path: Path, domains: Sequence[str]) -> dict[str, float]:
    """Read the knowledge distribution for exactly these domains.

    A file written by hand needs no more than ``kind``, ``schema`` and ``probabilities``.

    Args:
        path: the file.
        domains: the names that must be there, and no others.

    Returns:
        The probability of each domain, in the order of ``domains``.

    Raises:
        ArtifactError: the file cannot be read, or its entries are missing, unknown, negative, not finite, all zero or
            do not sum to 1; everything that is wrong is in one message.
    """
    found = read_artifact(path, KIND, SCHEMA, KnowledgeFile).probabilities
    problems = _problems(found, domains)
    if problems:
        raise ArtifactError.collected(f"{path}: the knowledge distribution cannot be used", problems)
    return {name: float(found[name]) for name in domains}


def _problems(found: Mapping[str, Any], domains: Sequence[str]) -> list[str]:
    expected = ", ".join(domains)
    problems = [
        f"domain {name!r} is missing: run `axolotl versatune detect` with this configuration"
        for name in domains
        if name not in found
    ]
    problems += [
        f"domain {name!r} is unknown (the configuration has {expected}): remove it, or name it in `datasets:`"
        for name in found
        if name not in domains
    ]
    numbers = []
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            problems.append(f"domain {name!r} is {shown(value)}, but must be a number{number_hint(value)}")
        elif not math.isfinite(value):
            problems.append(f"domain {name!r} is {value}, but must be finite")
        elif value < 0:
            problems.append(f"domain {name!r} is {value}, but must not be negative")
        else:
            numbers.append(float(value))
    if len(numbers) < len(found):
        return problems
    total = math.fsum(numbers)
    if total == 0:
        problems.append("every entry is 0: at least one domain needs a positive probability")
    elif abs(total - 1) > SUM_TOLERANCE:
        problems.append(f"the entries sum to {total:.9g}, which is off 1 by {total - 1:+.3g}: divide each by their sum")
    return problems
