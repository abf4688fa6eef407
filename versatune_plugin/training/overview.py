"""The tables that tell a user, before anything is spent, what a run will do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from versatune_plugin.data.domains import Domain, DomainTable
from versatune_plugin.host.configuration import Section
from versatune_plugin.mixtures.registry import POLICIES
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.training.run_plan import Outline

WIDTH = 140
# A domain whose part of a batch is under this part of its weight is as good as absent.
LEAST_ROOM = 0.1


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
    planned: Vector,
    also: Sequence[str] = (),
) -> None:
    """Print what the run will do: domains, stages, updates and what measuring costs.

    Args:
        section: the section ``versatune:``.
        outline: of the run.
        table: the domains.
        prior: shape (k,).
        weights: shape (k,), of the first batch.
        planned: shape (k,), on average over the first epoch, as far as they are known.
        also: warnings beside those of the outline.
    """
    # A domain's name may look like markup.
    console = Console(width=WIDTH, highlight=False, markup=False)
    passes = planned_passes(section, outline, table, planned)
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
        *_left_out(table),
    ):
        console.print(f"  {line}")
    for warning in [*outline_warnings(section, outline, passes, table, weights), *also]:
        console.print(f"  warning: {warning}", style="yellow")


def outline_warnings(
    section: Section, outline: Outline, passes: Vector, table: DomainTable, weights: Vector
) -> list[str]:
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
    warnings += _crowded_out(section, outline, table, weights)
    epochs = outline.total_steps / outline.steps_per_epoch
    for domain, each in zip(table.domains, passes, strict=True):
        if not outline.stages and section.max_passes is not None and each * epochs > section.max_passes:
            warnings.append(
                f"domain {domain.name!r} is due {each * epochs:.1f} passes, more than max_passes "
                f"({section.max_passes:g}): the run will end early (`on_exhausted: {section.on_exhausted}`)"
            )
    return warnings


def _crowded_out(section: Section, outline: Outline, table: DomainTable, weights: Vector) -> list[str]:
    """A warning of domains that get far less of a batch than their share of tokens suggests."""
    if section.unit != "tokens" or outline.stages:
        return []
    room = np.ones(len(weights)) if outline.bin_tokens is None else table.mean_lengths()
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


def _domains(
    section: Section, outline: Outline, table: DomainTable, prior: Vector, weights: Vector, passes: Vector
) -> Table:
    shown = _table(
        f"VersaTune is active: mixture {section.mixture!r}, {len(table.domains)} domains",
        ["domain", "training rows", "held out", "validation", "left out", "prior", "weight at start"],
    )
    if not outline.stages:
        shown.add_column("samples per epoch", justify="right")
        shown.add_column("passes per epoch", justify="right")
    for index, domain in enumerate(table.domains):
        cells = [
            domain.name,
            f"{domain.training_size:,}",
            f"{len(domain.heldout):,}",
            f"{domain.left_out.validation:,}",
            f"{sum(_reasons(domain).values()):,}",
            f"{prior[index]:.4f}",
            f"{weights[index]:.4f}",
        ]
        if not outline.stages:
            cells += [f"{passes[index] * domain.training_size:,.0f}", f"{passes[index]:.2f}"]
        shown.add_row(*cells)
    return shown


def _reasons(domain: Domain) -> dict[str, int]:
    """How many rows of its files a domain neither trains nor measures on, and why."""
    out = domain.left_out
    return {
        "repeat a held-out or validation row of some domain word for word": len(domain.duplicates),
        "have no token to learn": out.without_labels,
        "repeat another row (dataset_exact_deduplication)": out.repeats,
        "are of other shards (dataset_shard_num)": out.other_shards,
    }


def _left_out(table: DomainTable) -> list[str]:
    lines = []
    for reason in _reasons(table.domains[0]):
        counts = {domain.name: _reasons(domain)[reason] for domain in table.domains}
        if any(counts.values()):
            told = ", ".join(f"{count:,} of {name}" for name, count in counts.items() if count)
            lines.append(f"left out: rows that {reason}: {told}")
    return lines or ["left out: nothing"]


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
