"""A resume in the middle, bit for bit, for every kind of state that a mixture keeps; and a record played back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import Axolotl, Tiny
from tests.helpers.batches import batches
from tests.integration.test_run import SECTION, digest, updates
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.training.digests import DIGESTS_FILE, damage

KINDS: dict[str, dict[str, Any]] = {
    "nothing": {"mixture": "temperature", "tau": 10.0, "heldout": 4},
    "the weights": {**SECTION, "expand": {"domain": "law"}},
    "rewards of a bandit, some not used yet": {"mixture": "odm", "update_steps": 4, "heldout": 4},
    "a scorer and first perplexities": {
        "mixture": "skills",
        "reward": "diff",
        "scorer_learning_rate": 0.1,
        "heldout": 4,
        "update_steps": 5,
    },
    "a schedule": {
        "mixture": "schedule",
        "heldout": 4,
        "schedule": [
            {"step": 0, "weights": {"law": 0.2, "code": 0.2, "medicine": 0.6}},
            {"step": 7, "weights": {"law": 1.0, "code": 0.0, "medicine": 0.0}},
            {"step": 14, "weights": {"law": 0.5, "code": 0.5, "medicine": 0.0}},
        ],
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_equals_uninterrupted_bit_for_bit(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, kind: str) -> None:
    cfg = tiny.config(
        tmp_path / "whole",
        plugins=["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"],
        max_steps=22,
        save_strategy="steps",
        save_steps=10,
        versatune=KINDS[kind],
    )
    whole = axolotl.train(cfg, env={"SPY_BATCHES": str(tmp_path / "one")})
    assert whole.status == 0, whole.output
    again = {**cfg, "output_dir": str(tmp_path / "again")}
    again["resume_from_checkpoint"] = str(tmp_path / "whole" / "checkpoint-10")
    resumed = axolotl.train(again, env={"SPY_BATCHES": str(tmp_path / "two")})
    assert resumed.status == 0, resumed.output
    seen = batches(tmp_path / "one")
    assert batches(tmp_path / "two") == {step: seen[step] for step in range(10, 22)}
    assert updates(tmp_path / "again") == [line for line in updates(tmp_path / "whole") if line["step"] > 10]
    assert digest(tmp_path / "again") == digest(tmp_path / "whole")


def test_a_record_played_back_trains_the_same_model(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "live", versatune={**SECTION, "sigma": 3.0})
    live = axolotl.train(cfg)
    assert live.status == 0, live.output
    record = tmp_path / "live" / "versatune.jsonl"
    sections = {
        "schedule": {"mixture": "schedule", "schedule": str(record), "heldout": 4},
        "replay": {"mixture": "replay", "replay": str(record), "heldout": 4},
    }
    for name, section in sections.items():
        finished = axolotl.train({**cfg, "output_dir": str(tmp_path / name), "versatune": section})
        assert finished.status == 0, finished.output
    assert digest(tmp_path / "schedule") == digest(tmp_path / "live")
    lines = read_record(record)
    weights = [lines[0]["weights"], *(line["weights"] for line in lines if line["kind"] == "update")]
    # Six stretches of five steps each.
    mean = {name: np.mean([stretch[name] for stretch in weights]) for name in weights[0]}
    assert len(weights) == 6
    assert read_record(tmp_path / "replay")[0]["weights"] == pytest.approx(mean)
    assert digest(tmp_path / "replay") != digest(tmp_path / "live")


def test_what_shapes_the_run_is_compared_and_the_rest_may_change(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    grokfast = "axolotl.integrations.grokfast.GrokfastPlugin"
    cfg = tiny.config(
        tmp_path / "run", max_steps=4, save_strategy="steps", save_steps=2, versatune={"mixture": "uniform"},
        plugins=["versatune_plugin.VersaTunePlugin", grokfast], grokfast_lamb=1.5, grokfast_alpha=0.9,
    )  # fmt: skip
    first = axolotl.train(cfg)
    assert first.status == 0, first.output
    for checkpoint in (tmp_path / "run").glob("checkpoint-*"):
        assert (checkpoint / DIGESTS_FILE).is_file()
        assert damage(checkpoint) is None
    again = {**cfg, "resume_from_checkpoint": str(tmp_path / "run" / "checkpoint-2")}
    changed = {"warmup_steps": 0, "weight_decay": 0.1, "learning_rate": 2e-3, "grokfast_lamb": 3.0, "grokfast_alpha": 0}
    refused = axolotl.train({**again, **changed})
    assert refused.status != 0
    told = " ".join(refused.output.split())
    for difference in (
        "run.learning_rate: 0.001 in the checkpoint, 0.002 now",
        "run.warmup_steps: not in the checkpoint, now 0",
        "run.weight_decay: 0.0 in the checkpoint, 0.1 now",
        f"run.plugins.{grokfast}.grokfast_lamb: 1.5 in the checkpoint, 3.0 now",
        f"run.plugins.{grokfast}.grokfast_alpha: 0.9 in the checkpoint, 0.0 now",
        "versatune.accept_changes: true",
    ):
        assert difference in told, difference
    other_place = {"output_dir": str(tmp_path / "again"), "logging_steps": 2, "save_total_limit": 1, "save_steps": 3}
    resumed = axolotl.train({**again, **other_place, "micro_batch_size": 1, "gradient_accumulation_steps": 4})
    assert resumed.status == 0, resumed.output


def test_accepted_numbers_of_the_optimizer_have_effect(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(
        tmp_path / "run", max_steps=6, save_strategy="steps", save_steps=3, lr_scheduler="linear", warmup_steps=0,
        versatune={"mixture": "uniform", "accept_changes": True},
    )  # fmt: skip
    first = axolotl.train(cfg)
    assert first.status == 0, first.output
    again = {**cfg, "output_dir": str(tmp_path / "again")}
    again["resume_from_checkpoint"] = str(tmp_path / "run" / "checkpoint-3")
    changed = {"learning_rate": 6e-3, "weight_decay": 0.5, "adam_beta2": 0.9, "max_steps": 8}
    resumed = axolotl.train({**again, **changed})
    assert resumed.status == 0, resumed.output
    for number in (6, 8):
        saved = tmp_path / "again" / f"checkpoint-{number}"
        groups = torch.load(saved / "optimizer.pt", weights_only=True)["param_groups"]
        assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
        assert [group["betas"] for group in groups] == [(0.9, 0.9)] * 2
    log = json.loads((tmp_path / "again" / "checkpoint-8" / "trainer_state.json").read_text())["log_history"]
    rates = {line["step"]: line["learning_rate"] for line in log if "learning_rate" in line}
    # Linear from 1 to 0 over six steps, then over eight; the host logs the rate before the scheduler's step.
    expected = {1: 1e-3, 2: 1e-3 * 5 / 6, 3: 1e-3 * 4 / 6, **{step: 6e-3 * (9 - step) / 8 for step in range(4, 9)}}
    assert rates == pytest.approx(expected)
    assert digest(tmp_path / "again") != digest(tmp_path / "run")
    for cannot, told in (
        ({"optimizer": "sgd"}, "run.optimizer: 'adamw_torch' in the checkpoint, 'sgd' now"),
        (
            {"adapter": "lora", "lora_r": 4, "lora_alpha": 8, "lora_target_linear": True},
            "run.lora_r: not in the checkpoint, now 4",
        ),
        ({"lr_scheduler": "rex"}, "lr_scheduler: changed since the checkpoint, whose RexLR goes on as it was"),
    ):
        refused = axolotl.train({**again, **cannot})
        assert refused.status != 0
        assert told in " ".join(refused.output.split()), refused.output
