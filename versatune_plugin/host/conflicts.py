"""Axolotl's own options that a run under VersaTune cannot honour: refused, never ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def host_conflicts(cfg: Mapping[str, Any]) -> list[str]:
    """What a run under VersaTune cannot honour of Axolotl's own options, one sentence each."""
    conflicts = {
        "streaming": "the rows of each domain must be countable; set it to false",
        "pretraining_dataset": "it streams, and VersaTune needs `datasets:` with a domain each; use those",
        "sample_packing_sequentially": "VersaTune decides the order of rows; remove it",
        "sample_packing_bin_size": "VersaTune packs by tokens alone; remove it",
        "sample_packing_group_size": "VersaTune packs one global batch at a time; remove it",
        "use_pose": "positions that jump cannot keep packed rows apart; remove it",
        "curriculum_sampling": "VersaTune decides the order of rows; remove it",
        "group_by_length": "VersaTune decides the order of rows; remove it",
        "balance_labels": "VersaTune decides which rows make a batch; remove it",
        "auto_find_batch_size": "it would change the global batch in the middle of the run; remove it",
        "skip_prepare_dataset": "VersaTune needs tokenised rows; remove it",
        "batch_flattening": "it is not supported yet; remove it",
        "rl": "only supervised fine-tuning is supported; remove it",
        "reward_model": "only supervised fine-tuning is supported; remove it",
        "process_reward_model": "only supervised fine-tuning is supported; remove it",
        "processor_type": "multimodal rows are not supported; remove it",
        "diffusion_lm": "only next-token prediction is supported; remove it",
        "trainer_cls": "VersaTune brings the trainer class; remove it",
    }
    problems = [f"{name}: {cfg[name]!r} cannot be honoured: {why}" for name, why in conflicts.items() if cfg.get(name)]
    problems += [
        f"test_datasets[{number}]: its `domain` would have no effect, as test sets belong to no domain; remove it"
        for number, entry in enumerate(cfg.get("test_datasets") or [])
        if entry.get("domain")
    ]
    problems += [
        f"datasets[{number}] ({entry.get('path')}): `weight: {entry['weight']!r}` is a fixed share of its rows, while "
        "VersaTune weighs whole domains; remove it, or cut the rows down with `split`"
        for number, entry in enumerate(cfg.get("datasets") or [])
        if entry.get("weight") is not None
    ]
    for name in ("context_parallel_size", "tensor_parallel_size", "expert_parallel_size"):
        if (cfg.get(name) or 1) > 1:
            problems.append(f"{name}: {cfg[name]} is not supported yet; remove it")
    return problems
