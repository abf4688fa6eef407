"""Axolotl's own options that a run under VersaTune cannot honour: refused, never ignored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from versatune_plugin.errors import ConfigurationError


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
        "push_dataset_to_hub": "rows on the hub are found by a hash that does not see what a file holds; remove it",
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
    if cfg.get("shuffle_merged_datasets") is False:
        problems.append(
            "shuffle_merged_datasets: False cannot be honoured: VersaTune decides the order of rows, which is another "
            "one in each pass; remove it"
        )
    if (cfg.get("accelerator_config") or {}).get("split_batches"):
        problems.append("accelerator_config.split_batches: VersaTune shares batches out itself; remove it")
    if (length := _no_length(cfg)) is not None:
        problems.append(f"{length}, so nothing would be trained; set it above 0, or `max_steps`")
    for name in ("context_parallel_size", "tensor_parallel_size", "expert_parallel_size"):
        if int(cfg.get(name) or 1) > 1:
            problems.append(f"{name}: {cfg[name]} is not supported yet; remove it")
    return problems


def _no_length(cfg: Mapping[str, Any]) -> str | None:
    """A ``num_epochs`` under which the host trains nothing and saves the base model as if it had."""
    if cfg.get("num_epochs") is None:
        return None
    try:
        epochs, steps = float(cfg["num_epochs"]), int(cfg.get("max_steps") or 0)
    except (TypeError, ValueError):
        # Not a number: Axolotl's schema says so.
        return None
    return None if steps > 0 or (epochs > 0 and math.isfinite(epochs)) else f"num_epochs: {cfg['num_epochs']}"


def check_other_plugins(cfg: Any, staged: bool) -> None:
    """See that no other plugin wants a part of the run that is VersaTune's.

    Axolotl takes the first trainer class and the first scheduler that a plugin offers, and drops the others.

    Args:
        cfg: Axolotl's validated configuration.
        staged: the run has stages, whose learning rates VersaTune schedules.

    Raises:
        ConfigurationError: naming the plugins and what would be lost.
    """
    from axolotl.integrations.base import BasePlugin, PluginManager

    from versatune_plugin.host.startup import PLUGIN_NAMES

    problems = []
    for name, plugin in PluginManager.get_instance().plugins.items():
        if name in PLUGIN_NAMES:
            continue
        trainer = plugin.get_trainer_cls(cfg)
        if trainer is not None:
            problems.append(
                f"plugins: {name} brings the trainer {trainer.__name__}, and VersaTune brings its own, of which "
                "Axolotl takes one: remove the plugin, or switch off the option that makes it bring one"
            )
        if staged and type(plugin).create_lr_scheduler is not BasePlugin.create_lr_scheduler:
            problems.append(
                f"plugins: {name} brings a learning-rate scheduler, and so does VersaTune for stages: remove it"
            )
    if problems:
        raise ConfigurationError.collected("this configuration cannot be trained with VersaTune", problems)
