"""The user's files of rows: which of them cannot be read, where in the file that shows, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from versatune_plugin.errors import DataError
from versatune_plugin.host.prepared_rows import local_files
from versatune_plugin.schema.json_text import JsonError, parse_json, parse_line
from versatune_plugin.schema.model import shown
from versatune_plugin.schema.plain_text import is_utf_16

# What Axolotl and `datasets` read as rows.
SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet", ".arrow")
_LINES = (".jsonl",)
_TEXT = (".json", ".jsonl", ".csv", ".tsv", ".txt")
# What Axolotl takes for rows that are tokens already.
TOKENS = ("input_ids", "attention_mask", "labels")
_PARQUET = b"PAR1"
_MANY = 3


def check_data_files(entries: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> None:
    """See that every local file of ``datasets`` is there and can be rows, as far as its first and last bytes show.

    Costs nothing beside reading the rows, so it comes first.

    Args:
        entries: of ``datasets``.
        labels: the domain of each.

    Raises:
        DataError: what is wrong with any of them, in one message.
    """
    problems = [
        f"datasets[{number}] (domain {label!r}): {problem}"
        for number, (entry, label) in enumerate(zip(entries, labels, strict=True))
        for problem in _problems(entry)
    ]
    if problems:
        raise DataError.collected("these data sets cannot be read", problems)


def unreadable(entries: Sequence[Mapping[str, Any]], domain: str, error: Exception) -> DataError:
    """The error for rows that Axolotl could not prepare: the file and the line, where its contents show them.

    Args:
        entries: of the domain.
        domain: its name.
        error: what Axolotl, or a library of its, said.
    """
    files = [Path(file) for entry in entries for file in local_files(entry)]
    found = [problem for file in files for problem in _faults(file)]
    if found:
        return DataError.collected(f"domain {domain!r}: its rows cannot be read", found)
    if any(entry.get("type") is None for entry in entries):
        lacking = {name: set(TOKENS) - set(columns) for name in map(str, files) if (columns := _columns(Path(name)))}
        if told := [f"{name}: lacks {', '.join(sorted(names))}" for name, names in lacking.items() if names]:
            remedy = f"without a `type:` rows are tokens already, with {', '.join(TOKENS)}; add them, or a `type:`"
            return DataError.collected(f"domain {domain!r}: its rows cannot be read", [*told, remedy])
    names = ", ".join(str(file) for file in files[:_MANY]) or ", ".join(str(entry.get("path")) for entry in entries)
    more = f" and {len(files) - _MANY} more files" if len(files) > _MANY else ""
    keys = next((f" (a row of it has {', '.join(columns)})" for file in files if (columns := _columns(file))), "")
    innermost = _innermost(error)
    return DataError(
        f"domain {domain!r}: Axolotl cannot prepare the rows of {names}{more}{keys}: {type(innermost).__name__}: "
        f"{str(innermost).strip() or 'no message'}. See that the columns are those that the entry's `type:` reads"
    )


def _problems(entry: Mapping[str, Any]) -> Iterator[str]:
    path = str(entry.get("path") or "")
    place = Path(path).expanduser()
    if path.startswith("~") and place.exists():
        yield f"{path}: Axolotl does not know what ~ stands for; write {place}"
    elif "://" in path:
        # Of a server or a bucket.
        return
    elif not Path(path).exists():
        if path.startswith((".", "/", "~")) or Path(path).suffix in SUFFIXES:
            yield f"{path}: no such file; paths are relative to the folder that the command is run in, {Path.cwd()}"
    elif Path(path).is_dir() and not entry.get("data_files") and not local_files(entry):
        yield f"{path}: is a folder without files; name a file of rows, or a folder that holds some"
    for file in map(Path, local_files(entry)):
        yield from _seen_at_once(file)


def _seen_at_once(file: Path) -> Iterator[str]:
    try:
        with file.open("rb") as opened:
            first = opened.read(4)
            opened.seek(0, 2)
            size = opened.tell()
            opened.seek(max(size - 4, 0))
            last = opened.read()
    except OSError as error:
        yield f"{file}: cannot be read ({error.strerror}); make it readable"
        return
    if file.suffix not in SUFFIXES:
        return
    if not size:
        yield f"{file}: is empty; write rows into it, or remove the entry"
    elif file.suffix in _TEXT and is_utf_16(first):
        yield f"{file}: is UTF-16; save it as UTF-8"
    elif file.suffix == ".parquet" and (first != _PARQUET or last != _PARQUET):
        yield f"{file}: is no Parquet file, or was cut off; copy it again"


def _faults(file: Path) -> list[str]:
    """What in a file cannot be read as rows; the first fault alone, since others follow from it."""
    if file.suffix not in _TEXT:
        return []
    kinds: dict[str, tuple[str, int]] = {}
    rows = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            rows += bool(line.strip())
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return [f"{file}, line {number}: is not UTF-8 (byte 0x{line[error.start]:02x}); save the file as UTF-8"]
            if file.suffix in _LINES and line.strip() and (fault := _fault_of_a_row(line, number, kinds)):
                return [f"{file}, line {number}: {fault}"]
    if not rows:
        return [f"{file}: has no row, only blank lines; write rows into it, or remove the entry"]
    if file.suffix == ".json":
        try:
            parse_json(file.read_bytes())
        except JsonError as error:
            return [] if _is_lines(file) else [f"{file}: not JSON ({error}); it was cut off or edited"]
    return []


def _fault_of_a_row(line: bytes, number: int, kinds: dict[str, tuple[str, int]]) -> str | None:
    try:
        row = parse_line(line)
    except JsonError as error:
        last = "" if line.endswith(b"\n") else " (the file was cut off?)"
        return f"not JSON ({error}); mend or remove the line{last}"
    if not isinstance(row, dict):
        return f"{shown(row)} is no row; a row is a mapping like {{...}}"
    for name, value in row.items():
        kind = _kind(value)
        if kind is None:
            continue
        before, line_before = kinds.setdefault(name, (kind, number))
        if kind != before:
            return f"{name!r} is {kind}, but {before} in line {line_before}; a column has one type"
    return None


def _kind(value: Any) -> str | None:
    # Arrow takes an integer for a number with a point.
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}
    return names.get(type(value))


def _is_lines(file: Path) -> bool:
    try:
        with file.open("rb") as lines:
            return isinstance(parse_line(next(lines, b"")), dict)
    except JsonError:
        return False


def _columns(file: Path) -> list[str]:
    if file.suffix not in (".json", ".jsonl"):
        return []
    with file.open("rb") as lines:
        try:
            row = parse_line(next(lines, b""))
        except JsonError:
            return []
    return list(row) if isinstance(row, dict) else []


def _innermost(error: BaseException) -> BaseException:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error
