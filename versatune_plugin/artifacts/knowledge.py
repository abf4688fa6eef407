"""The knowledge file: `knowledge.json`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
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
    """What is read of the file; one written by hand needs only ``probabilities``, whose numbers the domains check.

    Attributes:
        covariance: of the estimate, k x k, in the order of ``probabilities``.
        source: where the numbers come from.
        warning: what whoever uses the file should know; a run shows it.
    """

    # What made it differs from version to version.
    model_config = ConfigDict(extra="allow")

    probabilities: ByDomain[Any]
    interval95: ByDomain[Annotated[list[Share], Field(min_length=2, max_length=2)]] | None = None
    iterations: list[ByDomain[Share]] | None = None
    texts: Count | None = None
    unparsed: Count | None = None
    covariance: list[list[float]] | None = None
    source: str | None = None
    warning: str | None = None

    def fact(self, name: str) -> str | None:
        """What a file says of what made it, in a word or two; None where it does not say.

        Args:
            name: a key: ``base_model``, ``judge``, ``estimator``, ``command``.
        """
        value = (self.model_extra or {}).get(name)
        if not isinstance(value, Mapping):
            return value if isinstance(value, str) else None
        words = [word for key in ("name", "model") if isinstance(word := value.get(key), str)]
        return " ".join(words) or None


_REQUIRED = ("probabilities", "interval95", "iterations", "texts", "unparsed")
_OPTIONAL = ("covariance", "source", "warning")


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
    optional = {name: value for name in _OPTIONAL if (value := getattr(found, name)) is not None}
    return Knowledge(**required, made_by={**(found.model_extra or {}), **optional}, path=path)


def inspect_knowledge(path: Path) -> KnowledgeFile:
    """Read whatever a knowledge file holds, for the domains that it names itself.

    Args:
        path: the file, made by a command or by hand.

    Raises:
        ArtifactError: the file cannot be read, its entries are no distribution, or its intervals or its covariance are
            not those of its domains; everything that is wrong is in one message.
    """
    found = read_artifact(path, KIND, SCHEMA, KnowledgeFile)
    names = list(found.probabilities)
    problems = _problems(found.probabilities, names)
    if found.interval95 is not None:
        if found.interval95.keys() != set(names):
            problems.append(f"interval95: names {_listed(found.interval95)}, but the domains are {_listed(names)}")
        problems += [
            f"interval95.{name}: begins above its end ({low:g} and {high:g})"
            for name, (low, high) in found.interval95.items()
            if low > high
        ]
    if found.covariance is not None and not _is_covariance(found.covariance, len(names)):
        problems.append(
            f"covariance: must be {len(names)} lists of {len(names)} numbers each, symmetric, and no variance below 0"
        )
    if problems:
        raise ArtifactError.collected(f"{path}: cannot be used", [*problems, "mend the file, or make it anew"])
    return found


def warning_of(path: Path) -> str | None:
    """The warning in a knowledge file, for whoever uses it.

    Args:
        path: the file.

    Raises:
        ArtifactError: as of `versatune_plugin.artifacts.io.read_artifact`.
    """
    return read_artifact(path, KIND, SCHEMA, KnowledgeFile).warning


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _is_covariance(rows: Sequence[Sequence[float]], size: int) -> bool:
    if [len(row) for row in rows] != [size] * size:
        return False
    # Reading most files takes no arithmetic, and importing it takes long.
    import numpy as np

    matrix = np.array(rows)
    # Of variances of shares, whose scale is far below 1.
    rounding = 1e-9 * max(float(np.abs(matrix).max()), 1e-300)
    return bool(np.abs(matrix - matrix.T).max() <= rounding and np.linalg.eigvalsh(matrix).min() >= -size * rounding)


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
