"""Odd sections: fields and options with values of other types, out of bounds, or nested where they are not."""

from __future__ import annotations

import datetime as dt
import math
import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from tests.odd_inputs.case import ACCEPTED, EVEN, Case, label, plan
from versatune_plugin.host.section import Section
from versatune_plugin.mixtures.registry import known_mixtures
from versatune_plugin.schema.model import shown

# Enough for every mixture; its own options come on top.
BASE = {"knowledge": "uniform", "reference": {"law": 1.0, "code": 2.0}, "heldout": 4, "measure_budget": 1}
NEEDED: dict[str, dict[str, Any]] = {
    "temperature": {"tau": 2.0},
    "single": {"domain": "law"},
    "increase": {"domain": "law"},
    "sequential": {"order": ["law", "code"]},
    "mixed_sequential": {"general": "code"},
    "dmt": {"general": "code"},
    "stages": {"stages": [{"steps": 1}, {"steps": 1}]},
    "schedule": {"schedule": [{"step": 0, "weights": EVEN}]},
}
DATE = dt.date(2026, 11, 27)
NO_INTEGERS = ["4", True, False, 4.7, 4.0, [4], {"a": 4}, math.nan, math.inf, "", "four", "0x4", DATE]
OUT_OF_BOUNDS = [-1, 2**70, 10**12]
NO_NUMBERS = ["0.5x", True, False, [0.5], {"a": 1}, math.nan, -math.inf, "", "20%", "0,2", "0.5", -1.0, DATE]
NO_TEXTS = [1, 1.5, True, False, [], {}, [[]], None, DATE]
NO_BOOLEANS = ["yes", "true", 0, 1, [], {}, None, "False", "1"]
NO_CHOICES = ["Samples", "", 1, True, ["samples"], {}, None, "samples "]


def fields() -> Iterator[Case]:
    """Every field of the section."""
    values = {
        "samples_per_epoch": [*NO_INTEGERS, *OUT_OF_BOUNDS],
        "update_steps": [*NO_INTEGERS, *OUT_OF_BOUNDS],
        "updates_per_epoch": [*NO_INTEGERS, *OUT_OF_BOUNDS],
        "heldout": [*NO_INTEGERS, *OUT_OF_BOUNDS],
        "measure_budget": [*NO_NUMBERS, 0, 2],
        "floor": [*NO_NUMBERS, 1],
        "cap": [*NO_NUMBERS, 0, 1.5],
        "max_passes": [*NO_NUMBERS, 0],
        "unit": NO_CHOICES,
        "on_exhausted": NO_CHOICES,
        "accept_changes": NO_BOOLEANS,
    }
    for name, odd in values.items():
        for value in odd:
            verdict = (f"versatune.{name}: is {shown(value)}", "but should be", Section.model_fields[name].description)
            yield plan(f"{name}: {label(value)}", {"mixture": "uniform", "heldout": 4, name: value}, *map(str, verdict))
    about: dict[str, tuple[object, str]] = {
        "a list": (["law"], "versatune.descriptions: is ['law']"),
        "a text": ("law", "versatune.descriptions: is 'law'"),
        "null": (None, "versatune.descriptions: is null"),
        "a number": ({"law": 5}, "versatune.descriptions.law: is 5"),
        "a list of texts": ({"law": ["courts"]}, "versatune.descriptions.law: is ['courts']"),
        "blank": ({"law": ""}, "versatune.descriptions.law: is ''"),
        "very long": ({"law": "x" * 2_000}, "versatune.descriptions.law: is"),
        "no domain": ({"poetry": "poems"}, "versatune.descriptions: 'poetry' is no domain"),
        "one domain twice": ({"law": "courts", " law ": "courts"}, "is there twice"),
        "no text as a name": ({1: "courts"}, "versatune.descriptions"),
    }
    for kind, (value, said) in about.items():
        yield plan(f"descriptions: {kind}", {"mixture": "uniform", "heldout": 4, "descriptions": value}, said)
    for name, good in {"samples_per_epoch": None, "heldout": None, "max_passes": None, "floor": "1e-3"}.items():
        yield plan(f"{name}: {good!r} is right", {"mixture": "uniform", "heldout": 4} | {name: good}, *ACCEPTED)


