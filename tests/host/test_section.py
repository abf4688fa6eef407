"""The section's place in Axolotl's schema: tools see its keys, and validation keeps what is there."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from versatune_plugin.host.configuration import section_of, take_section
from versatune_plugin.host.section import Section, VersaTuneArgs


def config(section: dict[str, Any]) -> dict[str, Any]:
    entries = [{"path": f"{name}.jsonl", "type": "alpaca", "domain": name} for name in ("law", "code")]
    return {"plugins": ["versatune"], "datasets": entries, "versatune": section}


def test_the_schema_has_every_key_with_its_description() -> None:
    from axolotl.utils.schemas.config import AxolotlInputConfig

    class WithPlugin(VersaTuneArgs, AxolotlInputConfig):
        """As Axolotl joins the arguments of plugins to its own."""

    assert WithPlugin.model_fields["versatune"].annotation == Section | None
    # Of the whole, pydantic can write no JSON schema: the host has a field of a type of torch's.
    schema = VersaTuneArgs.model_json_schema()
    properties = schema["$defs"]["Section"]["properties"]
    assert properties.keys() == Section.model_fields.keys()
    assert all(one["description"] for one in properties.values())


@pytest.mark.parametrize(
    "section",
    [
        {"mixture": "temperature", "tau": math.inf},
        {"mixture": "versatune", "knowledge": "k.json", "reference": {"law": 1.0, "code": 2.0}, "heldout": 3},
        {"mixture": "stages", "stages": [{"domains": {"law": 1, "code": "1/4"}}, {"mixture": "odm", "steps": 3}]},
    ],
)
def test_a_section_survives_validation_as_it_was_read(section: dict[str, Any]) -> None:
    cfg = config(section)
    once = take_section(cfg)
    json.dumps(cfg["versatune"])
    args = VersaTuneArgs.model_validate({name: cfg[name] for name in ("versatune", "versatune_domains")})
    again = section_of(args.model_dump(exclude_none=True))
    assert again == once
    assert (again.mixture_options, again.domains) == (once.mixture_options, once.domains)
    assert again.requirements == once.requirements


def test_nothing_internal_stands_in_the_users_section() -> None:
    cfg = config({"mixture": "uniform"})
    take_section(cfg)
    assert cfg["versatune_domains"] == ["law", "code"]
    assert not {"dataset_domains", "options", "heldout_file"} & cfg["versatune"].keys()
