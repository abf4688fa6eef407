"""What of a user's YAML a run of our own takes: what shapes its loss, and nothing that belongs to the user's run alone.

Trackers, uploads, evaluations and whatever other plugins do after training are left out.

Tested with axolotl 0.19.0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from versatune_plugin.host.other_plugins import ENGINE_PLUGINS, TRAINING_PLUGINS, keys_of
from versatune_plugin.host.run_settings import KIND_OF, SHAPES_THE_LOSS
from versatune_plugin.host.startup import PLUGIN, PLUGIN_NAMES

TAKEN_PLUGINS = (*TRAINING_PLUGINS, *ENGINE_PLUGINS)


def loss_settings(
    raw: Mapping[str, Any], kinds: Collection[str] = (), without: Collection[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """What of a configuration decides how low a loss is reached, as it would stand in a YAML.

    Args:
        raw: an Axolotl configuration as a user wrote it.
        kinds: of keys that are taken besides (`versatune_plugin.host.run_settings.KINDS`).
        without: keys that are not.

    Returns:
        The settings, without output directory and section; the names of the plugins that are left out.
    """
    from axolotl.integrations.base import load_plugin

    named = [name for name in raw.get("plugins") or [] if name not in PLUGIN_NAMES]
    plugins = [name for name in named if name in TAKEN_PLUGINS]
    of_plugins = {key for name in plugins for key in keys_of(load_plugin(name))}
    taken = {
        key: value
        for key, value in raw.items()
        if (KIND_OF.get(key) in (*SHAPES_THE_LOSS, *kinds) and key not in without) or key in of_plugins
    }
    taken |= {"plugins": [PLUGIN, *plugins], "save_strategy": "no", "eval_strategy": "no"}
    return taken, [name for name in named if name not in TAKEN_PLUGINS]
