"""The files that the product writes and reads: JSON with a kind and a schema version, never half written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from versatune_plugin.errors import ArtifactError
from versatune_plugin.schema.json_text import JsonError, parse_json, parse_line
from versatune_plugin.schema.model import StrictModel, problems_of, shown

PROBE_BYTES = 1 << 14
COMMANDS = {
    "versatune.knowledge": "detect",
    "versatune.reference": "reference",
    "versatune.judge_check": "judge-check",
}
# Files of the same kind by another command, which either may replace.
ALSO = {"versatune.knowledge": " or `axolotl versatune knowledge from-counts`"}
ALTERNATIVES = {
    "versatune.reference": ", or write the losses into the YAML: `reference: {domain: nats per token, ...}`",
}
Model = TypeVar("Model", bound=StrictModel)


def write_json(path: Path, payload: Mapping[str, Any]) -> None:
    """Write ``payload`` as JSON under a temporary name, flush it to the disk, then rename it to ``path``.

    Raises:
        ArtifactError: it could not be written; what ``path`` held before is intact.
    """
    write_text(path, json.dumps(payload, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, kind: str, schema: int) -> dict[str, Any]:
    """Read a file written by `write_json`.

    Args:
        path: the file.
        kind: the value that its key ``kind`` must have, for example ``versatune.knowledge``.
        schema: the schema version this code reads.

    Raises:
        ArtifactError: the file is missing, cut off, not JSON, of another kind or of another schema version.
    """
    try:
        payload = parse_json(_bytes(path, _maker(kind)))
    except JsonError as error:
        raise ArtifactError(
            f"{path}: not complete JSON ({error}); the file was cut off or edited: {_maker(kind)}"
        ) from error
    if not isinstance(payload, dict):
        raise ArtifactError(f"{path}: holds no mapping, but a file of kind {kind!r} is needed here; {_maker(kind)}")
    if payload.get("kind") != kind:
        raise ArtifactError(
            f"{path}: its kind is {shown(payload.get('kind'))}, but {kind!r} is needed here; {_maker(kind)}"
        )
    if type(payload.get("schema")) is not int or payload["schema"] != schema:
        raise ArtifactError(
            f"{path}: schema version {shown(payload.get('schema'))}, but this version of versatune reads {schema}; "
            + _maker(kind)
        )
    return payload


def read_artifact(path: Path, kind: str, schema: int, model: type[Model]) -> Model:
    """Read a file written by `write_json` as a typed model.

    Args:
        path: the file.
        kind: as of `read_json`.
        schema: as of `read_json`.
        model: of everything in it but ``kind`` and ``schema``.

    Raises:
        ArtifactError: as of `read_json`, or something in it is not what its model says; all of it in one message.
    """
    payload = read_json(path, kind, schema)
    own = {name: value for name, value in payload.items() if name not in ("kind", "schema")}
    return checked(own, model, str(path), _maker(kind))


def checked(values: Any, model: type[Model], place: str, remedy: str) -> Model:
    """What a file of ours holds, as a typed model.

    Args:
        values: of the file.
        model: of them.
        place: the file, and the line where it has lines.
        remedy: what a user should do about it.

    Raises:
        ArtifactError: something is not what the model says.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ArtifactError.collected(f"{place} cannot be used", [*problems_of(error, model), remedy]) from error


def _bytes(path: Path, remedy: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; {remedy}") from None
    except IsADirectoryError:
        raise ArtifactError(f"{path}: is a folder, not a file; {remedy}") from None
    except OSError as error:
        raise ArtifactError(f"{shown(str(path))}: cannot be read ({error.strerror}); name another file") from error


def is_json(path: Path) -> bool:
    """Whether a file is there and is complete JSON, whoever wrote it."""
    try:
        # Not by our reader: the host's files may hold a NaN.
        json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return True


def append_json_line(path: Path, payload: Mapping[str, Any]) -> None:
    """Append one line of JSON and flush it to the disk; see `append_json_lines`."""
    append_json_lines(path, [payload])


def append_json_lines(path: Path, payloads: Iterable[Mapping[str, Any]], *, sync: bool = True) -> None:
    """Append lines of JSON with one write.

    Args:
        path: the file.
        payloads: a line each.
        sync: wait until they are on the disk. Without, they survive the end of the process, but not a power cut.

    Raises:
        ArtifactError: they could not be written; the lines before them are intact.
    """
    text = json_lines(payloads)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        length = path.stat().st_size if path.exists() else 0
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
        except OSError:
            # Else what another thread appends would continue half a line.
            with suppress(OSError):
                os.truncate(path, length)
            raise


def write_json_lines(path: Path, payloads: Iterable[Mapping[str, Any]]) -> None:
    """Write a whole file of JSON lines, in one rename.

    Raises:
        ArtifactError: it could not be written; what ``path`` held before is intact.
    """
    write_text(path, json_lines(payloads))


def json_lines(payloads: Iterable[Mapping[str, Any]]) -> str:
    """Lines of JSON as they are written to a file."""
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in payloads)


