"""The record of a run, ``versatune.jsonl``: a line at the start, one per update of the weights, one at the end."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from versatune_plugin.artifacts.io import append_json_line, json_lines, read_json_lines, write_json_lines
from versatune_plugin.errors import ArtifactError

LOG = logging.getLogger("axolotl.versatune")
RECORD_FILE = "versatune.jsonl"
# The lines from whose step on other weights may rule.
WEIGHT_LINES = ("update", "scheduled")
Line = TypeVar("Line")
Share = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RunRecord:
    """Writes the record of one run, line by line, each on the disk before training goes on.

    Args:
        output_dir: Axolotl's ``output_dir``.
    """

    def __init__(self, output_dir: Path) -> None:
        self.path = output_dir / RECORD_FILE
        self._run = uuid.uuid4().hex
        self._written = _Written()

    @property
    def so_far(self) -> dict[str, Any] | None:
        """For a checkpoint: the run's id, and what was written until now; None in a process that writes no record."""
        return {"run": self._run, **self._written.as_json()} if self._written.size else None

    def start(self, facts: Mapping[str, Any]) -> None:
        """Begin a new record; one left by an earlier run in the same directory is kept under another name."""
        self._set_aside()
        self.add("start", {"run": self._run, **facts})

    def resume(
        self, step: int, so_far: Mapping[str, Any] | None, facts: Mapping[str, Any], finished: bool = False
    ) -> None:
        """Go on after ``step`` with the lines that were there when its checkpoint was saved; later ones are done again.

        A record that is not what the checkpoint says is kept under another name, and a new one begins at ``step``.

        Args:
            step: optimizer steps done.
            so_far: what `so_far` was when the checkpoint was saved.
            facts: for the first line, if there is no record to go on with.
            finished: nothing is left to train, and the end is measured again.
        """
        if so_far is not None:
            self._run = so_far["run"]
        start = {"kind": "start", "run": self._run, **facts, "resumed_at": step}
        data = self.path.read_bytes() if self.path.exists() else None
        why = _damage(data, so_far, step)
        if why is None:
            assert data is not None
            assert so_far is not None
            kept = [json.loads(line) for line in data[: so_far["bytes"]].split(b"\n") if line]
            while finished and kept[-1]["kind"] in ("measure", "test") and kept[-1]["step"] == step:
                kept.pop()
        elif data is not None and _begins_with(data, start):
            # Begun when the run was resumed from here before, and nothing of it came to a checkpoint.
            kept = [json.loads(data.split(b"\n")[0])]
        else:
            aside = self._set_aside()
            kept_as = "" if aside is None else f". It is kept as {aside}"
            LOG.warning(
                "%s: %s%s. The run goes on, and what it was told before step %d is not in the new record",
                self.path,
                why,
                kept_as,
                step,
            )
            self._written = _Written()
            self.add("start", {**start, "why": why})
            return
        lines = [*kept, {"kind": "resume", "step": step}]
        write_json_lines(self.path, lines)
        self._written = _Written()
        self._written.add(lines)

    def add(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Append a line of ``kind`` (``update``, ``scheduled``, ``measure``, ``test`` or ``end``)."""
        line = {"kind": kind, **facts}
        append_json_line(self.path, line)
        self._written.add([line])

    def _set_aside(self) -> Path | None:
        if not self.path.exists():
            return None
        number = 1
        while (kept := self.path.with_name(f"versatune.{number}.jsonl")).exists():
            number += 1
        return self.path.rename(kept)


class _Written:
    """Size in bytes and digest of lines, added up as they are written."""

    def __init__(self) -> None:
        self.size = 0
        self._digest = hashlib.blake2b(digest_size=16)

    def add(self, lines: Iterable[Mapping[str, Any]]) -> None:
        data = json_lines(lines).encode()
        self.size += len(data)
        self._digest.update(data)

    def as_json(self) -> dict[str, Any]:
        return {"bytes": self.size, "digest": self._digest.hexdigest()}


class _Start(BaseModel):
    """What readers need of the first line."""

    model_config = ConfigDict(strict=True)

    kind: Literal["start"]
    mixture: str
    weights: dict[str, Share]
    total_steps: int = Field(ge=1)
    resumed_at: int = Field(default=0, ge=0)


class _WeightsLine(BaseModel):
    """What they need of a line that has weights."""

    model_config = ConfigDict(strict=True)

    kind: Literal["measure", "update", "scheduled"]
    step: int = Field(ge=0)
    weights: dict[str, Share]
    loss: dict[str, float | None] | None = None


class _TestLine(BaseModel):
    """What they need of the losses of the test rows."""

    model_config = ConfigDict(strict=True)

    kind: Literal["test"]
    step: int = Field(ge=0)
    loss: dict[str, float | None]
    bits_per_byte: dict[str, float | None]


class _Mark(BaseModel):
    """What they need of any other."""

    model_config = ConfigDict(strict=True)

    kind: Literal["resume", "end"]
    step: int = Field(ge=0)


FIRST = TypeAdapter(_Start)
LATER: TypeAdapter[_WeightsLine | _TestLine | _Mark] = TypeAdapter(
    Annotated[_WeightsLine | _TestLine | _Mark, Field(discriminator="kind")]
)


def read_record(path: Path) -> list[dict[str, Any]]:
    """Read a run's record.

    Args:
        path: the file, or the output directory that holds it.

    Raises:
        ArtifactError: there is none, or a line is not what a run writes; the line is named.
    """
    file = path / RECORD_FILE if path.is_dir() else path
    lines: Sequence[Any] = read_json_lines(file, may_be_cut=True)
    if not lines or lines[0].get("kind") != "start":
        raise ArtifactError(f"{file}: no record of a run (its first line must have kind 'start')")
    start = _checked(FIRST, file, 1, lines[0])
    before = start.resumed_at
    for number, line in enumerate(lines[1:], start=2):
        found = _checked(LATER, file, number, line)
        by_domain: tuple[dict[str, Any] | None, ...] = ()
        if isinstance(found, _WeightsLine):
            by_domain = (found.weights, found.loss)
        elif isinstance(found, _TestLine):
            by_domain = (found.loss, found.bits_per_byte)
        if found.step < before:
            raise _not_of_a_run(file, number, f"its step is {found.step}, after one of step {before}")
        if any(figures is not None and set(figures) != set(start.weights) for figures in by_domain):
            raise _not_of_a_run(file, number, f"its domains are not {', '.join(sorted(start.weights))}")
        if found.kind == "end" and number < len(lines):
            raise _not_of_a_run(file, number, "it ends the run, and more lines follow")
        if found.kind != "resume" and line == lines[number - 2]:
            raise _not_of_a_run(file, number, "it is there twice")
        before = found.step
    return list(lines)


def _checked(model: TypeAdapter[Line], file: Path, number: int, line: Any) -> Line:
    try:
        return model.validate_python(line)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise _not_of_a_run(file, number, f"{place}: {first['msg']}" if place else first["msg"]) from None


def _not_of_a_run(file: Path, number: int, problem: str) -> ArtifactError:
    return ArtifactError(
        f"{file}, line {number} is not of a run's record ({problem}): it was edited or damaged, or two were joined. "
        "Take the file from a copy"
    )


def _damage(data: bytes | None, so_far: Mapping[str, Any] | None, step: int) -> str | None:
    """What shows that a record is not the one that a checkpoint was saved with; None if it is."""
    if data is None:
        return "it is not there"
    if not data:
        return "it is empty"
    if so_far is None:
        return "the checkpoint was saved by a process that wrote no record"
    written = data[: so_far["bytes"]]
    if hashlib.blake2b(written, digest_size=16).hexdigest() == so_far["digest"]:
        return None
    run = _first_line(data).get("run")
    if run is None:
        return "its first line is not that of a run"
    if run != so_far["run"]:
        return f"it is of another run ({run}; the checkpoint is of {so_far['run']})"
    return f"a line up to step {step} is lost or changed since the checkpoint was saved"


def _begins_with(data: bytes, start: Mapping[str, Any]) -> bool:
    return {**_first_line(data), "why": None} == {**json.loads(json.dumps(start)), "why": None}


def _first_line(data: bytes) -> dict[str, Any]:
    try:
        first = json.loads(data.split(b"\n")[0])
    except ValueError:
        return {}
    return first if isinstance(first, dict) else {}
