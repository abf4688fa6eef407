"""The mixtures by name. A new one is a class in a file of its own and one line here."""

from __future__ import annotations

from versatune_plugin.mixture.contract import Policy
from versatune_plugin.mixture.static import Constant, Inverse, Proportional, Uniform
from versatune_plugin.mixture.versatune import VersaTune

POLICIES: dict[str, type[Policy]] = {
    policy.name: policy for policy in (VersaTune, Constant, Uniform, Inverse, Proportional)
}
