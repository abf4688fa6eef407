"""Runs of every kind: the same batches, weights and records as when tests/integration/golden.json was written.

They were written under one version of the host. Others train a little differently (losses differ in the fourth digit,
and weights that follow losses with them); there all is compared that does not follow losses.

A change of behaviour that is meant writes the file anew (``VERSATUNE_WRITE_GOLDEN=1 pytest -n0`` with this file), and
says why in the changelog. Batches are compared exactly, figures to five digits: processors round differently.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.batches import batches, shared_batches
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.mixtures.registry import MIXTURES

GOLDEN = Path(__file__).with_name("golden.json")
WRITE = "VERSATUNE_WRITE_GOLDEN"
STEPS = 12
KNOWLEDGE = {"law": 0.5, "code": 0.3, "medicine": 0.2}
REFERENCE = {"law": 1.0, "code": 2.0, "medicine": 0.5}
MEASURED = {"heldout": 4, "update_steps": 4, "knowledge": KNOWLEDGE, "reference": REFERENCE}
VERSATUNE = {"mixture": "versatune", "sigma": 2.0, **MEASURED}
PACKED = {"sample_packing": True, "eval_sample_packing": False, "sequence_len": 512}
TURNS = [{"step": 0, "weights": KNOWLEDGE}, {"step": 6, "weights": {"law": 0.1, "code": 0.6, "medicine": 0.3}}]
STAGES = [
    {"domains": ["code", "medicine"]},
    {"domains": {"law": 1, "code": "1/4"}, "epochs": 2, "mixture": "versatune", "sigma": 2.0},
]

# Name -> section, further keys of the configuration, processes.
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "uniform": ({"mixture": "uniform"}, {}, 1),
    "proportional": ({"mixture": "proportional", "heldout": 4}, {}, 1),
    "constant": ({"mixture": "constant", "knowledge": KNOWLEDGE, "heldout": 4}, {}, 1),
    "temperature, tokens": ({"mixture": "temperature", "tau": 2.0, "unit": "tokens"}, {}, 1),
    "inverse, packed": ({"mixture": "inverse", "knowledge": KNOWLEDGE}, PACKED, 1),
    "versatune": (VERSATUNE, {}, 1),
    "versatune, tokens": ({**VERSATUNE, "unit": "tokens"}, {}, 1),
    "versatune, packed": (VERSATUNE, PACKED, 1),
    "versatune, expand": ({**VERSATUNE, "expand": {"domain": "law", "delta": 0.1, "epsilon": 0.5}}, {}, 1),
    "versatune, two processes": (VERSATUNE, {}, 2),
    "versatune, tokens, two processes": ({**VERSATUNE, "unit": "tokens"}, {}, 2),
    "versatune, packed, two processes": (VERSATUNE, PACKED, 2),
    "increase": ({"mixture": "increase", "domain": "law", "delta": 0.1, "heldout": 4, "update_steps": 4}, {}, 1),
    "skills": ({"mixture": "skills", "heldout": 4, "update_steps": 4}, {}, 1),
    "skills, diff, two processes": (
        {"mixture": "skills", "reward": "diff", "heldout": 4, "update_steps": 4, "batches": "mixed"},
        {},
        2,
    ),
    "odm": ({"mixture": "odm"}, {}, 1),
    "dynamic_loading": ({"mixture": "dynamic_loading", **MEASURED}, {}, 1),
    "doremi": ({"mixture": "doremi", "eta": 0.5, "smoothing": 0.1, **MEASURED}, {}, 1),
    "schedule": ({"mixture": "schedule", "schedule": TURNS}, {}, 1),
    "stages": ({"mixture": "stages", **MEASURED, "stages": STAGES}, {"max_steps": None}, 1),
    "dmt": ({"mixture": "dmt", "general": "law", "share": "1/4"}, {"max_steps": None}, 1),
    "sequential, packed": (
        {"mixture": "sequential", "order": ["code", "law", "medicine"]},
        {**PACKED, "max_steps": None},
        1,
    ),
}
WRITTEN_UNDER = "0.19.0"
# Of a line, what a model that is trained decides; where weights follow losses, it decides these as well.
OF_THE_MODEL = {"loss", "bits_per_byte", "potential", "forgetting", "similarity", "difficulty", "batch_losses"}
OF_THE_WEIGHTS = {"weights", "rows", "tokens", "passes", "fill"}
# Of a line, what says when, where and by which versions.
ELSEWHERE = {"run", "seconds", "time", "versions", "version", "resumed_at", "host", "fingerprint", "tokenizer"}


def plain(value: Any) -> Any:
    """A record without what another machine writes otherwise."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name not in ELSEWHERE and "seconds" not in name}
    return [plain(one) for one in value] if isinstance(value, list) else value


