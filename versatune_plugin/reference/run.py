"""A fine-tuning run of the reference model in this process, with what shapes the loss of the user's run.

Tested with axolotl 0.19.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from versatune_plugin.host.loss_settings import loss_settings
from versatune_plugin.plugin import VersaTunePlugin

# Of these the rows that the run has are already the outcome.
ALREADY_APPLIED = (
    "val_set_size", "test_datasets", "dataset_exact_deduplication", "dataset_shard_num", "dataset_shard_idx",
    "shuffle_merged_datasets", "shuffle_before_merging_datasets", "push_dataset_to_hub",
)  # fmt: skip
# What a reference model of its own brings itself.
OF_THE_MODEL = (
    "base_model_config", "cls_model_config", "tokenizer_config", "tokenizer_type", "type_of_model", "revision_of_model",
)  # fmt: skip


def reference_settings(raw: Mapping[str, Any], model: str | None) -> tuple[dict[str, Any], list[str]]:
    """What of a configuration the runs of the reference model take, as it would stand in a YAML.

    Args:
        raw: an Axolotl configuration as a user wrote it.
        model: another base model, or None for the run's own.

    Returns:
        The settings, without data sets, length and output directory; the names of the plugins that are left out.
    """
    taken, left_out = loss_settings(raw, kinds=("whole data set",), without=ALREADY_APPLIED)
    taken.pop("datasets", None)
    if model is not None:
        taken = {key: value for key, value in taken.items() if key not in OF_THE_MODEL} | {"base_model": model}
    return taken, left_out


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
