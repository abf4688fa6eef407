"""The tables that tell a user, before anything is spent, what a run will do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from versatune_plugin.config import Section
from versatune_plugin.domains import DomainTable
from versatune_plugin.mixture.registry import POLICIES
from versatune_plugin.mixture.weights import Vector
from versatune_plugin.training.outline import Outline

WIDTH = 140


def planned_passes(section: Section, outline: Outline, table: DomainTable, weights: Vector) -> Vector:
    """Passes over each domain in one epoch under ``weights``, shape (k,)."""
    shares = weights / table.mean_supervised() if section.unit == "tokens" else weights
    return np.asarray(outline.samples_per_epoch(shares / shares.sum()) / table.training_sizes)


def show_outline(
    section: Section,
    outline: Outline,
    table: DomainTable,
    prior: Vector,
    weights: Vector,
    also: Sequence[str] = (),
) -> None:
    """Print what the run will do: domains, stages, updates and what measuring costs.

    Args:
        section: the section ``versatune:``.
        outline: of the run.
        table: the domains.
        prior: shape (k,).
        weights: shape (k,), of the first batch.
        also: warnings beside those of the outline.
    """
    console = Console(width=WIDTH, highlight=False)
    passes = planned_passes(section, outline, table, weights)
    console.print(_domains(section, outline, table, prior, weights, passes))
    if outline.stages:
        console.print(_stages(outline, table))
    settled = outline.measuring
    chosen = f" (chosen for measure_budget {section.measure_budget:.1%}: {', '.join(settled.chosen)})"
    for line in (
        f"{section.mixture}: {POLICIES[section.mixture].summary}",
        f"{outline.total_steps:,} optimizer steps of {_batch(outline)}, {outline.steps_per_epoch:,} to an epoch",
        f"a global batch is {outline.split}",
        _movement(section, outline),
        f"measuring {settled.heldout} held-out rows a domain costs about {settled.cost:.1%} of training compute"
        + (chosen if settled.chosen else ""),
        "left out: rows that repeat a held-out row word for word",
    ):
        console.print(f"  {line}")
    for warning in [*outline_warnings(section, outline, passes, table), *also]:
        console.print(f"  warning: {warning}", style="yellow")


def outline_warnings(section: Section, outline: Outline, passes: Vector, table: DomainTable) -> list[str]:
    """What a user should think about before this run is started, one sentence each."""
    settled = outline.measuring
    warnings = []
    if settled.cost > 1.25 * section.measure_budget:
        warnings.append(
            f"measuring takes {settled.cost:.1%}, more than measure_budget ({section.measure_budget:.1%}): "
            "set `heldout` lower or `update_steps` higher"
        )
    if section.traits.updates and settled.updates < 2:
        warnings.append(
            f"the weights move {settled.updates} time(s) in {outline.total_steps} steps: set `update_steps` lower, or "
            "raise `measure_budget`"
        )
    epochs = outline.total_steps / outline.steps_per_epoch
    for domain, each in zip(table.domains, passes, strict=True):
        if not outline.stages and section.max_passes is not None and each * epochs > section.max_passes:
            warnings.append(
                f"domain {domain.name!r} is due {each * epochs:.1f} passes, more than max_passes "
                f"({section.max_passes:g}): the run will end early (`on_exhausted: {section.on_exhausted}`)"
            )
    return warnings


def _domains(
    section: Section, outline: Outline, table: DomainTable, prior: Vector, weights: Vector, passes: Vector
) -> Table:
    shown = _table(
        f"VersaTune is active: mixture {section.mixture!r}, {len(table.domains)} domains",
        ["domain", "training rows", "held out", "left out", "prior", "weight at start"],
    )
    if not outline.stages:
        shown.add_column("samples per epoch", justify="right")
        shown.add_column("passes per epoch", justify="right")
    for index, domain in enumerate(table.domains):
        cells = [
            domain.name,
            f"{domain.training_size:,}",
            f"{len(domain.heldout):,}",
            f"{len(domain.duplicates):,}",
            f"{prior[index]:.4f}",
            f"{weights[index]:.4f}",
        ]
        if not outline.stages:
            cells += [f"{passes[index] * domain.training_size:,.0f}", f"{passes[index]:.2f}"]
        shown.add_row(*cells)
    return shown


def _stages(outline: Outline, table: DomainTable) -> Table:
    shown = _table("Stages, and the rows of each domain that they draw from", ["stage", "mixture", "optimizer steps"])
    for name in table.names:
        shown.add_column(name, justify="right")
    for number, settled in enumerate(outline.stages, start=1):
        steps = f"{settled.first_step:,} to {settled.first_step + settled.steps - 1:,}"
        rows = [f"{rows:,}" if rows else "-" for rows in settled.rows]
        shown.add_row(str(number), settled.stage.mixture, steps, *rows)
    return shown


def _table(title: str, columns: Sequence[str]) -> Table:
    shown = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        shown.add_column(column, justify="right" if number else "left")
    return shown


def _batch(outline: Outline) -> str:
    if outline.bin_tokens is None:
        return f"{outline.batch_size:,} rows"
    return f"{outline.batch_size:,} bins of {outline.bin_tokens:,} tokens"


def _movement(section: Section, outline: Outline) -> str:
    settled = outline.measuring
    if section.traits.updates and settled.update_steps:
        due = [step for step in np.arange(1, outline.total_steps).tolist() if outline.update_due(step)]
        shown = [f"{step:,}" for step in (due if len(due) <= 4 else [*due[:2], due[-1]])]
        if len(due) > 4:
            shown.insert(2, "...")
        return f"the weights move every {settled.update_steps} steps, {len(due)} times: after steps {', '.join(shown)}"
    if outline.stages:
        return "the weights change from stage to stage"
    return "the weights follow their schedule" if section.traits.moves else "the weights stay as they are"
