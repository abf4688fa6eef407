"""How many rows of each domain a run draws, known before its first step as far as its weights are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from versatune_plugin.mixtures.controller import MixtureController
from versatune_plugin.mixtures.stages import PlannedStage
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.training.batches import make_plan
from versatune_plugin.training.run import PreparedRun
from versatune_plugin.training.run_plan import make_controller

# Microseconds that planning takes at most, about; longer runs are added up from their weights.
MOST_PLANNING = 2e6
OF_A_BATCH, OF_A_ROW = {"rows": 70.0, "tokens": 250.0}, {"rows": 0.3, "tokens": 4.0}
# Weights that follow a schedule are looked at this often in a stage.
MOST_LOOKS = 20_000


@dataclass(frozen=True)
class ExpectedRows:
    """What a run draws.

    Attributes:
        rows: shape (k,), of each domain in the whole run.
        known: the weights of every step are known; else those at the start (of each stage) stand for all.
        exact: the batches were planned as the run plans them; else each figure is off by a row or so, and under shares
            of tokens by as much as rows differ in length.
        steps: optimizer steps after which ``max_passes`` ends the run; None where it does not, or is not ``exact``.
    """

    rows: Vector
    known: bool
    exact: bool
    steps: int | None = None


def expected_rows(prepared: PreparedRun) -> ExpectedRows:
    """Plan the batches of a run as it does itself, or add them up where that takes long or its weights are not known.

    Args:
        prepared: the run.
    """
    plan = prepared.plan
    still = replace(plan, measuring=replace(plan.measuring, update_steps=None))
    controller = make_controller(prepared.section, still, prepared.table, prepared.prior, prepared.reference_loss)
    known = not controller.requirements.updates
    counts = "rows" if plan.bin_tokens is None and prepared.section.unit == "samples" else "tokens"
    of_a_batch = OF_A_BATCH[counts] + OF_A_ROW[counts] * float(plan.rows_per_batch.mean())
    if known and plan.total_steps * of_a_batch <= MOST_PLANNING:
        return _planned(prepared, controller)
    return ExpectedRows(_added_up(prepared, controller), known, exact=False)


def _planned(prepared: PreparedRun, controller: MixtureController) -> ExpectedRows:
    section, plan = prepared.section, prepared.plan
    batches = make_plan(section, plan, prepared.table, controller.schedule)
    for step in range(1, plan.total_steps + 1):
        batches.advance()
        controller.after_step(step, None)
        ends = section.max_passes is not None and step < plan.total_steps
        if ends and section.max_passes is not None and batches.exhausted(section.max_passes).any():
            return ExpectedRows(batches.drawn.astype(np.float64), known=True, exact=True, steps=step)
    return ExpectedRows(batches.drawn.astype(np.float64), known=True, exact=True)


def _added_up(prepared: PreparedRun, controller: MixtureController) -> Vector:
    plan, table = prepared.plan, prepared.table
    tokens_of_a_row = table.mean_supervised() if prepared.section.unit == "tokens" else np.ones(len(table.domains))
    rows = np.zeros(len(table.domains))
    for stage in plan.stages:
        if stage.first_step:
            controller.after_step(stage.first_step, None)
        for weights, steps in _weights(controller, stage, min(stage.steps, plan.total_steps - stage.first_step)):
            shares = weights / tokens_of_a_row
            rows += steps * shares / (shares / plan.rows_per_batch).sum()
    return rows


def _weights(controller: MixtureController, stage: PlannedStage, steps: int) -> Iterator[tuple[Vector, int]]:
    """Weights of the stage in force, and for how many steps each stands."""
    if controller.mixture.scheduled_weights(0) is None:
        yield controller.weights, steps
        return
    stride = math.ceil(steps / MOST_LOOKS)
    for since in range(0, steps, stride):
        taken = min(stride, steps - since)
        known = controller.known_weights(stage.first_step + since + taken // 2)
        assert known is not None
        yield known, taken
