"""What a user should think about before a run is started."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from versatune_plugin.artifacts.knowledge import warning_of
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.schema.wording import counted, times
from versatune_plugin.training.expected_rows import ExpectedRows
from versatune_plugin.training.run import PreparedRun

# A domain whose part of a batch is under this part of its weight is as good as absent.
LEAST_ROOM = 0.1
# Measuring may cost so much more than the budget before anybody need know: rows and updates are whole numbers.
OVER_BUDGET = 1.25
# With fewer updates a mixture that learns has learnt nothing.
FEW_UPDATES = 2


def plan_warnings(prepared: PreparedRun, expected: ExpectedRows, weights: Vector) -> list[str]:
    """What a user should think about before this run is started, one sentence each.

    Args:
        prepared: the run.
        expected: the rows that it draws.
        weights: shape (k,), at its start.
    """
    return [*_prior(prepared), *_measuring(prepared), *_crowded_out(prepared, weights), *_used_up(prepared, expected)]


def _prior(prepared: PreparedRun) -> list[str]:
    """What the knowledge file itself warns of."""
    file = prepared.section.knowledge
    said = warning_of(file) if isinstance(file, Path) else None
    return [] if said is None else [f"the prior is {file}, which warns: {said}"]


def _measuring(prepared: PreparedRun) -> list[str]:
    """Too dear, too rare, or both: one sentence, with remedies that do not undo one another."""
    section, measuring, steps = prepared.section, prepared.plan.measuring, prepared.plan.total_steps
    dear = (
        f"measuring takes {measuring.cost:.1%} of training compute, more than measure_budget "
        f"({section.measure_budget:.1%})"
    )
    rare = (
        f"the weights move {times(measuring.updates) if measuring.updates else 'not at all'} in "
        f"{counted(steps, 'step')}"
    )
    fewer_rows = f"set `heldout` lower ({measuring.heldout} now)"
    if isinstance(section.reference, Path):
        fewer_rows += f" and make {section.reference} anew with it"
    too_dear = measuring.cost > OVER_BUDGET * section.measure_budget
    too_rare = section.requirements.updates and measuring.updates < FEW_UPDATES
    if too_dear and too_rare:
        return [f"{dear}, and yet {rare}: {fewer_rows}, raise `measure_budget`, or train longer"]
    if too_dear and measuring.updates:
        return [f"{dear}: {fewer_rows}, set `update_steps` higher, or raise `measure_budget`"]
    if too_dear:
        return [f"{dear}: {fewer_rows}, raise `measure_budget`, or train longer"]
    if too_rare and "update_steps" in measuring.chosen:
        return [f"{rare}: raise `measure_budget`, {fewer_rows}, or train longer"]
    if too_rare:
        return [f"{rare}: set `update_steps` lower ({measuring.update_steps} now), or train longer"]
    return []


def _used_up(prepared: PreparedRun, expected: ExpectedRows) -> list[str]:
    """Warnings of a run that ``max_passes`` ends early."""
    section, plan, table = prepared.section, prepared.plan, prepared.table
    if section.max_passes is None:
        return []
    how = f"max_passes ({section.max_passes:g}) ends the run"
    then = f"(`on_exhausted: {section.on_exhausted}`)"
    if expected.steps is not None:
        return [f"{how} after {counted(expected.steps, 'step')} of {plan.total_steps:,} {then}"]
    if plan.staged or expected.exact:
        return []
    under = "" if expected.known else " at the starting weights"
    return [
        f"domain {domain.name!r} is due {passes:.1f} passes{under}, so {how} early {then}"
        for domain, passes in zip(table.domains, expected.rows / table.training_sizes, strict=True)
        if passes > section.max_passes
    ]


def _crowded_out(prepared: PreparedRun, weights: Vector) -> list[str]:
    """A warning of domains that get far less of a batch than their share of tokens suggests."""
    plan, table = prepared.plan, prepared.table
    if prepared.section.unit != "tokens" or plan.staged:
        return []
    room = np.ones(len(weights)) if plan.bin_tokens is None else table.mean_lengths()
    taken = weights / table.mean_supervised() * room
    taken = taken / taken.sum()
    most = int(np.argmax(taken / np.maximum(weights, 1e-12)))
    small = [index for index in range(len(weights)) if 0 < taken[index] < LEAST_ROOM * weights[index]]
    if not small:
        return []
    names = ", ".join(repr(table.names[index]) for index in small)
    return [
        f"a row of {table.names[most]!r} has {table.mean_supervised()[most]:.1f} tokens to learn on average, so its "
        f"share of {weights[most]:.1%} of the tokens takes {taken[most]:.1%} of every batch, and hardly any row of "
        f"{names} is drawn: give it a smaller weight, or use `unit: samples`"
    ]
