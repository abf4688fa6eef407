"""The file of a judge's check: what it said of rows whose domain is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from versatune_plugin.artifacts.fingerprint import settings_differences
from versatune_plugin.artifacts.io import read_artifact, write_json
from versatune_plugin.errors import ArtifactError
from versatune_plugin.schema.domain_names import DomainName
from versatune_plugin.schema.model import Share, StrictModel

KIND = "versatune.judge_check"
SCHEMA = 1


class LabelledRow(StrictModel):
    """A row's domain, and the judge's probabilities in the order of the domains; null where it gave none."""

    domain: DomainName
    probabilities: list[Share] | None


class JudgeCheckFile(StrictModel):
    """What is read of the file."""

    # The figures beside are for people.
    model_config = ConfigDict(extra="allow")

    domains: list[DomainName]
    judge: dict[str, Any]
    rows: list[LabelledRow]


def write_judge_check(path: Path, settings: Mapping[str, Any], rows: Sequence[Any], figures: Mapping[str, Any]) -> None:
    """Write the file in one rename.

    Args:
        path: the file.
        settings: ``domains`` and ``judge``: what decides judgements, see `versatune_plugin.knowledge.judges.Judge`.
        rows: a domain's name and the probabilities (or None) of each labelled row.
        figures: what was found out, as plain JSON.

    Raises:
        ArtifactError: it could not be written; what ``path`` held before is intact.
    """
    labelled = [{"domain": name, "probabilities": given} for name, given in rows]
    write_json(path, {"kind": KIND, "schema": SCHEMA, **settings, **figures, "rows": labelled})


def read_judge_check(path: Path, settings: Mapping[str, Any]) -> list[LabelledRow]:
    """Read what a judge said of labelled rows, if it is this very judge.

    Args:
        path: the file.
        settings: as they are now, see `write_judge_check`.

    Raises:
        ArtifactError: the file cannot be read, or is of another judge, other domains, or rows read otherwise.
    """
    found = read_artifact(path, KIND, SCHEMA, JudgeCheckFile)
    remedy = "make it anew with `axolotl versatune judge-check CONFIG` and the same judge, or remove it"
    differences = settings_differences({"domains": found.domains, "judge": found.judge}, dict(settings), "in the file")
    if differences:
        raise ArtifactError.collected(f"{path} checks another judge; {remedy}", list(differences.values()))
    wrong = [row for row in found.rows if row.domain not in found.domains]
    wrong += [
        row for row in found.rows if row.probabilities is not None and len(row.probabilities) != len(found.domains)
    ]
    if wrong:
        raise ArtifactError(f"{path}: a row of {wrong[0].domain!r} does not fit its domains; {remedy}")
    return found.rows
