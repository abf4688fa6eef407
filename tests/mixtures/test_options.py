from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from versatune_plugin.mixtures.registry import MIXTURES

SEGMENT = {"step": 0, "weights": {"code": 0.5, "law": 0.5}}
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("versatune", {}),
    ("versatune", {"sigma": 2, "expand": {"domain": "law", "delta": 0.1, "epsilon": 3, "unconditional": True}}),
    ("versatune", {"expand": {"domain": ["law", "code"], "line_9": "printed"}}),
    ("constant", {}),
    ("uniform", {}),
    ("inverse", {"form": "reciprocal"}),
    ("proportional", {}),
    ("temperature", {"tau": 10}),
    ("temperature", {"tau": math.inf}),
    ("single", {"domain": "law"}),
    ("increase", {"domain": "law", "delta": 0.25}),
    ("skills", {}),
    ("skills", {"reward": "diff", "ema": 1, "target": "law", "tau": 2, "hidden": 0, "batches": "mixed"}),
    ("odm", {"alpha": 0.25}),
    ("dynamic_loading", {}),
    ("doremi", {"eta": 2, "smoothing": 0.5}),
    ("replay", {"replay": "runs/versatune.jsonl"}),
    ("schedule", {"schedule": "runs/versatune.jsonl"}),
    ("schedule", {"schedule": [SEGMENT, {**SEGMENT, "step": 7}]}),
    ("stages", {"stages": [{}]}),
    ("stages", {"stages": [{"domains": {"law": 1, "code": "1/256"}, "epochs": 2, "warmup_ratio": 0.1}, {"steps": 4}]}),
    ("stages", {"stages": [{"domains": ["law"], "mixture": "versatune", "sigma": 2, "learning_rate": 1e-5}]}),
    ("stages", {"stages": [{"mixture": "skills"}, {"mixture": "schedule", "schedule": [SEGMENT]}]}),
    ("stages", {"stages": [{"mixture": "temperature", "tau": math.inf}]}),
    ("dmt", {"general": "law", "share": "1/3", "epochs": 2}),
    ("sequential", {"order": ["law", "code"]}),
    ("mixed_sequential", {"general": "law", "epochs": 0.5}),
    ("multitask", {"epochs": 3}),
]


def test_there_is_an_example_for_every_mixture() -> None:
    assert {name for name, _ in OPTIONS} == set(MIXTURES)


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_options_survive_json(name: str, options: dict[str, Any]) -> None:
    model = MIXTURES[name].Options
    given = model(**options)
    text = json.dumps(given.model_dump(mode="json"), allow_nan=False)
    # In the form of JSON, since a stage keeps its options as they were written.
    assert model(**json.loads(text)).model_dump(mode="json") == given.model_dump(mode="json")


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_options_survive_json_as_a_user_wrote_them(name: str, options: dict[str, Any]) -> None:
    """Only what was set, as a configuration file keeps it."""
    model = MIXTURES[name].Options
    given = model(**options)
    text = json.dumps(given.model_dump(mode="json", exclude_unset=True), allow_nan=False)
    # In the form of JSON, since a stage keeps its options as they were written.
    assert model(**json.loads(text)).model_dump(mode="json") == given.model_dump(mode="json")


def test_different_options_differ() -> None:
    """Or the two tests above could not fail."""
    assert len({model.model_dump_json() for model in (MIXTURES[name].Options(**o) for name, o in OPTIONS)}) > 20
    tau = MIXTURES["temperature"].Options
    assert tau(tau=math.inf) != tau(tau=10)
    stages = MIXTURES["stages"].Options
    assert stages(stages=[{"mixture": "skills", "hidden": 0}]) != stages(stages=[{"mixture": "skills"}])


@pytest.mark.parametrize("name", sorted(MIXTURES))
def test_an_option_that_is_not_known_is_refused(name: str) -> None:
    given = next(options for candidate, options in OPTIONS if candidate == name)
    with pytest.raises(ValidationError, match="sigmma"):
        MIXTURES[name].Options(**given, sigmma=1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("versatune", {"sigma": 0}),
        ("versatune", {"expand": {"domain": "law", "delta": 0}}),
        ("versatune", {"expand": {"domain": "law", "delta": 1}}),
        ("versatune", {"expand": {"domain": "law", "epsilon": 0}}),
        ("versatune", {"expand": {"domain": "law", "line_9": "mended"}}),
        ("inverse", {"form": "square"}),
        ("increase", {"domain": "law", "delta": 1}),
        ("increase", {}),
        ("single", {}),
        ("skills", {"ema": 0}),
        ("skills", {"reward": "loss"}),
        ("skills", {"hidden": -1}),
        ("odm", {"alpha": 1}),
        ("doremi", {"smoothing": 1.5}),
        ("doremi", {"eta": 0}),
        ("schedule", {"schedule": [{"step": -1, "weights": {}}]}),
        ("dmt", {"general": "law", "share": "2/1"}),
        ("dmt", {"general": "law", "share": 0}),
        ("multitask", {"epochs": 0}),
        ("sequential", {"order": []}),
    ],
)
def test_options_out_of_bounds_are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MIXTURES[name].Options(**options)


@pytest.mark.parametrize(("name", "options"), [("versatune", {"sigma": 1}), ("stages", {"stages": [{}]})])
def test_options_do_not_change(name: str, options: dict[str, Any]) -> None:
    given = MIXTURES[name].Options(**options)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(given, next(iter(options)), 3)
