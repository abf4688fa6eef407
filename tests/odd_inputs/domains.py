"""Odd entries of ``datasets:``, names of domains, and files of rows."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.odd_inputs.case import ACCEPTED, Bench, Case, label

UNIFORM = {"mixture": "uniform", "heldout": 4}


def entries() -> Iterator[Case]:
    """What stands in ``datasets:``, the second entry after a right one."""
    odd: list[tuple[Any, tuple[str, ...]]] = [
        ("law.jsonl", ("datasets[1]: is 'law.jsonl', but should be a mapping like",)),
        (None, ("datasets[1]: is null",)),
        (7, ("datasets[1]: is 7",)),
        ([], ("datasets[1]: is []",)),
        ({}, ("datasets[1]", "has no `domain`")),
        ({"path": "@", "type": "alpaca"}, ("has no `domain`; give every data set its domain",)),
        ({"path": "@", "type": "alpaca", "domain": None}, ("`domain` is empty (null)",)),
        ({"path": "@", "type": "alpaca", "domain": False}, ("`domain` is false", "YAML reads no", "in quotes")),
        ({"path": "@", "type": "alpaca", "domain": True}, ("`domain` is true", "in quotes")),
        ({"path": "@", "type": "alpaca", "domain": 1}, ("`domain` is 1", "in quotes")),
        ({"path": "@", "type": "alpaca", "domain": 1.5}, ("`domain` is 1.5", "in quotes")),
        ({"path": "@", "type": "alpaca", "domain": dt.date(2026, 1, 2)}, ("`domain` is", "in quotes")),
        ({"path": "@", "type": "alpaca", "domain": ["law", "code"]}, ("`domain` is ['law', 'code']", "one domain")),
        ({"path": "@", "type": "alpaca", "domain": {"law": 1}}, ("`domain` is {'law': 1}", "one domain")),
        ({"path": "nowhere.jsonl", "type": "alpaca", "domain": "law"}, ("nowhere.jsonl: no such file", "relative to")),
        ({"path": "./nowhere", "type": "alpaca", "domain": "law"}, ("./nowhere: no such file",)),
        ({"path": "/nowhere/x.parquet", "type": "alpaca", "domain": "law"}, ("/nowhere/x.parquet: no such file",)),
        ({"path": "~/nowhere.jsonl", "type": "alpaca", "domain": "law"}, ("~/nowhere.jsonl: no such file",)),
        ({"path": ".", "data_files": "no*.jsonl", "type": "alpaca", "domain": "law"}, ("domain 'law'",)),
    ]
    for value, verdict in odd:
        yield Case(f"datasets[1]: {label(value)}", _entry(value), verdict)
    for value in ("law.jsonl", 1, True, {"path": "law.jsonl", "domain": "law"}):
        yield Case(f"datasets: {label(value)}", _datasets(value), ("datasets: is", "a list of data sets"))
    for value in ([], None, ""):
        yield Case(f"datasets: {label(value)}", _datasets(value), ("datasets",))


def _entry(value: Any) -> Callable[[Bench], list[str]]:
    def argv(bench: Bench) -> list[str]:
        first = {"path": str(bench.files["code"]), "ds_type": "json", "type": "alpaca", "domain": "code"}
        second = (
            {**value, "path": str(bench.files["law"])}
            if isinstance(value, dict) and value.get("path") == "@"
            else value
        )
        return ["plan", str(bench.config(UNIFORM, datasets=[first, second]))]

    return argv


def _datasets(value: Any) -> Callable[[Bench], list[str]]:
    return lambda bench: ["plan", str(bench.config(UNIFORM, datasets=value))]


def names() -> Iterator[Case]:
    """Names of two domains; the verdict is what is said of them."""
    odd: list[tuple[str, str, tuple[str, ...]]] = [
        ("law", "law", ACCEPTED),
        ("law", " law\t", ACCEPTED),
        ("caf\u00e9", "cafe\u0301", ACCEPTED),
        ("law", "Law", ("look alike",)),
        ("law", "LAW ", ("look alike",)),
        ("law", "l\u0430w", ("look alike", "'l\\u0430w'")),
        ("law", "\uff4caw", ("look alike",)),
        ("AI", "\u0391I", ("look alike",)),
        ("stra\u00dfe", "strasse", ("look alike",)),
        ("law", "law\u200b", ("U+200B",)),
        ("law", "law\u00ad", ("U+00AD",)),
        ("law", "\u202elaw", ("U+202E",)),
        ("law", "law\u2066", ("U+2066",)),
        ("law", "\ufefflaw", ("U+FEFF",)),
        ("law", "\x1b[31mlaw", ("U+001B",)),
        ("law", "a\x07", ("U+0007",)),
        ("law", "a\x7f", ("U+007F",)),
        # To YAML a line break, and so a blank.
        ("law", "a\u0085b", ACCEPTED),
        ("law", "a\u2028b", ("U+2028",)),
        ("law", "a\nb", ("U+000A",)),
        ("law", "a\tb", ("U+0009",)),
        ("law", "\U0001f469\u200d\U0001f52c", ("U+200D",)),
        ("law", "x" * 201, ("201 characters", "200 or fewer")),
        ("law", "x" * 100_000, ("100000 characters",)),
        ("law", "", ("no character",)),
        ("law", "   ", ("no character",)),
        ("law", "\u3000", ("no character",)),
    ]
    fine = [
        "[/]",
        "[bold]law[/bold]",
        "law [eu]",
        "../../esc",
        "/etc/passwd",
        "..",
        "~",
        "con",
        "-rf",
        "--out",
        "law.json",
        "%s %(x)d {0}",
        "$(reboot)",
        "<script>",
        "=1+1",
        "null",
        "no",
        "1",
        "1e3",
        "a: b",
        "# law",
        "!!python/object:x",
        "\"'",
        "\\",
        "\u6cd5\u5f8b",
        "\u0642\u0627\u0646\u0648\u0646",
        "\U0001f9ec",
        "x" * 200,
        "\u00e9" * 200,
    ]
    odd += [("law", name, ACCEPTED) for name in fine]
    for number, (one, two, verdict) in enumerate(odd):
        yield Case(f"names {number}: {label(one)}, {label(two)}", _named(one, two), verdict)


def _named(one: str, two: str) -> Callable[[Bench], list[str]]:
    def argv(bench: Bench) -> list[str]:
        files = zip((one, two), bench.files.values(), strict=True)
        entries = [{"path": str(file), "ds_type": "json", "type": "alpaca", "domain": name} for name, file in files]
        return ["plan", str(bench.config(UNIFORM, datasets=entries))]

    return argv


def _row(**changes: Any) -> str:
    row = {"instruction": "what", "input": "", "output": "that"} | changes
    return json.dumps({key: value for key, value in row.items() if value is not ...}) + "\n"


ROWS = "".join(_row(instruction=f"what is {number}") for number in range(40))


def rows() -> Iterator[Case]:
    """Files of rows."""
    odd: list[tuple[str, str | bytes, tuple[str, ...]]] = [
        ("empty.jsonl", b"", ("empty.jsonl: is empty", "write rows into it")),
        ("empty.json", b"", ("empty.json: is empty",)),
        ("empty.csv", b"", ("empty.csv: is empty",)),
        ("empty.parquet", b"", ("empty.parquet: is empty",)),
        ("blank.jsonl", "\n\n \n", ("blank.jsonl: has no row",)),
        ("cut.jsonl", ROWS[:-20], ("cut.jsonl, line 40: not JSON", "cut off?")),
        ("middle.jsonl", ROWS + '{"instruction": "a"\n' + ROWS, ("middle.jsonl, line 41: not JSON",)),
        ("comma.jsonl", ROWS.replace("}\n", "},\n"), ("comma.jsonl, line 1: not JSON",)),
        ("array.jsonl", "[1, 2]\n", ("array.jsonl, line 1: [1, 2] is no row",)),
        ("number.jsonl", "1\n2\n", ("number.jsonl, line 1: 1 is no row",)),
        ("text.jsonl", '"a"\n' * 40, ("text.jsonl, line 1: 'a' is no row",)),
        ("html.jsonl", "<html>not found</html>", ("html.jsonl, line 1: not JSON",)),
        ("zeros.jsonl", bytes(4_000), ("zeros.jsonl, line 1: not JSON",)),
        ("utf16.jsonl", ROWS.encode("utf-16"), ("utf16.jsonl: is UTF-16; save it as UTF-8",)),
        ("utf16le.jsonl", ROWS.encode("utf-16-le"), ("utf16le.jsonl: is UTF-16",)),
        ("cp1252.jsonl", ROWS.encode() + b'{"output": "caf\xe9"}\n', ("cp1252.jsonl, line 41: is not UTF-8",)),
        ("cut.json", json.dumps([json.loads(line) for line in ROWS.split("\n") if line])[:-9], ("cut.json: not JSON",)),
        ("other.jsonl", '{"question": "a"}\n' * 40, ("other.jsonl (a row of it has question)", "`type:` reads")),
        (
            "gone.jsonl",
            _row(output=...) * 40,
            ("gone.jsonl (a row of it has instruction, input)", "KeyError: 'output'"),
        ),
        ("no.parquet", "no parquet at all", ("no.parquet: is no Parquet file, or was cut off",)),
        ("cut.parquet", b"PAR1" + bytes(400), ("cut.parquet: is no Parquet file, or was cut off",)),
        ("few.jsonl", _row(), ("domain 'odd' has 1 row", "set `versatune.heldout` lower")),
        ("same.jsonl", _row() * 40, ("domain 'odd': every row that is not held out repeats",)),
        ("long.jsonl", _row(output="x" * 5_000) * 40, ("domain 'odd' has no rows left", "sequence_len")),
        ("bom.jsonl", b"\xef\xbb\xbf" + ROWS.encode(), ACCEPTED),
        ("crlf.jsonl", ROWS.replace("\n", "\r\n"), ACCEPTED),
        ("noend.jsonl", ROWS.rstrip("\n"), ACCEPTED),
        ("blanks.jsonl", ROWS.replace("\n", "\n\n"), ACCEPTED),
        ("more.jsonl", ROWS + _row(instruction="more", note="x"), ACCEPTED),
        ("array.json", json.dumps([json.loads(line) for line in ROWS.split("\n") if line]), ACCEPTED),
        ("lines.json", ROWS, ACCEPTED),
        ("odd name [/] \u6cd5.jsonl", ROWS, ACCEPTED),
    ]
    for name, content, verdict in odd:
        yield Case(f"rows in {label(name)}", _rows(name, content), verdict)
    yield Case("rows in a folder", _folder, ("folder.jsonl: is a folder without files",))


def _rows(name: str, content: str | bytes) -> Callable[[Bench], list[str]]:
    def argv(bench: Bench) -> list[str]:
        return ["plan", str(bench.config(UNIFORM, datasets=_beside(bench, str(bench.write(name, content)))))]

    return argv


def _beside(bench: Bench, path: str) -> list[dict[str, str]]:
    kind = {"csv": "csv", "parquet": "parquet"}.get(path.rpartition(".")[2], "json")
    return [
        {"path": str(bench.files["code"]), "ds_type": "json", "type": "alpaca", "domain": "code"},
        {"path": path, "ds_type": kind, "type": "alpaca", "domain": "odd"},
    ]


def _folder(bench: Bench) -> list[str]:
    (bench.folder / "folder.jsonl").mkdir()
    return ["plan", str(bench.config(UNIFORM, datasets=_beside(bench, str(bench.folder / "folder.jsonl"))))]


def tokens() -> Iterator[Case]:
    """Rows that are tokens already: columns and types that differ between domains."""
    plain = {"input_ids": [3, 4, 5, 6], "attention_mask": [1, 1, 1, 1], "labels": [3, 4, 5, 6]}
    odd: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
        ("the same columns", plain, ACCEPTED),
        ("positions in one domain only", {**plain, "position_ids": [0, 1, 2, 3]}, ("column 'position_ids'", "'odd'")),
        ("no labels", {key: plain[key] for key in ("input_ids", "attention_mask")}, ("labels", "odd")),
        ("no mask", {key: plain[key] for key in ("input_ids", "labels")}, ("attention_mask", "odd")),
        ("numbers with points", {**plain, "labels": [3.5, 4.5, 5.5, 6.5]}, ("labels", "odd")),
        ("texts for tokens", {**plain, "input_ids": ["a", "b", "c", "d"]}, ("input_ids", "odd")),
        ("labels of another length", {**plain, "labels": [3, 4]}, ("labels", "odd")),
        ("a token that is none", {**plain, "input_ids": [3, 4, 5, 10**9]}, ("1000000000", "odd")),
        ("a negative token", {**plain, "input_ids": [3, -4, 5, 6]}, ("-4", "odd")),
        ("nothing to learn", {**plain, "labels": [-100] * 4}, ("none of its 20 rows has a token",)),
        ("a column that no model is given", {**plain, "note": "x"}, ACCEPTED),
    ]
    for name, row, verdict in odd:
        yield Case(f"tokens: {name}", _tokens(row), verdict)


def _tokens(row: dict[str, Any]) -> Callable[[Bench], list[str]]:
    def argv(bench: Bench) -> list[str]:
        right = {"input_ids": [7, 8, 9], "attention_mask": [1, 1, 1], "labels": [7, 8, 9]}
        files = {}
        for name, one in (("code", right), ("odd", row)):
            lines = []
            for number in range(20):
                first = one["input_ids"][0]
                changed = [first + number if isinstance(first, int) else first, *one["input_ids"][1:]]
                lines.append(json.dumps({**one, "input_ids": changed}))
            files[name] = bench.write(f"{name}.jsonl", "\n".join(lines) + "\n")
        entries = [{"path": str(file), "ds_type": "json", "type": None, "domain": name} for name, file in files.items()]
        return ["plan", str(bench.config(UNIFORM, datasets=entries))]

    return argv


def cases() -> Iterator[Case]:
    """All of them."""
    yield from entries()
    yield from names()
    yield from rows()
    yield from tokens()
