"""Weights of domains: the mixtures, what moves them, and the bounds they keep. No torch, no Axolotl.

Importing the room registers our mixtures, in the order in which they are listed.
"""

from versatune_plugin.mixtures import (  # noqa: I001 - the order of the listing
    versatune,
    static,
    increase,
    skills,
    bandit,
    excess_loss,
    playback,
    stages,
    stage_presets,
)

__all__ = [
    "bandit",
    "excess_loss",
    "increase",
    "playback",
    "skills",
    "stage_presets",
    "stages",
    "static",
    "versatune",
]
