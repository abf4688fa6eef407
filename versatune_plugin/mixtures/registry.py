"""Every mixture that ``mixture:`` may name."""

from __future__ import annotations

from versatune_plugin.mixtures.base import Policy
from versatune_plugin.mixtures.catalogue import CATALOGUE
from versatune_plugin.mixtures.stage_presets import DualStageMixed, MixedSequential, Multitask, Sequential
from versatune_plugin.mixtures.stages import Stages

POLICIES: dict[str, type[Policy]] = {
    **CATALOGUE,
    **{policy.name: policy for policy in (Stages, DualStageMixed, Sequential, MixedSequential, Multitask)},
}
