"""The commands: ``versatune ...`` and ``axolotl versatune ...``."""

from versatune_plugin.cli.commands import versatune

__all__ = ["versatune"]
