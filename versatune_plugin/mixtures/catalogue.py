"""The mixtures of one stretch of training, by name. A new one is a class in a file of its own and one line here."""

from __future__ import annotations

from versatune_plugin.mixtures.bandit import OnlineDataMixing
from versatune_plugin.mixtures.base import Policy
from versatune_plugin.mixtures.excess_loss import DoReMi, DynamicLoading
from versatune_plugin.mixtures.increase import Increase
from versatune_plugin.mixtures.playback import Replay, Schedule
from versatune_plugin.mixtures.skills import MixtureOfSkills
from versatune_plugin.mixtures.static import Constant, Inverse, Proportional, Single, Temperature, Uniform
from versatune_plugin.mixtures.versatune import VersaTune

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
