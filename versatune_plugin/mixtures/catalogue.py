"""The mixtures of one stretch of training, by name.

A new one is a class in a file of its own and one line here; or, in a package of its own, an entry point of the group
`GROUP` that names the class.
"""

from __future__ import annotations

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.extensions import extensions
from versatune_plugin.mixtures.bandit import OnlineDataMixing
from versatune_plugin.mixtures.base import Policy
from versatune_plugin.mixtures.excess_loss import DoReMi, DynamicLoading
from versatune_plugin.mixtures.increase import Increase
from versatune_plugin.mixtures.playback import Replay, Schedule
from versatune_plugin.mixtures.skills import MixtureOfSkills
from versatune_plugin.mixtures.static import Constant, Inverse, Proportional, Single, Temperature, Uniform
from versatune_plugin.mixtures.versatune import VersaTune

GROUP = "versatune.mixtures"
CATALOGUE: dict[str, type[Policy]] = {
    policy.name: policy
    for policy in (
        VersaTune,
        Constant,
        Uniform,
        Inverse,
        Proportional,
        Temperature,
        Single,
        Increase,
        MixtureOfSkills,
        OnlineDataMixing,
        DynamicLoading,
        DoReMi,
        Replay,
        Schedule,
    )
}

# Made of these (mixtures/registry.py), so no names for others.
PRESETS = ("stages", "dmt", "sequential", "mixed_sequential", "multitask")

for name, policy in extensions(GROUP, {*CATALOGUE, *PRESETS}).items():
    if not (isinstance(policy, type) and issubclass(policy, Policy) and getattr(policy, "name", None) == name):
        raise VersaTuneError(
            f"the entry point {name!r} of {GROUP} is {policy!r}: it must be a subclass of "
            f"versatune_plugin.mixtures.base.Policy with `name = {name!r}`"
        )
    CATALOGUE[name] = policy
