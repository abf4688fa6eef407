"""Tables that show, before anything is spent, what a run will do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from versatune_plugin.console.tables import new_table
from versatune_plugin.data.domains import Domain, DomainTable
from versatune_plugin.host.configuration import load_run_config
from versatune_plugin.mixtures.controller import MixtureController
from versatune_plugin.mixtures.registry import known_mixtures
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.training.checkpoint import saving_warnings
from versatune_plugin.training.prepare import prepare_run
from versatune_plugin.training.run import PreparedRun
from versatune_plugin.training.run_plan import RunPlan, make_controller, planned_weights

WIDTH = 140
# A domain whose part of a batch is under this part of its weight is as good as absent.
LEAST_ROOM = 0.1


def planned_passes(prepared: PreparedRun, weights: Vector) -> Vector:
    """Passes over each domain in one epoch under ``weights``, shape (k,)."""
    plan, table = prepared.plan, prepared.table
    shares = weights / table.mean_supervised() if prepared.section.unit == "tokens" else weights
    return np.asarray(plan.samples_per_epoch(shares / shares.sum()) / table.training_sizes)


def show_run(cfg: Any, prepared: PreparedRun) -> None:
    """Print what a run will do: domains, stages, updates and what measuring costs.

    Args:
        cfg: Axolotl's configuration.
        prepared: the run.
    """
    section, plan, table, prior = prepared.section, prepared.plan, prepared.table, prepared.prior
    controller = make_controller(section, plan, table, prior, prepared.reference_loss)
    weights = controller.weights_at(0)
    # A domain's name may look like markup.
    console = Console(width=WIDTH, highlight=False, markup=False)
    passes = planned_passes(prepared, planned_weights(controller, plan))
    console.print(_domains(prepared, weights, passes))
    if plan.staged:
        console.print(_stages(plan, table))
    measuring = plan.measuring
    chosen = f" (chosen for measure_budget {section.measure_budget:.1%}: {', '.join(measuring.chosen)})"
    for line in (
        f"{section.mixture}: {known_mixtures()[section.mixture].summary}",
        f"{plan.total_steps:,} optimizer steps of {_batch(plan)}, {plan.steps_per_epoch:,} to an epoch",
        f"a global batch is {plan.split}",
        _movement(controller, plan),
        f"measuring {measuring.heldout} held-out rows a domain costs about {measuring.cost:.1%} of training compute"
        + (chosen if measuring.chosen else ""),
        *_left_out(table),
    ):
        console.print(f"  {line}")
    for warning in [*plan_warnings(prepared, passes, weights), *saving_warnings(cfg)]:
        console.print(f"  warning: {warning}", style="yellow")


def show_plan(config_path: Path, processes: int | None) -> None:
    """Print what a configuration would do; its rows are prepared (and cached) as for training.

    Args:
        config_path: the Axolotl YAML.
        processes: of the run, where it is not this process's own launch that is planned.

    Raises:
        VersaTuneError: whatever would keep the run from starting.
    """
    cfg, section = load_run_config(config_path)
    if processes is not None:
        cfg.world_size = processes
    show_run(cfg, prepare_run(cfg, section))


def plan_warnings(prepared: PreparedRun, passes: Vector, weights: Vector) -> list[str]:
    """What a user should think about before this run is started, one sentence each."""
    section, plan = prepared.section, prepared.plan
    measuring = plan.measuring
    warnings = []
    if measuring.cost > 1.25 * section.measure_budget:
        warnings.append(
            f"measuring takes {measuring.cost:.1%}, more than measure_budget ({section.measure_budget:.1%}): "
            "set `heldout` lower or `update_steps` higher"
        )
    if section.requirements.updates and measuring.updates < 2:
        warnings.append(
            f"the weights move {measuring.updates} time(s) in {plan.total_steps} steps: set `update_steps` lower, or "
            "raise `measure_budget`"
        )
    warnings += _crowded_out(prepared, weights)
    epochs = plan.total_steps / plan.steps_per_epoch
    for domain, each in zip(prepared.table.domains, passes, strict=True):
        if not plan.staged and section.max_passes is not None and each * epochs > section.max_passes:
            warnings.append(
                f"domain {domain.name!r} is due {each * epochs:.1f} passes, more than max_passes "
                f"({section.max_passes:g}): the run will end early (`on_exhausted: {section.on_exhausted}`)"
            )
    return warnings


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


def _domains(prepared: PreparedRun, weights: Vector, passes: Vector) -> Table:
    plan, table, prior = prepared.plan, prepared.table, prepared.prior
    shown = new_table(
        f"VersaTune is active: mixture {prepared.section.mixture!r}, {len(table.domains)} domains",
        ["domain", "training rows", "held out", "validation", "left out", "prior", "weight at start"],
    )
    if not plan.staged:
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
        if not plan.staged:
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
            shown = ", ".join(f"{count:,} of {name}" for name, count in counts.items() if count)
            lines.append(f"left out: rows that {reason}: {shown}")
    return lines or ["left out: nothing"]


def _stages(plan: RunPlan, table: DomainTable) -> Table:
    shown = new_table(
        "Stages, and the rows of each domain that they draw from", ["stage", "mixture", "optimizer steps"]
    )
    for name in table.names:
        shown.add_column(name, justify="right")
    for number, stage in enumerate(plan.stages, start=1):
        steps = f"{stage.first_step:,} to {stage.first_step + stage.steps - 1:,}"
        rows = [f"{rows:,}" if rows else "-" for rows in stage.rows]
        shown.add_row(str(number), stage.mixture.name, steps, *rows)
    return shown


def _batch(plan: RunPlan) -> str:
    if plan.bin_tokens is None:
        return f"{plan.batch_size:,} rows"
    return f"{plan.batch_size:,} bins of {plan.bin_tokens:,} tokens"


def _movement(controller: MixtureController, plan: RunPlan) -> str:
    measuring = plan.measuring
    if controller.requirements.updates and measuring.update_steps:
        due = [step for step in np.arange(1, plan.total_steps).tolist() if controller.update_due(step)]
        shown = [f"{step:,}" for step in (due if len(due) <= 4 else [*due[:2], due[-1]])]
        if len(due) > 4:
            shown.insert(2, "...")
        return (
            f"the weights move every {measuring.update_steps} steps, {len(due)} times: after steps {', '.join(shown)}"
        )
    if plan.staged:
        return "the weights change from stage to stage"
    return "the weights follow their schedule" if controller.requirements.moves else "the weights stay as they are"