def read_json_lines(path: Path, *, may_be_cut: bool = False) -> list[dict[str, Any]]:
    """Read JSON lines, each a mapping.

    Args:
        path: the file.
        may_be_cut: an incomplete last line (its writer was killed) is left out.

    Raises:
        ArtifactError: the file is missing, or a line is no mapping in JSON; the line is named.
    """
    # Bytes, not text: str.splitlines would also split at U+2028, and an incomplete line may end inside a character.
    lines = _bytes(path, "name another one").split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = parse_line(line)
        except JsonError as error:
            if number == len(lines) and may_be_cut:
                break
            raise ArtifactError(f"{path}, line {number}: not JSON ({error}); mend or remove the line") from error
        if not isinstance(record, dict):
            raise ArtifactError(f"{path}, line {number}: {shown(record)} is no mapping; mend or remove the line")
        records.append(record)
    return records


def write_text(path: Path, text: str) -> None:
    """Write a text under a temporary name, flush it to the disk, then rename it to ``path``.

    Raises:
        ArtifactError: it could not be written; what ``path`` held before is intact.
    """
    temporary = _temporary(path)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A file has one writer at a time, so what is there was left by a killed one, or is a link that somebody laid.
        temporary.unlink(missing_ok=True)
        try:
            with temporary.open("x", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """See that a file or a folder can be made or written at ``path``, before work is spent on what goes there.

    A few kilobytes are written beside it (or into it, if it is a folder) and vanish again.

    Raises:
        ArtifactError: they cannot be.
    """
    folder = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    try:
        between = next((parent for parent in path.absolute().parents if parent.exists()), folder)
        if not between.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be written ({error.strerror}; {free_space(path)}), so nothing was started: free space "
            "there, make it writable, or choose another place"
        ) from error


def check_output(path: Path, kind: str, schema: int, *beside: str) -> None:
    """See, before work is spent on it, that a file of ours can be written, and that nothing else is lost by that.

    Args:
        path: the file; one that a command of ours made before may be replaced.
        kind: of the file.
        schema: of the file.
        beside: the names of files that will be written beside it.

    Raises:
        ArtifactError: what is there was made by something else, or by hand; its name is too long; the place cannot be
            written.
    """
    longest = max((_temporary(path).name, f".{path.name}.lock", *beside), key=lambda name: len(os.fsencode(name)))
    folder = next((folder for folder in path.absolute().parents if folder.is_dir()), Path("/"))
    most = os.pathconf(folder, "PC_NAME_MAX")
    if len(os.fsencode(longest)) > most:
        raise ArtifactError(
            f"--out: {shown(path.name)} is too long a name: {len(os.fsencode(longest))} bytes with what is written "
            f"beside it, and the file system takes {most}; choose a shorter one"
        )
    check_writable(path)
    if not path.exists():
        return
    try:
        made_by = read_json(path, kind, schema).get("command")
    except ArtifactError as error:
        raise ArtifactError(
            f"{path} is there already and would be replaced, but it was not made by `axolotl versatune "
            f"{COMMANDS[kind]}`{ALSO.get(kind, '')}: move it away, or choose another --out"
        ) from error
    if made_by is None:
        raise ArtifactError(
            f"{path} was written by hand (it names no `command`) and would be replaced: move it away, or choose "
            "another --out"
        )


def free_space(path: Path) -> str:
    """How much of the disk that holds, or would hold, ``path`` is free, in words."""
    folder = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    return f"{shutil.disk_usage(folder).free / 2**20:,.1f} MiB free there"


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be written ({error.strerror}; {free_space(path)}); what it held before is intact. Free "
            "space there, or make it writable, and run the same command again"
        ) from error


def _maker(kind: str) -> str:
    command = COMMANDS.get(kind)
    return (
        f"make it with `axolotl versatune {command} CONFIG`{ALTERNATIVES.get(kind, '')}" if command else "make it anew"
    )
