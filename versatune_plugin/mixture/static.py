"""Mixtures that do not move: the baselines of the VersaTune paper and the plain choices of practice."""

from __future__ import annotations

import numpy as np

from versatune_plugin.mixture.contract import StaticPolicy
from versatune_plugin.mixture.weights import Vector


class Constant(StaticPolicy):
    """The prior, held fixed ("VersaTune Constant", table 4 of the paper)."""

    name = "constant"
    summary = "the prior, held fixed"


class Uniform(StaticPolicy):
    """Every domain alike: 1 / k (the paper's uniform baseline)."""

    name = "uniform"
    summary = "every domain alike"
    uses_prior = False

    def initial_weights(self) -> Vector:
        """1 / k for each domain, shape (k,)."""
        return np.ones(len(self.start.domains))


class Inverse(StaticPolicy):
    """The inverse of the prior: (1 - P_j) / (k - 1), as in the code of the paper's authors."""

    name = "inverse"
    summary = "what the base model knows least comes most: (1 - P) / (k - 1)"

    def initial_weights(self) -> Vector:
        """1 - P_j, shape (k,); for a single domain, that domain."""
        return 1.0 - self.start.prior if len(self.start.domains) > 1 else self.start.prior


class Proportional(StaticPolicy):
    """In proportion to the training rows of each domain: what plain concatenation does (temperature 1)."""

    name = "proportional"
    summary = "in proportion to each domain's training rows"
    uses_prior = False

    def initial_weights(self) -> Vector:
        """Training rows, shape (k,)."""
        return self.start.rows