def options() -> Iterator[Case]:
    """Every option of every mixture, by its type."""
    for mixture in known_mixtures().values():
        section = {"mixture": mixture.name, **BASE, **NEEDED.get(mixture.name, {})}
        if mixture.name == "replay":
            continue
        changes = {"max_steps": 0} if issubclass_staged(mixture) else {}
        yield plan(f"{mixture.name} is right", section, *ACCEPTED, **changes)
        for name, field in mixture.Options.model_fields.items():
            for value in _odd_for(field.annotation):
                yield plan(
                    f"{mixture.name}.{name}: {label(value)}", {**section, name: value}, f"versatune.{name}", **changes
                )


def issubclass_staged(mixture: type[Any]) -> bool:
    """Whether a mixture is made of stages, to which `max_steps` would be a contradiction."""
    from versatune_plugin.mixtures.stages import StagedMixture

    return issubclass(mixture, StagedMixture)


def _odd_for(annotation: Any) -> list[Any]:
    kinds = set(_kinds(annotation))
    odd: list[Any] = [DATE, [[1]], {"odd": 1}]
    if kinds == {float}:
        odd += ["x", True, math.nan, -1]
    elif kinds == {int}:
        odd += ["4", True, 4.5, 2**70]
    elif kinds <= {str, types.NoneType}:
        odd += [1, True, "poetry", "\x1b[31m", "l\u0430w"]
    elif kinds == {bool}:
        odd += ["yes", 1]
    return odd


