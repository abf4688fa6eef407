"""Tables that show, before anything is spent, what a run will do."""

from __future__ import annotations

from itertools import chain, islice
from pathlib import Path
from typing import Any

from rich.table import Table

from versatune_plugin.console.run_warnings import plan_warnings
from versatune_plugin.console.tables import add_row, new_console, new_table, say
from versatune_plugin.data.domains import Domain, DomainTable
from versatune_plugin.host.configuration import load_run_config
from versatune_plugin.host.quiet import quiet_host
from versatune_plugin.host.raw_rows import rows_in_files
from versatune_plugin.mixtures.controller import MixtureController
from versatune_plugin.mixtures.registry import known_mixtures
from versatune_plugin.schema.wording import counted, times
from versatune_plugin.training.checkpoint import saving_warnings
from versatune_plugin.training.expected_rows import ExpectedRows, expected_rows
from versatune_plugin.training.prepare import prepare_run
from versatune_plugin.training.run import PreparedRun
from versatune_plugin.training.run_plan import RunPlan, make_controller

LOST = "lost while prepared (longer than sequence_len, or no prompt could be made of them)"


def show_run(cfg: Any, prepared: PreparedRun) -> None:
    """Print what a run will do: domains, stages, updates and what measuring costs.

    Args:
        cfg: Axolotl's configuration.
        prepared: the run.
    """
    section, plan, table = prepared.section, prepared.plan, prepared.table
    controller = make_controller(section, plan, table, prepared.prior, prepared.reference_loss)
    expected = expected_rows(prepared)
    lost = _lost(cfg, prepared)
    console = new_console()
    say(console, f"VersaTune is active: mixture {section.mixture!r}, {counted(len(table.domains), 'domain')}")
    console.print(_rows(table, lost))
    if plan.staged:
        console.print(_stages(plan, table))
    console.print(_drawn(prepared, controller, expected))
    measuring = plan.measuring
    chosen = f" (chosen for measure_budget {section.measure_budget:.1%}: {', '.join(measuring.chosen)})"
    for line in (
        f"{section.mixture}: {known_mixtures()[section.mixture].summary}",
        f"{counted(plan.total_steps, 'optimizer step')} of {_batch(plan)}, {plan.steps_per_epoch:,} to an epoch",
        f"a global batch is {plan.split}",
        _movement(controller, plan),
        f"measuring {counted(measuring.heldout, 'held-out row')} a domain costs about {measuring.cost:.1%} of training "
        "compute" + (chosen if measuring.chosen else ""),
        *_left_out(table),
        *_by_domain(LOST, lost),
        *_cut(cfg, table),
    ):
        say(console, f"  {line}")
    for warning in [*plan_warnings(prepared, expected, controller.weights_at(0)), *saving_warnings(cfg)]:
        say(console, f"  warning: {warning}", style="yellow")


def show_plan(config_path: Path, processes: int | None, verbose: bool = False) -> None:
    """Print what a configuration would do; its rows are prepared (and cached) as for training.

    Args:
        config_path: the Axolotl YAML.
        processes: of the run, where it is not this process's own launch that is planned.
        verbose: show what Axolotl logs as well.

    Raises:
        VersaTuneError: whatever would keep the run from starting.
    """
    with quiet_host(verbose):
        cfg, section = load_run_config(config_path)
        if processes is not None:
            cfg.world_size = processes
        prepared = prepare_run(cfg, section)
    show_run(cfg, prepared)


def _lost(cfg: Any, prepared: PreparedRun) -> dict[str, int | None]:
    """Rows of each domain's files that preparing them lost; None where a format made more of them, or nobody counts."""
    found = rows_in_files(cfg, prepared.section.dataset_domains)
    lost: dict[str, int | None] = {}
    for domain in prepared.table.domains:
        out = domain.left_out
        made = domain.size + out.without_labels + out.repeats + out.other_shards + out.validation
        lost[domain.name] = found[domain.name] - made if found.get(domain.name, 0) >= made else None
    return lost


