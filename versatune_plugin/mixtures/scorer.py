"""The scorer of Mixture-of-Skills: a two-layer perceptron over the domains, moved by REINFORCE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from versatune_plugin.mixtures.weights import Vector


class Scorer:
    """p = softmax(W2 tanh(W1 a + b1) + b2), where a says which domains are available: all of them, so ones.

    The last layer starts at zero weights and the prior's logarithm as bias, so that p starts at the prior. An update
    is plain gradient ascent on sum_i R(i) log p(i) (equation 6). With ``hidden`` 0 the logits are free, and under
    constant rewards p converges to R / sum(R).

    Args:
        prior: shape (k,), the initial distribution, positive.
        hidden: units of the hidden layer.
        learning_rate: gamma of Algorithm 1.
        seed: of the first layer.
    """

    def __init__(self, prior: Vector, hidden: int, learning_rate: float, seed: int) -> None:
        k = len(prior)
        self.learning_rate = learning_rate
        draw = np.random.Generator(np.random.Philox(key=seed))
        # A unit-variance input to tanh whatever k is.
        self._parameters = {
            "w1": draw.standard_normal((hidden, k)) / np.sqrt(k),
            "b1": np.zeros(hidden),
            "w2": np.zeros((k, hidden)),
            # A prior that has underflowed to zero still has a logarithm.
            "b2": np.log(np.maximum(prior / prior.sum(), np.finfo(np.float64).tiny)),
        }

    @property
    def probabilities(self) -> Vector:
        """The distribution over the domains, shape (k,)."""
        return self._forward()[1]

    def reinforce(self, rewards: Vector) -> Vector:
        """One step of gradient ascent; returns the new distribution, shape (k,).

        Args:
            rewards: R, shape (k,).
        """
        hidden, probabilities = self._forward()
        # The gradient of sum_i R_i log p_i with respect to the logits.
        logits = rewards - rewards.sum() * probabilities
        inner = (self._parameters["w2"].T @ logits) * (1.0 - hidden**2)
        gradients = {"w1": np.outer(inner, np.ones(len(rewards))), "b1": inner}
        gradients |= {"w2": np.outer(logits, hidden), "b2": logits}
        for name, gradient in gradients.items():
            self._parameters[name] = self._parameters[name] + self.learning_rate * gradient
        return self.probabilities

    def state_dict(self) -> dict[str, Any]:
        """All parameters, as nested lists."""
        return {name: value.tolist() for name, value in self._parameters.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave.

        Raises:
            ValueError: parameters of another shape, or numbers that are none.
        """
        if state.keys() != self._parameters.keys():
            raise ValueError(f"the scorer has {sorted(self._parameters)}, not {sorted(state)}")
        taken = {}
        for name, value in self._parameters.items():
            given = np.asarray(state[name])
            # Without hidden units, a list of empty lists and an empty list are one.
            if given.size != value.size or (given.size and given.shape != value.shape):
                raise ValueError(f"the scorer's {name} is of the shape {given.shape}, not {value.shape}")
            if given.size and (given.dtype.kind not in "fi" or not np.isfinite(given).all()):
                raise ValueError(f"the scorer's {name} holds what is no finite number")
            taken[name] = given.astype(np.float64).reshape(value.shape)
        self._parameters = taken

    def _forward(self) -> tuple[Vector, Vector]:
        parameters = self._parameters
        hidden = np.tanh(parameters["w1"].sum(axis=1) + parameters["b1"])
        logits = parameters["w2"] @ hidden + parameters["b2"]
        powers = np.exp(logits - logits.max())
        return hidden, powers / powers.sum()
