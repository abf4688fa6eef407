"""A fine-tuning run of our own in this process, with what shapes the loss of the user's run and nothing else of it.

Trackers, uploads, evaluations and whatever other plugins do after training belong to the user's run alone.

Tested with axolotl 0.19.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from versatune_plugin.host.other_plugins import ENGINE_PLUGINS, TRAINING_PLUGINS, keys_of
from versatune_plugin.host.run_settings import KIND_OF, SHAPES_THE_LOSS
from versatune_plugin.host.startup import PLUGIN, PLUGIN_NAMES
from versatune_plugin.plugin import VersaTunePlugin

TAKEN_PLUGINS = (*TRAINING_PLUGINS, *ENGINE_PLUGINS)
# Of these the rows that the run has are already the outcome.
ALREADY_APPLIED = (
    "val_set_size", "test_datasets", "dataset_exact_deduplication", "dataset_shard_num", "dataset_shard_idx",
    "shuffle_merged_datasets", "shuffle_before_merging_datasets", "push_dataset_to_hub",
)  # fmt: skip
# What a reference model of its own brings itself.
OF_THE_MODEL = (
    "base_model_config", "cls_model_config", "tokenizer_config", "tokenizer_type", "type_of_model", "revision_of_model",
)  # fmt: skip


def loss_settings(raw: Mapping[str, Any], model: str | None) -> tuple[dict[str, Any], list[str]]:
    """What of a configuration decides how low a loss is reached, as it would stand in a YAML.

    Args:
        raw: an Axolotl configuration as a user wrote it.
        model: another base model, or None for the run's own.

    Returns:
        The settings, without data sets, length and output directory; the names of the plugins that are left out.
    """
    from axolotl.integrations.base import load_plugin

    named = [name for name in raw.get("plugins") or [] if name not in PLUGIN_NAMES]
    plugins = [name for name in named if name in TAKEN_PLUGINS]
    of_plugins = {key for name in plugins for key in keys_of(load_plugin(name))}
    taken = {
        key: value
        for key, value in raw.items()
        if (KIND_OF.get(key) in (*SHAPES_THE_LOSS, "whole data set") and key not in ALREADY_APPLIED)
        or key in of_plugins
    }
    taken.pop("datasets", None)
    if model is not None:
        taken = {key: value for key, value in taken.items() if key not in OF_THE_MODEL} | {"base_model": model}
    taken |= {"plugins": [PLUGIN, *plugins], "save_strategy": "no", "eval_strategy": "no"}
    return taken, [name for name in named if name not in TAKEN_PLUGINS]


def load_alone(settings: Mapping[str, Any]) -> tuple[Any, VersaTunePlugin]:
    """Axolotl's validated configuration, with no plugin of any configuration that was loaded before.

    Args:
        settings: a whole configuration as it would stand in a YAML, with VersaTune among its plugins.
    """
    from axolotl.cli.config import load_cfg
    from axolotl.integrations.base import PluginManager
    from axolotl.utils.dict import DictDefault

    forget_plugins()
    manager = PluginManager.get_instance()
    cfg = load_cfg(DictDefault(dict(settings)))
    return cfg, next(plugin for plugin in manager.plugins.values() if isinstance(plugin, VersaTunePlugin))


def forget_plugins() -> None:
    """Forget plugins of configurations loaded before: Axolotl keeps every one of the process, and calls them all."""
    from axolotl.integrations.base import PluginManager

    PluginManager.get_instance().plugins.clear()
