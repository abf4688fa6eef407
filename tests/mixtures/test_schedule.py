from __future__ import annotations

import numpy as np
import pytest

from versatune_plugin.mixtures.schedule import WeightSchedule


def test_weights_are_a_step_function() -> None:
    schedule = WeightSchedule(0, np.array([0.5, 0.5]))
    schedule.append(10, np.array([0.9, 0.1]))
    schedule.append(25, np.array([0.2, 0.8]))
    assert [schedule.weights_at(step)[0] for step in (0, 9, 10, 24, 25, 10**9)] == [0.5, 0.5, 0.9, 0.9, 0.2, 0.2]


def test_a_stretch_that_has_begun_can_be_replaced_but_not_one_before_it() -> None:
    schedule = WeightSchedule(10, np.array([1.0]))
    schedule.append(10, np.array([2.0]))
    assert schedule.weights_at(10)[0] == 2.0
    with pytest.raises(ValueError, match="fixed"):
        schedule.append(9, np.array([3.0]))
    with pytest.raises(ValueError, match="begins at step 10"):
        schedule.weights_at(9)


def test_the_caller_cannot_change_what_was_appended() -> None:
    weights = np.array([0.5, 0.5])
    schedule = WeightSchedule(0, weights)
    weights[0] = 7
    assert schedule.weights_at(0).tolist() == [0.5, 0.5]


def test_what_is_past_can_be_forgotten() -> None:
    schedule = WeightSchedule(0, np.array([0.0]))
    for step in range(10, 60, 10):
        schedule.append(step, np.array([float(step)]))
    schedule.forget(29)
    schedule.forget(5)
    assert [schedule.weights_at(step)[0] for step in (20, 29, 30, 99)] == [20, 20, 30, 50]
    assert schedule.latest == (50, np.array([50.0]))
    with pytest.raises(ValueError, match="begins at step 20"):
        schedule.weights_at(19)
