"""Odd files of ours: knowledge, reference losses, records."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

from tests.odd_inputs.case import ACCEPTED, EVEN, Bench, Case, label

KNOWLEDGE = {
    "kind": "versatune.knowledge",
    "schema": 1,
    "probabilities": dict(EVEN),
    "interval95": {"law": [0.4, 0.6], "code": [0.4, 0.6]},
    "iterations": [dict(EVEN)],
    "texts": 10,
    "unparsed": 0,
    "command": "axolotl versatune detect cfg.yml",
}
REFERENCE = {
    "kind": "versatune.reference",
    "schema": 1,
    "nats_per_token": {"law": 1.0, "code": 2.0},
    "bits_per_byte": {"law": 1.0, "code": 2.0},
    "epochs": {"law": [2.0, 1.0], "code": [2.0, None]},
    "best_epoch": {"law": 2, "code": 1},
    "tokenizer": "0123456789abcdef",
    "heldout": 4,
    "heldout_digests": {"law": "a", "code": "b"},
    "seed": 7,
    "made_under": {},
    "command": "axolotl versatune reference",
}
START = {"kind": "start", "mixture": "uniform", "total_steps": 4, "weights": EVEN, "run": "a"}
UPDATE = {"kind": "update", "step": 2, "weights": {"law": 0.6, "code": 0.4}, "loss": {"law": 1.0, "code": None}}
END = {"kind": "end", "step": 4}
REMOVED = object()


def _changed(base: Any, place: str, value: Any) -> Any:
    changed = copy.deepcopy(base)
    *outer, last = place.split(".")
    inner = changed
    for key in outer:
        inner = inner[int(key) if isinstance(inner, list) else key]
    if value is REMOVED:
        del inner[last]
    else:
        inner[int(last) if isinstance(inner, list) else last] = value
    return changed


def _read(name: str, content: Any) -> Callable[[Bench], list[str]]:
    def argv(bench: Bench) -> list[str]:
        file = bench.write(f"{name}.json", content)
        mixture = {"knowledge": {"mixture": "constant"}, "reference": {"mixture": "versatune", "knowledge": "uniform"}}
        return ["plan", str(bench.config({**mixture[name], "heldout": 4, name: str(file)}))]

    return argv


# What no file of ours is, whatever its kind: how it is written, and what is said.
NO_FILES: list[tuple[str, str | bytes, str]] = [
    ("nothing", "", "not complete JSON"),
    ("a number", "7", "holds no mapping"),
    ("a list", "[]", "holds no mapping"),
    ("null", "null", "holds no mapping"),
    ("no kind", "{}", "its kind is null"),
    ("another kind", '{"kind": "versatune.other", "schema": 1}', "its kind is 'versatune.other'"),
    ("a kind that is no text", '{"kind": ["a"], "schema": 1}', "its kind is ['a']"),
    ("a YAML", "law: 0.5\ncode: 0.5\n", "not complete JSON"),
    ("UTF-16", json.dumps(KNOWLEDGE).encode("utf-16"), "UTF-16"),
    ("cp1252", b'{"kind": "caf\xe9"}', "line 1 is not UTF-8"),
    ("nested 100,000 deep", "[" * 100_000 + "]" * 100_000, "nested more than 64 deep"),
    ("mappings nested deep", '{"a":' * 50_000 + "1" + "}" * 50_000, "nested more than 64 deep"),
    ("a number of 5,000 digits", '{"kind": ' + "9" * 5_000 + "}", "a number of 5000 digits"),
    ("a key twice", '{"kind": "a", "kind": "b"}', "the key 'kind' is there twice"),
    ("half a character", '{"kind": "\\ud800"}', "half of a character"),
    ("zeros", bytes(100), "not complete JSON"),
    ("a control character", b'{"kind": "\x1b[31m"}', "not complete JSON"),
    ("an escaped control character", '{"kind": "\\u001b[31m"}', "its kind is '\\x1b[31m'"),
]


def knowledge() -> Iterator[Case]:
    """Knowledge files."""
    for name, content, said in NO_FILES:
        yield Case(f"knowledge file: {name}", _read("knowledge", content), ("knowledge.json", said, "detect CONFIG"))
    text = json.dumps(KNOWLEDGE)
    yield Case("knowledge file: right", _read("knowledge", KNOWLEDGE), ACCEPTED)
    yield Case(
        "knowledge file: by hand",
        _read("knowledge", {k: KNOWLEDGE[k] for k in ("kind", "schema", "probabilities")}),
        ACCEPTED,
    )
    yield Case(
        "knowledge file: cut off", _read("knowledge", text[: len(text) // 2]), ("knowledge.json: not complete JSON",)
    )
    yield Case("knowledge file: after a mark", _read("knowledge", b"\xef\xbb\xbf" + text.encode()), ACCEPTED)
    odd: list[tuple[str, Any, str]] = [
        ("schema", 2, "schema version 2"),
        ("schema", True, "schema version true"),
        ("schema", "1", "schema version '1'"),
        ("schema", REMOVED, "schema version null"),
        ("probabilities", REMOVED, "probabilities: must be given"),
        ("probabilities", [0.5, 0.5], "probabilities: is [0.5, 0.5]"),
        ("probabilities", None, "probabilities: is null"),
        ("probabilities", {}, "domain 'code' is missing"),
        ("probabilities", {"law": 1.0}, "domain 'code' is missing"),
        ("probabilities", {**EVEN, "poetry": 0}, "domain 'poetry' is unknown"),
        ("probabilities", {"law": 0.5, "law ": 0.5, "code": 0}, "the domain 'law' is there twice"),
        ("probabilities", {"": 1, **EVEN}, "no character"),
        ("probabilities", {"l\u0430w": 0.5, "code": 0.5}, "domain 'law' is missing"),
        ("probabilities.law", "0.5", "domain 'law' is '0.5', but must be a number; write 0.5 without quotes"),
        ("probabilities.law", "50%", "domain 'law' is '50%', but must be a number; write 0.5"),
        ("probabilities.law", None, "domain 'law' is null"),
        ("probabilities.law", True, "domain 'law' is true"),
        ("probabilities.law", [0.5], "domain 'law' is [0.5]"),
        ("probabilities.law", math.nan, "domain 'law' is nan"),
        ("probabilities.law", math.inf, "domain 'law' is inf"),
        ("probabilities.law", -0.5, "domain 'law' is -0.5"),
        ("probabilities.law", 0.6, "the entries sum to 1.1"),
        ("probabilities.law", 10**39, "the entries sum to 1e+39"),
        ("probabilities", {"law": 0, "code": 0}, "every entry is 0"),
        ("interval95", [1], "interval95: is [1]"),
        ("interval95.law", [0.4], "interval95.law"),
        ("interval95.law", [0.4, 1.6], "interval95.law[1]: is 1.6"),
        ("interval95.law", "0.4", "interval95.law: is '0.4'"),
        ("iterations", {}, "iterations: is {}"),
        ("iterations", [1], "iterations[0]: is 1"),
        ("iterations.0.law", -1, "iterations[0].law: is -1"),
        ("texts", -1, "texts: is -1"),
        ("texts", "10", "texts: is '10'"),
        ("texts", True, "texts: is true"),
        ("texts", 10.5, "texts: is 10.5"),
        ("unparsed", -1, "unparsed: is -1"),
        ("unparsed", None, ""),
    ]
    for place, value, said in odd:
        verdict = ("knowledge.json", said) if said else ACCEPTED
        named = "removed" if value is REMOVED else label(value)
        yield Case(f"knowledge file: {place}: {named}", _read("knowledge", _changed(KNOWLEDGE, place, value)), verdict)


def reference() -> Iterator[Case]:
    """Files of reference losses."""
    for name, content, said in NO_FILES:
        yield Case(f"reference file: {name}", _read("reference", content), ("reference.json", said, "reference CONFIG"))
    yield Case(
        "reference file: of other rows", _read("reference", REFERENCE), ("reference.json", "other held-out rows")
    )
    places = {
        "nats_per_token": [REMOVED, None, [1.0, 2.0], "x", 1.0],
        "nats_per_token.law": [None, "1.0", True, [1.0], -1.0, 1e6, math.nan, math.inf],
        "tokenizer": [REMOVED, None, 1, []],
        "heldout": [REMOVED, None, "4", True, 4.5, -1, 0, 10**30],
        "heldout_digests": [REMOVED, None, [], {"law": 1}],
        "seed": [REMOVED, None, "7", True, 7.5],
        # The tokenizer is another one, so these are compared.
        "bits_per_byte": [[1.0], "x", {"law": "1"}, {"law": 1.0}, {"law": 0, "code": 1}, {"a": 1, "b": 1}],
        "epochs": [[1.0], {"law": [-5]}, {"law": ["x"]}, {"law": 1}],
        "best_epoch": [[1], {"law": "1"}],
        "made_under": [[], "x"],
    }
    for place, values in places.items():
        for value in values:
            named = "removed" if value is REMOVED else label(value)
            # What is missing for the run's domains is told of the domain.
            said = place.split(".")[0]
            verdict = ("reference.json", said, *(["must be given"] if value is REMOVED else []))
            yield Case(
                f"reference file: {place}: {named}", _read("reference", _changed(REFERENCE, place, value)), verdict
            )


def records() -> Iterator[Case]:
    """Records of a run, played back."""
    odd: list[tuple[str, list[Any], str]] = [
        ("right", [START, UPDATE, END], ""),
        ("without its end", [START, UPDATE], ""),
        ("a start alone", [START], ""),
        ("nothing", [], "no record of a run"),
        ("no start", [UPDATE, END], "its first line must have kind 'start'"),
        ("a line that is a list", [START, [1], END], "line 2: [1] is no mapping"),
        ("a line that is null", [START, None, END], "line 2: null is no mapping"),
        ("a kind that is none", [START, {**UPDATE, "kind": "odd"}], "line 2 is not of a run's record"),
        ("no kind", [START, {"step": 1}], "line 2 is not of a run's record"),
        (
            "a step before",
            [START, {**UPDATE, "step": 3}, {**UPDATE, "step": 2}],
            "line 3",
        ),
        ("a step below zero", [START, {**UPDATE, "step": -1}], "line 2"),
        ("a step that is true", [START, {**UPDATE, "step": True}], "line 2"),
        ("a step with a point", [START, {**UPDATE, "step": 2.5}], "line 2"),
        ("weights that are a list", [START, {**UPDATE, "weights": [0.5, 0.5]}], "line 2"),
        ("weights of texts", [START, {**UPDATE, "weights": {"law": "0.5", "code": 0.5}}], "line 2"),
        ("weights below zero", [START, {**UPDATE, "weights": {"law": -1, "code": 2}}], "line 2"),
        ("weights that are no numbers", [START, {**UPDATE, "weights": {"law": math.nan, "code": 2}}], "line 2"),
        ("weights of one domain", [START, {**UPDATE, "weights": {"law": 1.0}}], "line 2"),
        ("weights of other domains", [{**START, "weights": {"a": 1, "b": 1}}], "unknown domain 'a'"),
        ("weights that are all zero", [{**START, "weights": {"law": 0, "code": 0}}], "every entry is zero"),
        ("losses that are texts", [START, {**UPDATE, "loss": {"law": "x", "code": 1}}], "line 2"),
        ("a line twice", [START, UPDATE, UPDATE], "line 3"),
        ("lines after its end", [START, END, UPDATE], "line 2"),
        ("no total", [{key: START[key] for key in START if key != "total_steps"}], "line 1"),
        ("a total of zero", [{**START, "total_steps": 0}], "line 1"),
        ("begun later", [{**START, "resumed_at": 2}], "begins at step 2"),
        ("a mixture that is no text", [{**START, "mixture": 7}], "line 1"),
    ]
    for name, lines, said in odd:
        content = "".join(json.dumps(line) + "\n" for line in lines)
        verdict = ("versatune.schedule", "record.jsonl", said) if said else ACCEPTED
        yield Case(f"record: {name}", _played(content), verdict)
    damaged: list[tuple[str, str | bytes, str]] = [
        ("cut in its last line", json.dumps(START) + "\n" + json.dumps(UPDATE)[:20], ""),
        ("cut in its first line", json.dumps(START)[:20], "no record of a run"),
        ("damaged in the middle", json.dumps(START) + '\n{"kind": \n' + json.dumps(END) + "\n", "line 2: not JSON"),
        ("UTF-16", json.dumps(START).encode("utf-16"), "record.jsonl"),
        ("deep", "[" * 100_000 + "\n" + json.dumps(START) + "\n", "line 1: not JSON"),
    ]
    for name, data, said in damaged:
        yield Case(f"record: {name}", _played(data), ("record.jsonl", said) if said else ACCEPTED)


def _played(content: str | bytes) -> Callable[[Bench], list[str]]:
    def argv(bench: Bench) -> list[str]:
        file = bench.write("record.jsonl", content)
        return ["plan", str(bench.config({"mixture": "schedule", "schedule": str(file), "heldout": 4}))]

    return argv


def cases() -> Iterator[Case]:
    """All of them."""
    yield from knowledge()
    yield from reference()
    yield from records()
