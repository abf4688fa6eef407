from __future__ import annotations

from typing import Any

import pytest

from tests.helpers.making import NAMES, control, measured
from versatune_plugin.mixtures.registry import MIXTURES
from versatune_plugin.mixtures.stages import StagedOptions

ROWS = [512, 1000, 60]


@pytest.mark.parametrize(
    ("name", "options", "rows", "first_steps", "end"),
    [
        # 1572 rows, 32 a step.
        ("multitask", {}, [ROWS], [0], 50),
        ("multitask", {"epochs": 2}, [ROWS], [0], 99),
        (
            "sequential",
            {"order": ["medicine", "code", "law"]},
            [[0, 0, 60], [512, 0, 0], [0, 1000, 0]],
            [0, 2, 18],
            50,
        ),
        (
            "sequential",
            {"order": ["law", "code", "medicine"], "epochs": 0.5},
            [[0, 1000, 0], [512, 0, 0], [0, 0, 60]],
            [0, 16, 24],
            25,
        ),
        ("mixed_sequential", {"general": "law"}, [[512, 0, 60], [0, 1000, 0]], [0, 18], 50),
        ("mixed_sequential", {"general": "code", "epochs": 3}, [[0, 1000, 60], [512, 0, 0]], [0, 100], 148),
        # 512 / 256 = 2 rows of code, and one of medicine, since 60 / 256 rounds to none.
        ("dmt", {"general": "law"}, [[512, 0, 60], [2, 1000, 1]], [0, 18], 50),
        ("dmt", {"general": "law", "share": "1/4", "epochs": 2}, [[512, 0, 60], [128, 1000, 15]], [0, 36], 108),
        ("dmt", {"general": "law", "share": 1}, [[512, 0, 60], ROWS], [0, 18], 68),
    ],
)
def test_presets_by_hand(
    name: str, options: dict[str, Any], rows: list[list[int]], first_steps: list[int], end: int
) -> None:
    controller = control(name, [0.5, 0.3, 0.2], ROWS, batch_size=32, floor=0.05, **options)
    stages = controller.stages
    assert MIXTURES[name].Options(**options).problems(NAMES) == []
    assert [stage.rows.tolist() for stage in stages] == rows
    assert [stage.first_step for stage in stages] == first_steps
    assert stages[-1].first_step + stages[-1].steps == end

    shares = [pytest.approx([row / sum(stage) for row in stage], abs=1e-12) for stage in rows]
    assert controller.weights_at(0).tolist() == shares[0]
    begun = {}
    for step in range(1, end):
        if (change := controller.after_step(step, None)) is not None:
            assert change.begins_stage
            begun[step] = controller.weights.tolist()
    assert begun == dict(zip(first_steps[1:], shares[1:], strict=True))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("multitask", {}),
        ("sequential", {"order": ["law", "code", "medicine"]}),
        ("mixed_sequential", {"general": "law"}),
        ("dmt", {"general": "law"}),
    ],
)
def test_presets_measure_nothing_and_keep_their_weights_within_a_stage(name: str, options: dict[str, Any]) -> None:
    controller = control(name, [0.5, 0.3, 0.2], ROWS, batch_size=32, update_steps=1, **options)
    asked = controller.requirements
    assert (asked.moves, asked.updates, asked.measures, asked.prior, asked.reference) == (False,) * 5
    weights = controller.weights.tolist()
    change = controller.after_step(1, lambda: measured([3.0, 1.0, 2.0]))
    assert change is not None
    assert controller.weights.tolist() == weights


def test_the_share_of_dmt_is_the_papers_best() -> None:
    assert MIXTURES["dmt"].Options(general="law") == MIXTURES["dmt"].Options(general="law", share="1/256")


@pytest.mark.parametrize(
    ("name", "options", "domains", "told"),
    [
        ("sequential", {"order": ["law", "code"]}, NAMES, "must name every domain once"),
        ("sequential", {"order": ["law", "code", "code"]}, NAMES, "must name every domain once"),
        ("sequential", {"order": ["law", "code", "medicine", "law"]}, NAMES, "must name every domain once"),
        ("sequential", {"order": ["law", "code", "poetry"]}, NAMES, "order: 'poetry' is no domain"),
        ("mixed_sequential", {"general": "poetry"}, NAMES, "general: 'poetry' is no domain"),
        ("mixed_sequential", {"general": "law"}, ("law",), "general: 'law' is the only domain"),
        ("dmt", {"general": "poetry"}, NAMES, "general: 'poetry' is no domain"),
        ("dmt", {"general": "law"}, ("law",), "general: 'law' is the only domain"),
    ],
)
def test_domains_that_do_not_fit_a_preset_are_told(
    name: str, options: dict[str, Any], domains: tuple[str, ...], told: str
) -> None:
    given = MIXTURES[name].Options(**options)
    assert isinstance(given, StagedOptions)
    (problem,) = given.problems(domains)
    assert told in problem
