"""VersaTune's multi-ability mixture (Algorithm 2)."""

from __future__ import annotations

from pydantic import Field

from versatune_plugin.mixture.contract import Policy, PolicyOptions, Signal
from versatune_plugin.mixture.weights import Vector


class VersaTune(Policy):
    """Start at the prior; at each update P_j <- P_j (1 + sigma gamma_j), renormalised.

    Source: VersaTune, Algorithm 2 and equation 2. The paper prints no value for sigma.
    """

    name = "versatune"
    summary = "more of what the model can still learn (VersaTune, Algorithm 2)"
    uses_reference = True

    class Options(PolicyOptions):
        """Options of ``mixture: versatune``."""

        sigma: float = Field(default=0.5, gt=0, le=100, description="magnitude of the adjustment at one update")

    options: Options

    def update(self, signal: Signal) -> Vector:
        """P_j (1 + sigma gamma_j), shape (k,)."""
        assert signal.potential is not None
        return signal.weights * (1.0 + self.options.sigma * signal.potential)
