"""Every bad option of a mixture, with what is said about it; as Axolotl's command line hands it over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.host.configuration import section_of, take_section

CEILING = {"knowledge": "uniform", "reference": {"law": 1.0, "code": 2.0, "medicine": 0.5}}
EVEN = {"law": 0.5, "code": 0.25, "medicine": 0.25}


def config(section: dict[str, Any], **changes: Any) -> dict[str, Any]:
    entries = [{"path": f"{name}.jsonl", "domain": name} for name in ("law", "code", "medicine")]
    return {"plugins": ["versatune"], "datasets": entries, "versatune": section, **changes}


def told(section: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(VersaTuneError) as error:
        take_section(config(section, **changes))
    return str(error.value)


def expand(**options: Any) -> dict[str, Any]:
    return {"mixture": "versatune", **CEILING, "expand": options}


def stages(*given: dict[str, Any]) -> dict[str, Any]:
    return {"mixture": "stages", "stages": list(given)}


@pytest.mark.parametrize(
    ("section", "texts"),
    [
        (expand(domain="poetry"), ["versatune.expand.domain: 'poetry' is no domain", "code, law, medicine"]),
        (expand(domain=["law", "code", "medicine"]), ["names every domain"]),
        (expand(domain=["law", "law"]), ["name each domain once"]),
        (expand(domain="law", delta=1.5), ["versatune.expand.delta: is 1.5, but should be less than 1"]),
        (expand(domain="law", epsilon=0), ["versatune.expand.epsilon: is 0"]),
        (expand(delta=0.1), ["versatune.expand.domain: must be given"]),
        (expand(domain="law", line_9="literal"), ["versatune.expand.line_9: is 'literal'", "'corrected' or 'printed'"]),
        ({"mixture": "single"}, ["versatune.domain: must be given (the domain that is trained)"]),
        ({"mixture": "single", "domain": "poetry"}, ["versatune.domain: 'poetry' is no domain"]),
        ({"mixture": "increase", "domain": "law", "delta": 0}, ["versatune.delta: is 0"]),
        ({"mixture": "temperature"}, ["versatune.tau: must be given"]),
        ({"mixture": "temperature", "tau": 0}, ["versatune.tau: is 0, but should be greater than 0"]),
        ({"mixture": "inverse", "knowledge": "uniform", "form": "other"}, ["versatune.form: is 'other'"]),
        ({"mixture": "skills", "reward": "luck"}, ["versatune.reward: is 'luck'"]),
        ({"mixture": "skills", "target": "poetry"}, ["versatune.target: 'poetry' is no domain"]),
        ({"mixture": "skills", "heldout": 0}, ["the mixture 'skills' moves by held-out losses"]),
        ({"mixture": "skills", "learning_rate": 1.0}, ["did you mean 'scorer_learning_rate'?"]),
        ({"mixture": "odm", "alpha": 1}, ["versatune.alpha: is 1"]),
        ({"mixture": "doremi", "knowledge": "uniform"}, ["versatune.reference: the mixture 'doremi' needs"]),
        ({"mixture": "replay", "replay": "nowhere.jsonl"}, ["versatune.replay: nowhere.jsonl"]),
        (
            {"mixture": "schedule", "schedule": [{"step": 1, "weights": EVEN}]},
            ["versatune.schedule: its steps are [1]; they must begin at 0 and rise"],
        ),
        (
            {"mixture": "schedule", "schedule": [{"step": 0, "weights": {"law": 1.0, "code": -1}}]},
            ["schedule[0].weights: code is -1", "no entry for domain 'medicine'"],
        ),
        (stages(), ["versatune.stages: is [], but should be"]),
        (stages({"domains": ["law", "poetry"]}), ["versatune.stages[0].domains: 'poetry' is no domain"]),
        (stages({"domains": {"law": "1/0"}}), ["write a number, or a fraction like 1/256"]),
        (stages({"domains": {"law": 2}}), ["less than or equal to 1"]),
        (stages({"epochs": 1, "steps": 3}), ["epochs and steps both say how long it is"]),
        (stages({"mixture": "stages"}), ["unknown mixture 'stages'"]),
        (stages({"mixture": "temperature"}), ["of its mixture 'temperature', tau"]),
        (stages({"mixture": "uniform", "warmup": 3}), ["of its mixture 'uniform', warmup"]),
        (stages({"mixture": "versatune"}), ["versatune.knowledge:", "versatune.reference:"]),
        (stages({"domains": ["law"], "mixture": "single", "domain": "code"}), ["'code' is no domain"]),
        ({**stages({}), "samples_per_epoch": 10}, ["versatune.samples_per_epoch: with stages"]),
        ({"mixture": "dmt"}, ["versatune.general: must be given"]),
        ({"mixture": "dmt", "general": "poetry"}, ["versatune.general: 'poetry' is no domain"]),
        ({"mixture": "sequential", "order": ["law", "code"]}, ["must name every domain once"]),
    ],
)
def test_an_option_that_cannot_be(section: dict[str, Any], texts: list[str]) -> None:
    message = told(section)
    for text in texts:
        assert text in message


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"num_epochs": 3}, "num_epochs: 3 does not say which stage"),
        ({"max_steps": 10}, "max_steps: 10 would cut the last stages off"),
        ({"deepspeed": "zero2.json"}, "deepspeed: a stage starts with a fresh optimizer"),
        ({"lr_scheduler": "rex"}, "lr_scheduler: 'rex' cannot begin anew"),
        ({"cosine_min_lr_ratio": 0.1}, "cosine_min_lr_ratio: each stage has"),
    ],
)
def test_what_stages_cannot_honour(changes: dict[str, Any], text: str) -> None:
    assert text in told(stages({"domains": ["law"]}, {}), **changes)


def test_all_of_it_in_one_message() -> None:
    section = {**expand(domain="poetry", delta=0.1), "floor": 0.5, "sigmma": 1}
    message = told(section, streaming=True)
    for text in ("'poetry' is no domain", "versatune.floor", "did you mean 'sigma'?", "streaming"):
        assert text in message


def test_a_record_of_other_domains(tmp_path: Path) -> None:
    record = tmp_path / "versatune.jsonl"
    start = {"kind": "start", "mixture": "uniform", "total_steps": 9, "weights": {"law": 0.5, "poetry": 0.5}}
    record.write_text(json.dumps(start) + "\n")
    message = told({"mixture": "replay", "replay": str(record)})
    assert "unknown domain 'poetry'" in message
    assert "no entry for domain 'code'" in message


def test_options_survive_the_way_through_axolotl() -> None:
    given = stages(
        {"domains": ["law", "code"], "steps": 3},
        {"domains": {"law": "1/4", "medicine": 1}, "mixture": "temperature", "tau": float("inf")},
    )
    cfg = config(given, use_ray=True)
    take_section(cfg)
    json.dumps(cfg["versatune"])
    once = section_of(cfg)
    assert [stage.shares(once.domains) for stage in once.staged] == [
        {"law": 1.0, "code": 1.0},
        {"law": 0.25, "medicine": 1.0},
    ]
    # A worker of Ray reads what the driver has read before.
    take_section(cfg)
    assert section_of(cfg).mixture_options == once.mixture_options


@pytest.mark.parametrize("ray", [{}, {"use_ray": True}])
def test_nobody_but_the_plugin_says_which_domain_an_entry_has(ray: dict[str, Any]) -> None:
    given = {"versatune_domains": ["law", "code"]}
    message = told({"mixture": "uniform"}, group_by_length=True, **given, **ray)
    assert "versatune_domains: the plugin sets this; remove it" in message
    assert ("group_by_length" in message) == (not ray)


@pytest.mark.parametrize(
    ("mixture", "said"),
    [
        (["versatune"], "is ['versatune'], but should be the name of one"),
        ({"versatune": {}}, "is {'versatune': {}}, but should be the name of one"),
        (None, "is missing"),
        (7, "is 7, but should be the name of one"),
    ],
)
def test_what_is_no_name_of_a_mixture_is_told(mixture: Any, said: str) -> None:
    assert f"versatune.mixture: {said}; choose one of versatune" in told({"mixture": mixture})
