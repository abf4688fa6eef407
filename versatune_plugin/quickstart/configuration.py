"""The Axolotl configurations of the quickstart: ordinary YAML that a user can copy and change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from versatune_plugin.quickstart.presets import Preset

BATCH = 8
HEAD = """\
# Run it in this directory: axolotl train {name}.yml
# (Paths are relative to it. On a GPU take out the keys from bf16 to optimizer.)
"""


def configuration(mixture: str, domains: Sequence[str], preset: Preset, seed: int) -> str:
    """The YAML of a fine-tuning of ``base_model`` under ``mixture`` (``uniform`` or ``versatune``)."""
    section: dict[str, Any] = {"mixture": mixture}
    if mixture == "versatune":
        section |= {"knowledge": "knowledge.json", "reference": "reference.json"}
    section |= {
        "samples_per_epoch": preset.steps * BATCH,
        "update_steps": preset.update_steps,
        "heldout": preset.heldout,
        # Of so short a run a fifth; the default is 0.02.
        "measure_budget": 0.2,
    }
    values = {
        "base_model": "./base_model",
        "plugins": ["versatune"],
        "datasets": [
            {"path": f"./corpus/finetuning/{name}.jsonl", "ds_type": "json", "type": "alpaca", "domain": name}
            for name in domains
        ],
        "versatune": section,
        "dataset_prepared_path": "./prepared",
        "output_dir": f"./{mixture}",
        "sequence_len": preset.sequence_len,
        "micro_batch_size": BATCH,
        "gradient_accumulation_steps": 1,
        "num_epochs": 1,
        "learning_rate": 1e-3,
        "lr_scheduler": "cosine",
        "warmup_steps": preset.steps // 20,
        "weight_decay": 0.0,
        "seed": seed,
        "save_strategy": "no",
        "eval_strategy": "no",
        "logging_steps": preset.update_steps,
        "bf16": False,
        "fp16": False,
        "tf32": False,
        "attn_implementation": "sdpa",
        "optimizer": "adamw_torch",
    }
    return HEAD.format(name=mixture) + yaml.safe_dump(values, sort_keys=False)
