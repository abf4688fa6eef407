"""What the other plugins of a configuration do to a run, and the keys that they add to Axolotl's.

Tested with axolotl 0.19.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from versatune_plugin.host.run_settings import plain
from versatune_plugin.host.startup import PLUGIN_NAMES

# Plugins of Axolotl's own by what they change; any other may do anything.
TRAINING_PLUGINS = (
    "axolotl.integrations.densemixer.DenseMixerPlugin",
    "axolotl.integrations.grokfast.GrokfastPlugin",
    "axolotl.integrations.mora.MoraPlugin",
    "axolotl.integrations.spectrum.SpectrumPlugin",
)
ENGINE_PLUGINS = (
    "axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin",
    "axolotl.integrations.kernels.KernelsPlugin",
    "axolotl.integrations.liger.LigerPlugin",
)
WATCHING_PLUGINS = (
    "axolotl.integrations.lm_eval.LMEvalPlugin",
    "axolotl.integrations.swanlab.SwanLabPlugin",
)


def keys_of(plugin: Any) -> list[str]:
    """The keys that one of Axolotl's plugins adds to its schema."""
    place = plugin.get_input_args()
    if place is None:
        return []
    module, _, name = place.rpartition(".")
    return list(getattr(import_module(module), name).model_fields)


def settings_of_plugins(cfg: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The plugins that shape a run, each with its own settings, as plain JSON.

    Args:
        cfg: Axolotl's validated configuration; its plugins are registered.
    """
    from axolotl.integrations.base import PluginManager

    harmless = (*PLUGIN_NAMES, *ENGINE_PLUGINS, *WATCHING_PLUGINS)
    return {
        name: plain({key: cfg.get(key) for key in keys_of(plugin)})
        for name, plugin in PluginManager.get_instance().plugins.items()
        if name not in harmless
    }
