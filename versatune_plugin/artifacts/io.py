"""The files that the product writes and reads: JSON with a kind and a schema version, never half written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from versatune_plugin.errors import ArtifactError

PROBE_BYTES = 1 << 14


def write_json(path: Path, payload: Mapping[str, Any]) -> None:
    """Write ``payload`` as JSON under a temporary name, flush it to the disk, then rename it to ``path``.

    Raises:
        ArtifactError: it could not be written; what ``path`` held before is intact.
    """
    _replace(path, json.dumps(payload, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, kind: str, schema: int) -> dict[str, Any]:
    """Read a file written by `write_json`.

    Args:
        path: the file.
        kind: the value that its key ``kind`` must have, for example ``versatune.knowledge``.
        schema: the schema version this code reads.

    Raises:
        ArtifactError: the file is missing, cut off, not JSON, of another kind or of another schema version.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file; {_maker(kind)}")
    try:
        payload = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path}: not complete JSON ({error}); the file was cut off or edited: {_maker(kind)}"
        ) from error
    if not isinstance(payload, dict) or payload.get("kind") != kind:
        found = payload.get("kind") if isinstance(payload, dict) else type(payload).__name__
        raise ArtifactError(f"{path}: its kind is {found!r}, but {kind!r} is needed here; {_maker(kind)}")
    if payload.get("schema") != schema:
        raise ArtifactError(
            f"{path}: schema version {payload.get('schema')!r}, but this version of versatune reads {schema}; "
            + _maker(kind)
        )
    return payload


def is_json(path: Path) -> bool:
    """Whether a file is there and is complete JSON, whoever wrote it."""
    try:
        json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return True


def append_json_line(path: Path, payload: Mapping[str, Any]) -> None:
    """Append one line of JSON and flush it to the disk; see `append_json_lines`."""
    append_json_lines(path, [payload])


def append_json_lines(path: Path, payloads: Iterable[Mapping[str, Any]]) -> None:
    """Append lines of JSON with one write and one flush to the disk.

    Raises:
        ArtifactError: they could not be written; the lines before them are intact.
    """
    text = json_lines(payloads)
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())


def write_json_lines(path: Path, payloads: Iterable[Mapping[str, Any]]) -> None:
    """Write a whole file of JSON lines, in one rename.

    Raises:
        ArtifactError: it could not be written; what ``path`` held before is intact.
    """
    _replace(path, json_lines(payloads))


def json_lines(payloads: Iterable[Mapping[str, Any]]) -> str:
    """Lines of JSON as they are written to a file."""
    return "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in payloads)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines; an incomplete last line (its writer was killed) is left out.

    Raises:
        ArtifactError: the file is missing, or a line before the last is not JSON.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file")
    # Bytes, not text: str.splitlines would also split at U+2028, and an incomplete line may end inside a character.
    lines = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            records.append(json.loads(line))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            if number == len(lines):
                break
            raise ArtifactError(f"{path}, line {number}: not JSON ({error}); remove the line or the file") from error
    return records


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


def free_space(path: Path) -> str:
    """How much of the disk that holds, or would hold, ``path`` is free, in words."""
    folder = next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())
    return f"{shutil.disk_usage(folder).free / 2**20:,.1f} MiB free there"


def _replace(path: Path, text: str) -> None:
    # A file has one writer at a time, so what a killed one left is written over.
    temporary = path.with_name(f".{path.name}.tmp")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


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
    command = {"versatune.knowledge": "detect", "versatune.reference": "reference"}.get(kind)
    return f"make it with `axolotl versatune {command} CONFIG`" if command else "make it anew"
