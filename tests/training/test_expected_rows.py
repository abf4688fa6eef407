"""Rows that a run will draw: planned one batch after the other, or added up where that would take long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.states import live
from versatune_plugin.training import expected_rows as module
from versatune_plugin.training.expected_rows import expected_rows

BY_STEP = {
    "mixture": "schedule",
    "heldout": 4,
    "schedule": [
        {"step": 0, "weights": {"law": 0.2, "code": 0.7, "medicine": 0.1}},
        {"step": 13, "weights": {"law": 0.2, "code": 0.1, "medicine": 0.7}},
    ],
}
STAGES = {"mixture": "dmt", "general": "law", "share": "1/4", "epochs": 3, "heldout": 4}


@pytest.mark.parametrize(
    ("section", "cfg", "off_by"),
    [
        (BY_STEP, {}, 1),
        ({**BY_STEP, "unit": "tokens"}, {}, 4),
        (BY_STEP, {"sample_packing": True}, 20),
        ({"mixture": "proportional", "heldout": 4}, {}, 1),
        (STAGES, {"max_steps": None}, 2),
    ],
    ids=["rows", "tokens", "packing", "constant", "stages"],
)
def test_adding_up_comes_close_to_planning(
    section: dict[str, Any], cfg: dict[str, Any], off_by: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = live(section, tmp_path, **cfg).prepared
    planned = expected_rows(prepared)
    assert planned.exact
    assert planned.known
    monkeypatch.setattr(module, "MOST_PLANNING", 0)
    added = expected_rows(prepared)
    assert not added.exact
    assert added.known
    assert np.abs(added.rows - planned.rows).max() <= off_by


def test_a_long_schedule_is_looked_at_here_and_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PLANNING", 0)
    prepared = live(BY_STEP, tmp_path, max_steps=4000).prepared
    every = expected_rows(prepared).rows
    monkeypatch.setattr(module, "MOST_LOOKS", 100)
    assert np.abs(expected_rows(prepared).rows - every).max() <= 40 * 8
    assert expected_rows(prepared).rows.sum() == pytest.approx(4000 * 8)


def test_weights_that_follow_losses_are_not_known(tmp_path: Path) -> None:
    section = {"mixture": "versatune", "knowledge": {"law": 0.5, "code": 0.3, "medicine": 0.2}, "heldout": 4}
    reference = {"reference": {"law": 1.0, "code": 2.0, "medicine": 0.5}, "update_steps": 3}
    expected = expected_rows(live({**section, **reference}, tmp_path).prepared)
    assert (expected.known, expected.exact) == (False, False)
    assert expected.rows == pytest.approx(40 * 8 * np.array([0.3, 0.5, 0.2]))


def test_the_step_at_which_a_domain_is_used_up_is_known(tmp_path: Path) -> None:
    section = {"mixture": "constant", "knowledge": {"law": 0.5, "code": 0.3, "medicine": 0.2}, "heldout": 4}
    expected = expected_rows(live({**section, "max_passes": 1}, tmp_path).prepared)
    # Of law, 36 rows may be drawn once, four of them in a batch of eight.
    assert expected.steps == 9
    assert expected.rows.sum() == 72
