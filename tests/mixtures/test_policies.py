from __future__ import annotations

import numpy as np
import pytest

from tests.mixtures.making import make
from versatune_plugin.mixtures.base import BatchLoss, Signal
from versatune_plugin.mixtures.registry import POLICIES


def test_potential_and_forgetting_by_hand() -> None:
    loss, before = np.array([2.0, 1.0, 0.0]), np.array([1.0, 2.0, 1.0])
    signal = Signal(3, np.ones(3) / 3, loss, np.ones(3), before, np.array([1.5, 3.0, 0.5]))
    assert signal.potential is not None
    assert signal.potential.tolist() == [0.25, 0.0, 0.0]
    assert signal.forgetting is not None
    assert signal.forgetting.tolist() == [1.0, 0.0, 0.0]
    assert signal.excess().tolist() == [0.5, 0.0, 0.0]
    first = Signal(1, np.ones(3) / 3, loss, np.ones(3))
    assert first.forgetting is not None
    assert first.forgetting.tolist() == [0.0, 0.0, 0.0]
    assert first.potential is None


def test_a_loss_that_was_zero_is_compared_with_nothing() -> None:
    signal = Signal(2, np.ones(2) / 2, np.array([1.0, 0.0]), None, np.zeros(2), np.ones(2))
    assert signal.forgetting is not None
    assert signal.forgetting.tolist() == [0.0, 0.0]


def test_a_signal_of_some_domains_by_hand() -> None:
    batches = (BatchLoss(0, 0.5, 1.0), BatchLoss(2, 0.2, 2.0), BatchLoss(1, 0.3, 3.0))
    signal = Signal(
        7,
        np.array([0.5, 0.3, 0.2]),
        np.array([1.0, 2.0, 3.0]),
        np.array([10.0, 20.0, 30.0]),
        np.array([4.0, 5.0, 6.0]),
        np.array([7.0, 8.0, 9.0]),
        np.array([[1.0, 0.1, 0.2], [0.1, 1.0, 0.3], [0.2, 0.3, 1.0]]),
        np.array([0.7, 0.8, 0.9]),
        batches,
    )
    part = signal.of([2, 1])
    assert part.step == 7
    assert part.weights.tolist() == pytest.approx([0.4, 0.6])
    vectors = (part.loss, part.tokens, part.previous_loss, part.reference_loss, part.difficulty)
    told = [None if vector is None else vector.tolist() for vector in vectors]
    assert told == [[3.0, 2.0], [30.0, 20.0], [6.0, 5.0], [9.0, 8.0], [0.9, 0.8]]
    assert part.similarity is not None
    assert part.similarity.tolist() == [[1.0, 0.3], [0.3, 1.0]]
    assert part.batch_losses == (BatchLoss(0, 0.2, 2.0), BatchLoss(1, 0.3, 3.0))


def test_what_was_not_measured_is_not_measured_of_some_domains_either() -> None:
    assert Signal(1, np.ones(2) / 2).of([1]) == Signal(1, np.ones(1))


def test_a_policy_without_state_refuses_one() -> None:
    with pytest.raises(ValueError, match="keeps no state"):
        make("uniform", [1.0], domains=("law",)).load_state_dict({"step": 3})


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_policy_is_registered_under_its_name_and_says_what_it_is(name: str) -> None:
    policy = POLICIES[name]
    assert policy.name == name
    assert policy.summary
    assert policy.paper
    assert all(field.description for field in policy.Options.model_fields.values())
