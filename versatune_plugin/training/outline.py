"""What a run will do, settled before its first step: rows, shares, steps, updates and their cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from axolotl.loaders import load_tokenizer
from rich.console import Console
from rich.table import Table

from versatune_plugin.config import Section
from versatune_plugin.domains import DomainTable, load_rows
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.mixture.budget import Measuring, measuring
from versatune_plugin.mixture.contract import Policy, Start
from versatune_plugin.mixture.registry import POLICIES
from versatune_plugin.mixture.weights import Vector, admissible, normalised
from versatune_plugin.reference.file import heldout_of, hold_out_texts

DEFAULT_SEED = 42


@dataclass(frozen=True)
class Outline:
    """The settled facts of a run.

    Attributes:
        batch_size: rows of a global batch: micro-batch x accumulation x processes.
        steps_per_epoch: optimizer steps of an epoch.
        total_steps: optimizer steps of the run.
        measuring: held-out rows, update interval and their cost.
        seed: the user's seed.
    """

    batch_size: int
    steps_per_epoch: int
    total_steps: int
    measuring: Measuring
    seed: int

    @property
    def samples_per_epoch(self) -> int:
        """Rows an epoch draws; always whole global batches."""
        return self.steps_per_epoch * self.batch_size


def outline_run(cfg: Any, section: Section) -> tuple[Outline, DomainTable]:
    """Load the rows, settle the steps and hold rows out.

    Args:
        cfg: Axolotl's validated and normalised configuration.
        section: the section ``versatune:``.

    Raises:
        VersaTuneError: a domain has too few rows.
    """
    rows = load_rows(cfg, section.dataset_domains)
    batch_size = cfg.micro_batch_size * cfg.gradient_accumulation_steps * cfg.world_size
    seed = cfg.seed if cfg.seed is not None else DEFAULT_SEED
    wanted = section.heldout
    if wanted is None and isinstance(section.reference, Path) and section.reference.is_file():
        # Losses compare on the same rows only, so the file's number of rows is the natural default.
        wanted = heldout_of(section.reference)
    held = wanted
    for _ in range(2):
        # Twice, since an epoch's default length is what the held-out rows leave.
        drawn = section.samples_per_epoch or max(len(rows.dataset) - (held or 0) * len(rows.domains), 1)
        steps_per_epoch = math.ceil(drawn / batch_size)
        total_steps = cfg.max_steps or math.ceil(cfg.num_epochs * steps_per_epoch)
        update_steps = section.update_steps
        if section.updates_per_epoch is not None:
            update_steps = max(steps_per_epoch // section.updates_per_epoch, 1)
        settled = measuring(
            domains=len(rows.domains),
            batch_size=batch_size,
            total_steps=total_steps,
            budget=section.measure_budget,
            heldout=wanted,
            update_steps=update_steps,
            moves=POLICIES[section.mixture].moves,
        )
        held = settled.heldout
    outline = Outline(batch_size, steps_per_epoch, total_steps, settled, seed)
    if section.heldout_file is not None:
        return outline, hold_out_texts(rows, section.heldout_file, load_tokenizer(cfg))
    return outline, rows.hold_out(settled.heldout, seed)


def read_prior(section: Section, table: DomainTable) -> Vector:
    """The prior as configured, shape (k,), in the order of the table's domains.

    Raises:
        VersaTuneError: the knowledge file is missing, damaged or of other domains.
    """
    if isinstance(section.knowledge, dict):
        return normalised(section.knowledge, table.names, "versatune.knowledge")
    if section.knowledge == "proportional":
        return table.training_sizes / table.training_sizes.sum()
    if section.knowledge is None or section.knowledge == "uniform":
        return np.full(len(table.domains), 1.0 / len(table.domains))
    from versatune_plugin.knowledge.file import read_knowledge

    return normalised(read_knowledge(section.knowledge, table.names), table.names, str(section.knowledge))


def make_policy(section: Section, table: DomainTable, prior: Vector) -> Policy:
    """The policy that the section names, ready for its first step."""
    rows = table.training_sizes.astype(np.float64)
    return POLICIES[section.mixture](section.policy_options, Start(table.names, prior, rows))


def first_weights(section: Section, policy: Policy) -> Vector:
    """The weights of the first batch, shape (k,), within floor and cap."""
    return admissible(policy.initial_weights(), section.floor, section.cap)


def planned_passes(section: Section, outline: Outline, table: DomainTable, weights: Vector) -> Vector:
    """Passes over each domain in one epoch under ``weights``, shape (k,)."""
    shares = weights / table.mean_supervised() if section.unit == "tokens" else weights
    samples = outline.samples_per_epoch * shares / shares.sum()
    return samples / table.training_sizes


def show_outline(section: Section, outline: Outline, table: DomainTable, prior: Vector, weights: Vector) -> None:
    """Print the table that tells a user, before anything is spent, what the run will do."""
    passes = planned_passes(section, outline, table, weights)
    shown = Table(
        title=f"VersaTune is active: mixture {section.mixture!r}, {len(table.domains)} domains", title_justify="left"
    )
    for column in (
        "domain",
        "training rows",
        "held out",
        "left out",
        "prior",
        "weight at start",
        "samples per epoch",
        "passes per epoch",
    ):
        shown.add_column(column, justify="left" if column == "domain" else "right")
    for index, domain in enumerate(table.domains):
        samples = passes[index] * domain.training_size
        shown.add_row(
            domain.name,
            f"{domain.training_size:,}",
            f"{len(domain.heldout):,}",
            f"{len(domain.duplicates):,}",
            f"{prior[index]:.4f}",
            f"{weights[index]:.4f}",
            f"{samples:,.0f}",
            f"{passes[index]:.2f}",
        )
    settled = outline.measuring
    lines = [
        f"{section.mixture}: {POLICIES[section.mixture].summary}",
        f"{outline.total_steps:,} optimizer steps of {outline.batch_size} rows, "
        f"{outline.steps_per_epoch:,} to an epoch",
        f"the weights move every {settled.update_steps} steps, {settled.updates} times"
        if settled.update_steps and POLICIES[section.mixture].moves
        else "the weights stay as they are",
        f"measuring {settled.heldout} held-out rows a domain costs about {settled.cost:.1%} of training compute"
        + (
            f" (chosen for measure_budget {section.measure_budget:.1%}: {', '.join(settled.chosen)})"
            if settled.chosen
            else ""
        ),
        "left out: rows that repeat a held-out row word for word",
    ]
    warnings = outline_warnings(section, outline, passes, table)
    console = Console(width=140, highlight=False)
    console.print(shown)
    for line in lines:
        console.print(f"  {line}")
    for warning in warnings:
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
    if POLICIES[section.mixture].moves and settled.updates < 2:
        warnings.append(
            f"the weights move {settled.updates} time(s) in {outline.total_steps} steps: set `update_steps` lower, or "
            "raise `measure_budget`"
        )
    epochs = outline.total_steps / outline.steps_per_epoch
    for domain, each in zip(table.domains, passes, strict=True):
        if section.max_passes is not None and each * epochs > section.max_passes:
            warnings.append(
                f"domain {domain.name!r} is due {each * epochs:.1f} passes, more than max_passes "
                f"({section.max_passes:g}): the run will end early (`on_exhausted: {section.on_exhausted}`)"
            )
    return warnings


def check_learnable(table: DomainTable) -> None:
    """Refuse a domain in which there is no token to learn.

    Raises:
        VersaTuneError: naming the domains.
    """
    silent = [name for name, mean in zip(table.names, table.mean_supervised(), strict=True) if mean == 0]
    if silent:
        raise VersaTuneError.collected(
            "there is nothing to learn",
            [
                f"domain {name!r}: no row has a token that the loss is taken over; look at its `type:`"
                for name in silent
            ],
        )