def train(
    axolotl: Axolotl, tiny: Tiny, folder: Path, name: str, **changes: Any
) -> tuple[dict[int, list[str]], list[dict[str, Any]]]:
    """The global batches by step, and the record, of one of `RUNS`."""
    section, further, processes = RUNS[name]
    cfg = tiny.config(
        folder / "out",
        **{
            "plugins": ["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"],
            "gradient_accumulation_steps": 2 // processes,
            "max_steps": STEPS,
            "versatune": section,
            **further,
            **changes,
        },
    )
    seen = folder / "batches"
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(seen)}, processes=processes)
    assert finished.status == 0, finished.output
    steps = shared_batches(seen, processes) if processes > 1 else batches(seen)
    return steps, [plain(line) for line in read_record(folder / "out")]


def digest(steps: dict[int, list[str]]) -> str:
    return hashlib.sha256(json.dumps(sorted(steps.items())).encode()).hexdigest()


def close(value: Any, golden: Any, place: str = "") -> list[str]:
    """Where two records differ."""
    if isinstance(value, dict) and isinstance(golden, dict) and value.keys() == golden.keys():
        return [found for name in value for found in close(value[name], golden[name], f"{place}.{name}")]
    if isinstance(value, list) and isinstance(golden, list) and len(value) == len(golden):
        return [found for at, one in enumerate(value) for found in close(one, golden[at], f"{place}[{at}]")]
    if (
        isinstance(value, float)
        and isinstance(golden, float | int)
        and value == pytest.approx(golden, rel=1e-5, abs=1e-8)
    ):
        return []
    return [] if value == golden else [f"{place}: {value}, was {golden}"]


def comparable(record: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """What of a record must be the same under the installed host."""
    if version("axolotl") == WRITTEN_UNDER:
        return record
    first, *later = record
    follows = OF_THE_MODEL | (OF_THE_WEIGHTS if follows_losses(name) else set())
    return [first, *({key: value for key, value in line.items() if key not in follows} for line in later)]


def follows_losses(name: str) -> bool:
    """Whether the weights of one of `RUNS` are made of losses."""
    section = RUNS[name][0]
    mixture = MIXTURES[section["mixture"]]
    options = {key: value for key, value in section.items() if key in mixture.Options.model_fields}
    return mixture.requirements(mixture.Options(**options)).updates and section["mixture"] != "increase"


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_what_it_was(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, name: str) -> None:
    steps, record = train(axolotl, tiny, tmp_path, name)
    found = {"batches": digest(steps), "record": record}
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get(WRITE):
        GOLDEN.write_text(json.dumps(golden | {name: found}, indent=1, sort_keys=True) + "\n")
        return
    assert close(comparable(record, name), comparable(golden[name]["record"], name)) == []
    if version("axolotl") == WRITTEN_UNDER or not follows_losses(name):
        assert found["batches"] == golden[name]["batches"]


def test_every_run_has_its_golden_one() -> None:
    assert json.loads(GOLDEN.read_text()).keys() == RUNS.keys()


@pytest.mark.parametrize("name", ["versatune", "versatune, packed", "versatune, tokens", "odm"])
def test_a_run_that_is_resumed_is_what_it_was(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, name: str) -> None:
    saved = {"save_strategy": "steps", "save_steps": 5, "save_total_limit": 9}
    whole, _ = train(axolotl, tiny, tmp_path, name, **saved)
    for step in (10, STEPS):
        shutil.rmtree(tmp_path / "out" / f"checkpoint-{step}", ignore_errors=True)
    (tmp_path / "batches").unlink()
    rest, record = train(axolotl, tiny, tmp_path, name, **saved, auto_resume_from_checkpoints=True)
    assert sorted(rest) == list(range(5, STEPS))
    golden = json.loads(GOLDEN.read_text())[name]
    assert {step: rest.get(step, whole[step]) for step in whole} == whole
    if version("axolotl") == WRITTEN_UNDER:
        assert digest(whole) == golden["batches"]
    assert [line["step"] for line in record if line["kind"] == "resume"] == [5]
    gone_on = [line for line in record if line["kind"] != "resume"]
    assert close(comparable(gone_on, name), comparable(golden["record"], name)) == []