def _rows(table: DomainTable, lost: dict[str, int | None]) -> Table:
    tests = ["test"] if any(len(domain.test) for domain in table.domains) else []
    shown = new_table(
        "Where the rows go",
        ["domain", "lost while prepared", "left out", "validation", "held out", *tests, "training rows"],
    )
    for domain in table.domains:
        gone = lost[domain.name]
        add_row(
            shown,
            domain.name,
            "?" if gone is None else f"{gone:,}",
            f"{sum(_reasons(domain).values()):,}",
            f"{domain.left_out.validation:,}",
            f"{len(domain.heldout):,}",
            *(f"{len(domain.test):,}" for _ in tests),
            f"{domain.training_size:,}",
        )
    return shown


def _drawn(prepared: PreparedRun, controller: MixtureController, expected: ExpectedRows) -> Table:
    table, weights = prepared.table, controller.weights_at(0)
    # An update may move the weights anywhere.
    under = "" if expected.known else " at the starting weights"
    shown = new_table(
        "What the run draws of them", ["domain", "prior", "weight at start", f"rows drawn{under}", f"passes{under}"]
    )
    for index, domain in enumerate(table.domains):
        add_row(
            shown,
            domain.name,
            f"{prepared.prior[index]:.4f}",
            f"{weights[index]:.4f}",
            f"{expected.rows[index]:,.0f}",
            f"{expected.rows[index] / domain.training_size:.2f}",
        )
    return shown


def _reasons(domain: Domain) -> dict[str, int]:
    """How many rows of its files a domain neither trains nor measures on, and why."""
    out = domain.left_out
    return {
        "repeat a held-out, test or validation row of some domain word for word": len(domain.duplicates),
        "have no token to learn": out.without_labels,
        "repeat another row (dataset_exact_deduplication)": out.repeats,
        "are of other shards (dataset_shard_num)": out.other_shards,
    }


def _left_out(table: DomainTable) -> list[str]:
    lines = []
    for reason in _reasons(table.domains[0]):
        counts = {domain.name: _reasons(domain)[reason] for domain in table.domains}
        lines += _by_domain(f"left out: rows that {reason}", counts)
    return lines or ["left out: nothing"]


def _cut(cfg: Any, table: DomainTable) -> list[str]:
    if cfg.excess_length_strategy != "truncate":
        return []
    counts = {
        domain.name: int((table.lengths[domain.first : domain.first + domain.size] >= cfg.sequence_len).sum())
        for domain in table.domains
    }
    return _by_domain(f"cut to sequence_len ({cfg.sequence_len} tokens), or just as long", counts)


def _by_domain(what: str, counts: dict[str, Any]) -> list[str]:
    """A line of those domains that have some; none where no domain has."""
    shown = ", ".join(f"{count:,} of {name}" for name, count in counts.items() if count)
    return [f"{what}: {shown}"] if shown else []


def _stages(plan: RunPlan, table: DomainTable) -> Table:
    shown = new_table("Stages, and the rows that they draw from", ["domain", "rows", "stage", "optimizer steps"])
    shown.add_column("mixture", overflow="fold")
    for number, stage in enumerate(plan.stages, start=1):
        steps = f"{stage.first_step:,} to {stage.first_step + stage.steps - 1:,}"
        for name, rows in zip(table.names, stage.rows.tolist(), strict=True):
            if rows:
                add_row(shown, name, f"{rows:,}", str(number), steps, stage.mixture.name)
        shown.add_section()
    return shown


def _batch(plan: RunPlan) -> str:
    if plan.bin_tokens is None:
        return counted(plan.batch_size, "row")
    return f"{counted(plan.batch_size, 'bin')} of {plan.bin_tokens:,} tokens"


def _movement(controller: MixtureController, plan: RunPlan) -> str:
    measuring = plan.measuring
    if controller.requirements.updates and measuring.update_steps:
        moments = [steps for steps in controller.update_moments if steps]
        count = sum(map(len, moments))
        if not count:
            return f"the weights would move every {counted(measuring.update_steps, 'step')}, which is never in this run"
        shown = [f"{step:,}" for step in islice(chain(*moments), 4 if count <= 4 else 2)]
        if count > 4:
            shown += ["...", f"{moments[-1][-1]:,}"]
        after = "step" if count == 1 else "steps"
        return (
            f"the weights move every {counted(measuring.update_steps, 'step')}, {times(count)}: after {after} "
            f"{', '.join(shown)}"
        )
    if plan.staged:
        return "the weights change from stage to stage"
    return "the weights follow their schedule" if controller.requirements.moves else "the weights stay as they are"
