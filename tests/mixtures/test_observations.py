from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.making import batches, heldout, make
from versatune_plugin.mixtures.base import Requirements
from versatune_plugin.mixtures.observations import BatchLoss, BatchObservation, HeldoutObservation, ProbeObservation
from versatune_plugin.mixtures.registry import MIXTURES


def test_potential_and_forgetting_by_hand() -> None:
    loss, before = [2.0, 1.0, 0.0], [1.0, 2.0, 1.0]
    observation = heldout(np.ones(3) / 3, loss, [1.5, 3.0, 0.5], before)
    assert observation.potential.tolist() == [0.25, 0.0, 0.0]
    assert observation.forgetting.tolist() == [1.0, 0.0, 0.0]
    assert observation.excess.tolist() == [0.5, 0.0, 0.0]
    first = heldout(np.ones(3) / 3, loss)
    assert first.forgetting.tolist() == [0.0, 0.0, 0.0]
    for figure in ("potential", "excess"):
        with pytest.raises(ValueError, match=r"no reference losses: a mixture that reads them needs `Requirements\("):
            getattr(first, figure)


def test_a_loss_that_was_zero_is_compared_with_nothing() -> None:
    assert heldout([0.5, 0.5], [1.0, 0.0], None, [0.0, 1.0]).forgetting.tolist() == [0.0, 0.0]


def test_an_observation_of_some_domains_by_hand() -> None:
    whole = ProbeObservation(
        step=7,
        weights=np.array([0.5, 0.3, 0.2]),
        loss=np.array([1.0, 2.0, 3.0]),
        tokens=np.array([10.0, 20.0, 30.0]),
        previous_loss=np.array([4.0, 5.0, 6.0]),
        reference_loss=np.array([7.0, 8.0, 9.0]),
        similarity=np.array([[1.0, 0.1, 0.2], [0.1, 1.0, 0.3], [0.2, 0.3, 1.0]]),
        difficulty=np.array([0.7, 0.8, 0.9]),
    )
    part = whole.restricted([2, 1])
    assert part.step == 7
    assert part.weights.tolist() == pytest.approx([0.4, 0.6])
    assert part.previous_loss is not None
    assert part.reference_loss is not None
    vectors = (part.loss, part.tokens, part.previous_loss, part.reference_loss, part.difficulty)
    assert [vector.tolist() for vector in vectors] == [[3.0, 2.0], [30.0, 20.0], [6.0, 5.0], [9.0, 8.0], [0.9, 0.8]]
    assert part.similarity.tolist() == [[1.0, 0.3], [0.3, 1.0]]


def test_batches_of_some_domains_by_hand() -> None:
    whole = batches([0.5, 0.3, 0.2], (0, 0.5, 1.0), (2, 0.2, 2.0), (1, 0.3, 3.0))
    part = whole.restricted([2, 1])
    assert part.weights.tolist() == pytest.approx([0.4, 0.6])
    assert part.batch_losses == (BatchLoss(0, 0.2, 2.0), BatchLoss(1, 0.3, 3.0))


def test_what_was_not_measured_is_not_measured_of_some_domains_either() -> None:
    part = heldout([0.5, 0.5], [1.0, 2.0]).restricted([1])
    assert (part.previous_loss, part.reference_loss) == (None, None)


def test_what_several_mixtures_ask_for_together() -> None:
    asked = Requirements.combined(
        [
            Requirements(observes=BatchObservation, update_steps=1),
            Requirements(moves=False, bounded=False, reference=True),
            Requirements(observes=HeldoutObservation, prior=True),
        ]
    )
    assert asked == Requirements(observes=HeldoutObservation, prior=True, reference=True)
    assert Requirements.combined([Requirements(moves=False)] * 2) == Requirements(moves=False)


def test_a_mixture_without_state_refuses_one() -> None:
    with pytest.raises(ValueError, match="keeps no state"):
        make("uniform", [1.0], domains=("law",)).load_state_dict({"step": 3})


@pytest.mark.parametrize("name", sorted(MIXTURES))
def test_every_mixture_is_registered_under_its_name_and_says_what_it_is(name: str) -> None:
    mixture = MIXTURES[name]
    assert mixture.name == name
    assert mixture.summary
    assert mixture.source
    assert all(field.description for field in mixture.Options.model_fields.values())