def _kinds(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        for inner in get_args(annotation):
            yield from _kinds(inner)
    else:
        yield str if get_origin(annotation) is not None and not isinstance(annotation, type) else annotation


def nested() -> Iterator[Case]:
    """Options within options."""
    versatune = {"mixture": "versatune", **BASE}
    expand: list[tuple[Any, str]] = [
        ({"dommain": "law"}, "versatune.expand.d"),
        ({"domain": "law", "dleta": 0.1}, "did you mean 'delta'?"),
        ({"domain": 1}, "versatune.expand.domain"),
        ({"domain": ["law", 1]}, "versatune.expand.domain"),
        ({"domain": []}, "at least one"),
        ({"domain": "law", "delta": "a lot"}, "versatune.expand.delta: is 'a lot'"),
        ({"domain": "law", "delta": True}, "versatune.expand.delta: is true"),
        ({"domain": "law", "unconditional": "no"}, "versatune.expand.unconditional: is 'no'"),
        ({"domain": "law", "epsilon": math.inf}, "versatune.expand.epsilon: is inf"),
        ({}, "versatune.expand.domain: must be given"),
        ("law", "versatune.expand: is 'law'"),
        (["law"], "versatune.expand: is ['law']"),
    ]
    for value, said in expand:
        yield plan(f"expand: {label(value)}", {**versatune, "expand": value}, said)
    yield plan("expand of a name with a blank", {**versatune, "expand": {"domain": "law "}}, *ACCEPTED)
    stages: list[tuple[Any, str]] = [
        ([], "versatune.stages: is []"),
        ({}, "versatune.stages: is {}"),
        ("law", "versatune.stages: is 'law'"),
        ([1], "versatune.stages[0]"),
        ([None], "versatune.stages[0]"),
        ([{"epochs": math.inf}], "versatune.stages[0].epochs: is inf"),
        ([{"epochs": 10**9}], "versatune.stages[0].epochs: is 1000000000"),
        ([{"epochs": 0}], "versatune.stages[0].epochs: is 0"),
        ([{"epochs": "one"}], "versatune.stages[0].epochs: is 'one'"),
        ([{"steps": 1.5}], "versatune.stages[0].steps: is 1.5"),
        ([{"steps": 10**15}], "versatune.stages[0].steps"),
        ([{"steps": 1, "epochs": 1}], "keep one of them"),
        ([{"domains": "law"}], "versatune.stages[0].domains"),
        ([{"domains": [1]}], "versatune.stages[0].domains"),
        ([{"domains": {"law": "1/0"}}], "a fraction like 1/256"),
        ([{"domains": {"law": "9" * 400 + "/1"}}], "versatune.stages[0].domains"),
        ([{"domains": {"law": 2}}], "versatune.stages[0].domains"),
        ([{"domains": {1: 1}}], "versatune.stages[0].domains"),
        ([{"domains": []}], "at least one"),
        ([{"mixture": "versatun"}], "unknown mixture 'versatun'"),
        ([{"mixture": ["uniform"]}], "versatune.stages[0].mixture: is ['uniform']"),
        ([{"options": "x"}], "versatune.stages[0].options: is 'x'"),
        ([{"options": {"x": 1}}], "x: is not known here"),
        ([{"learning_rate": "fast"}], "versatune.stages[0].learning_rate: is 'fast'"),
        ([{"warmup_ratio": 2}], "versatune.stages[0].warmup_ratio: is 2"),
        ([{"lr_scheduler": "rex"}], "versatune.stages[0].lr_scheduler: is 'rex'"),
        ([{"stepps": 1}], "stepps: is not known here"),
    ]
    for value, said in stages:
        yield plan(f"stages: {label(value)}", {"mixture": "stages", "heldout": 4, "stages": value}, said, max_steps=0)
    schedules: list[tuple[Any, str]] = [
        ([], "must begin at 0"),
        ([{}], "versatune.schedule[0]"),
        ([{"step": 0}], "weights: must be given"),
        ([{"step": 1, "weights": EVEN}], "must begin at 0"),
        ([{"step": 0.5, "weights": EVEN}], "step: is 0.5"),
        ([{"step": True, "weights": EVEN}], "step: is true"),
        ([{"step": 0, "weights": [1, 2]}], "weights: is [1, 2]"),
        ([{"step": 0, "weights": {"law": "much", "code": 1}}], "law: is 'much'"),
        ([{"step": 0, "weights": {"law": math.nan, "code": 1}}], "law: is nan"),
        ([{"step": 0, "weights": {"law": 0, "code": 0}}], "every entry is zero"),
        ([{"step": 0, "weights": {"law": 1}}], "no entry for domain 'code'"),
        ([{"step": 0, "weights": EVEN}, {"step": 0, "weights": EVEN}], "must begin at 0 and rise"),
        (7, "versatune.schedule: is 7"),
        ("", "versatune.schedule"),
        ("nowhere.jsonl", "nowhere.jsonl: no such file"),
        ("/", "/versatune.jsonl: no such file"),
    ]
    for value, said in schedules:
        yield plan(f"schedule: {label(value)}", {"mixture": "schedule", "heldout": 4, "schedule": value}, said)


def whole() -> Iterator[Case]:
    """What is no section, no name of a mixture, no prior."""
    for value in ("uniform", ["uniform"], 1, True, [], ""):
        yield plan(f"versatune: {label(value)}", value, "versatune", "section")
    yield plan("no section", None, "has no section `versatune:`")
    yield plan("an empty section", {}, "versatune.mixture: is missing; choose one of")
    yield plan("a key that is no text", {"mixture": "uniform", False: 1}, "the option false is no text")
    for value in NO_TEXTS:
        yield plan(f"mixture: {label(value)}", {"mixture": value}, "versatune.mixture: is", "choose one of")
    for value in ("", "Uniform", "versatun", "x" * 10_000, "\x1b[31m", "[/]"):
        yield plan(f"mixture: {label(value)}", {"mixture": value}, "unknown mixture", "choose one of")
    for name in ("sigmma", "hedlout", "options", "x" * 1_000, "[/]", "a.b", "\u202e"):
        yield plan(
            f"unknown key {label(name)}", {"mixture": "uniform", name: 1}, "not an option of the mixture 'uniform'"
        )
    every = {f"unknown {number}": 1 for number in range(4)}
    yield plan(
        "unknown keys beside an unknown mixture", {"mixture": "x", **every}, *(f"versatune.{one}" for one in every)
    )
    priors: list[tuple[Any, str]] = [
        ("Uniform", "did you mean 'uniform'?"),
        ("PROPORTIONAL", "did you mean 'proportional'?"),
        ("", "versatune.knowledge: is ''"),
        (0, "versatune.knowledge: is 0"),
        (True, "versatune.knowledge: is true"),
        ([0.5, 0.5], "versatune.knowledge: is [0.5, 0.5]"),
        ({}, "no entry for domain 'code'"),
        ({"law": 1}, "no entry for domain 'code'"),
        ({"law": "20%", "code": 1}, "law is '20%'; it must be a finite number that is not negative; write 0.2"),
        ({"law": "0,2", "code": 1}, "law is '0,2'; it must be a finite number that is not negative; write 0.2"),
        ({"law": "0.2", "code": 1}, "write 0.2 without quotes"),
        ({"law": None, "code": 1}, "law is null"),
        ({"law": True, "code": 1}, "law is true"),
        ({"law": math.nan, "code": 1}, "law is nan"),
        ({"law": math.inf, "code": 1}, "law is inf"),
        ({"law": -1, "code": 1}, "law is -1"),
        ({"law": 10**400, "code": 1}, "law is 1000"),
        ({"law": [1], "code": 1}, "law is [1]"),
        ({"law": 0, "code": 0}, "every entry is zero"),
        ({"law": 1, "law ": 1, "code": 1}, "the domain 'law' is there twice"),
        ({"law": 1, "Law": 1, "code": 1}, "unknown domain 'Law'"),
        ({1: 1, "code": 1}, "the key 1 is no text"),
        ({"law": 1, "code": 1, "\x1b[2J": 1}, "characters that cannot be seen (U+001B)"),
    ]
    for value, said in priors:
        yield plan(f"knowledge: {label(value)}", {**BASE, "mixture": "constant", "knowledge": value}, said)
        if not isinstance(value, str):
            section = {**BASE, "mixture": "versatune", "reference": value}
            # Where a prior is at fault as a whole, so are reference losses.
            yield plan(
                f"reference: {label(value)}", section, said.replace("versatune.knowledge", "versatune.reference")
            )
    for size in (1e308, 5e-324, "1e-3", 10**30):
        prior = {"law": size, "code": size}
        yield plan(f"a prior of {label(size)} each", {**BASE, "mixture": "constant", "knowledge": prior}, *ACCEPTED)
    for name in ("knowledge", "reference"):
        for value, said in (
            ("nowhere.json", "nowhere.json: no such file"),
            ("/", "is a folder"),
            ("a" * 300, "cannot be"),
        ):
            yield plan(f"{name}: {label(value)} as a file", {**BASE, "mixture": "versatune", name: value}, said)
    for name, value in (("reference", {"law": 0, "code": 1}), ("reference", {"law": 1e6, "code": 1})):
        yield plan(f"{name}: {value}", {**BASE, "mixture": "versatune", name: value}, "law is")
    # Lengths that no run has, whichever key they come from: each alone, without the steps that other cases end after.
    for mixture in ("versatune", "uniform", "odm", "skills"):
        lengths: list[tuple[dict[str, Any], dict[str, Any]]] = [
            ({"samples_per_epoch": 10**11}, {}),
            ({}, {"max_steps": 10**12}),
            ({}, {"num_epochs": 1e12}),
        ]
        for own, changes in lengths:
            given = BASE if mixture == "versatune" else {"heldout": 4}
            section = {**given, "mixture": mixture, **own}
            said = ("optimizer steps, and more than 100,000,000 are never trained", "`max_steps`, `num_epochs`")
            yield plan(f"{mixture} with {own | changes}", section, *said, **{"max_steps": None, **changes})
    long = [{"steps": 10**8}, {"steps": 10**8}]
    yield plan("stages that add up", {"mixture": "stages", "heldout": 4, "stages": long}, "200,000,000", max_steps=None)
    longest = {**BASE, "mixture": "versatune", "update_steps": 7}
    yield plan("the longest run that there is", longest, *ACCEPTED, max_steps=10**8)
    both = {**BASE, "mixture": "versatune", "update_steps": 1, "updates_per_epoch": 1}
    yield plan("two intervals", both, "say the same twice; keep one of them")
    yield plan(
        "a floor over the cap", {**BASE, "mixture": "versatune", "floor": 0.4, "cap": 0.3}, "versatune.floor", "cap"
    )
    yield plan(
        "a floor for too many", {**BASE, "mixture": "versatune", "floor": 0.5}, "versatune.floor: 0.5 x 2 domains"
    )


def cases() -> Iterator[Case]:
    """All of them."""
    yield from fields()
    yield from options()
    yield from nested()
    yield from whole()
