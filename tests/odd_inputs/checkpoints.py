"""Odd states in a checkpoint that a run is to go on from."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

from tests.odd_inputs.case import label

REMOVED = object()
# Place in the state, value, what is said.
PLACES: list[tuple[str, Any, str]] = [
    ("kind", "versatune.other", "its kind is 'versatune.other'"),
    ("kind", ["x"], "its kind is ['x']"),
    ("schema", 5, "schema version 5"),
    ("schema", True, "schema version true"),
    ("schema", "6", "schema version '6'"),
    ("odd", 1, "odd: is not known here"),
    ("step", "2", "step: is '2'"),
    ("step", True, "step: is true"),
    ("step", 2.0, "step: is 2.0"),
    ("step", -1, "step: is -1"),
    ("step", 10**30, "step: is 1000"),
    ("step", REMOVED, "step: must be given"),
    ("step", 1, "trainer_state.json says 2"),
    ("fingerprint", [], "fingerprint: is []"),
    ("fingerprint", {}, "fingerprint: lacks domains, batch_size"),
    ("split", 4, "split: is 4"),
    ("controller", None, "controller: is null"),
    ("controller.weights", {}, "controller.weights is of the domains []"),
    ("controller.weights", {"law": 0.5, "code": 0.2}, "controller.weights sum to 0.7"),
    ("controller.weights.law", "0.5", "controller.weights.law: is '0.5'"),
    ("controller.weights.law", math.nan, "controller.weights.law: is nan"),
    ("controller.weights.law", -1, "controller.weights.law: is -1"),
    ("controller.weights.law", 1e308, "controller.weights.law: is 1e+308"),
    ("controller.stage", 7, "stage"),
    ("controller.mixture", "odd", "mixture"),
    ("controller.mixture", 7, "controller.mixture: is 7"),
    ("controller.state", [], "controller.state: is []"),
    ("controller.state", {"odd": 1}, "odd"),
    ("controller.first_step", 9, "first_step is 9"),
    ("sampler.plan", [], "sampler.plan: is []"),
    ("sampler.plan.step", 1, "sampler.plan.step"),
    ("sampler.plan.credit.law", 1e9, "sampler.plan.credit"),
    ("sampler.plan.credit.law", None, "sampler.plan.credit.law: is null"),
    ("sampler.plan.cursor.law", 10**9, "sampler.plan.cursor of law is beyond"),
    ("sampler.plan.drawn.law", -1, "sampler.plan.drawn.law: is -1"),
    ("sampler.tokens", {"a": 1}, "sampler.tokens is of the domains ['a']"),
    ("sampler.fill", 2, "sampler.fill: is 2"),
    ("measuring_seconds", -1, "measuring_seconds: is -1"),
    ("record", "x", "record: is 'x'"),
    ("record", {"run": "a", "bytes": -1, "digest": "b"}, "record.bytes: is -1"),
]
# The whole file.
FILES: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "is cut off or damaged"),
    ("a list", b"[]", "holds no mapping"),
    ("a number", b"7", "holds no mapping"),
    ("UTF-16", '{"step": 1}'.encode("utf-16"), "UTF-16"),
    ("nested deep", b"[" * 100_000 + b"]" * 100_000, "is cut off or damaged"),
    ("a key twice", b'{"kind": "versatune.state", "kind": "versatune.state"}', "the key 'kind' is there twice"),
    ("many digits", b'{"kind": ' + b"9" * 5_000 + b"}", "is cut off or damaged"),
]


def cases(state: dict[str, Any]) -> Iterator[tuple[str, bytes, str]]:
    """Name, content of the state's file, and what is said of it.

    Args:
        state: of a checkpoint that was saved.
    """
    for place, value, said in PLACES:
        changed = copy.deepcopy(state)
        *outer, last = place.split(".")
        inner = changed
        for key in outer:
            inner = inner[key]
        if value is REMOVED:
            del inner[last]
        else:
            inner[last] = value
        yield f"{place}: {'removed' if value is REMOVED else label(value)}", json.dumps(changed).encode(), said
    yield from FILES
