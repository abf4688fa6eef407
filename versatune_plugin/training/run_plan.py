"""What a run will do, settled before its first step: rows, stages, steps, updates and their cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from versatune_plugin.artifacts.reference import heldout_of
from versatune_plugin.data.domains import DomainTable
from versatune_plugin.data.loading import DEFAULT_SEED, load_rows
from versatune_plugin.host.configuration import Section
from versatune_plugin.mixtures.base import Policy, Start
from versatune_plugin.mixtures.budget import Measuring, measuring
from versatune_plugin.mixtures.registry import POLICIES
from versatune_plugin.mixtures.stages import SettledStage, settle, whole_batches
from versatune_plugin.mixtures.weights import Vector, admissible, normalised
from versatune_plugin.sampling.batch_plan import Pool
from versatune_plugin.sampling.bins import usual_fill


@dataclass(frozen=True)
class Split:
    """How a global batch is shared out. Any split of the same rows gives the same global batches.

    Attributes:
        micro_batch_size: rows of a micro-batch.
        accumulation: micro-batches of a process in an optimizer step.
        processes: how many train together.
    """

    micro_batch_size: int
    accumulation: int
    processes: int

    @property
    def rows(self) -> int:
        """Rows of a global batch."""
        return self.micro_batch_size * self.accumulation * self.processes

    def __str__(self) -> str:
        return (
            f"micro_batch_size {self.micro_batch_size} x gradient_accumulation_steps {self.accumulation} "
            f"x {self.processes} {'process' if self.processes == 1 else 'processes'}"
        )


@dataclass(frozen=True)
class Outline:
    """The settled facts of a run.

    Attributes:
        split: how many rows (bins, under packing) of a global batch each process takes at a time.
        rows_per_batch: shape (k,), about how many rows of each domain alone would make a global batch.
        steps_per_epoch: optimizer steps of an epoch.
        total_steps: optimizer steps of the run.
        measuring: held-out rows, update interval and their cost.
        seed: the user's seed.
        stages: of a staged run, in order; else empty.
        bin_tokens: what a bin holds; None without packing.
    """

    split: Split
    rows_per_batch: Vector
    steps_per_epoch: int
    total_steps: int
    measuring: Measuring
    seed: int
    stages: tuple[SettledStage, ...] = ()
    bin_tokens: int | None = None

    @property
    def batch_size(self) -> int:
        """Rows (bins, under packing) of a global batch."""
        return self.split.rows

    def update_due(self, step: int) -> bool:
        """Whether the weights are updated once ``step`` optimizer steps are done: counted from the stage's first."""
        interval = self.measuring.update_steps
        if not interval or step >= self.total_steps:
            return False
        since = step - max((stage.first_step for stage in self.stages if stage.first_step <= step), default=0)
        return since > 0 and since % interval == 0

    def pools(self, section: Section, table: DomainTable) -> list[Pool]:
        """What the batches are drawn from, stage by stage."""
        if self.stages:
            return [
                Pool(settled.first_step, settled.rows, settled.stage.policy.draws_single(settled.stage.policy_options))
                for settled in self.stages
            ]
        single = POLICIES[section.mixture].draws_single(section.policy_options)
        return [Pool(0, table.training_sizes, single)]

    def samples_per_epoch(self, shares: Vector) -> Vector:
        """About how many rows of each domain an epoch draws, shape (k,), where rows are drawn in these shares."""
        return np.asarray(shares * self.steps_per_epoch / (shares / self.rows_per_batch).sum())


def outline_run(cfg: Any, section: Section, given: DomainTable | None = None) -> tuple[Outline, DomainTable]:
    """Load the rows, settle the steps and hold rows out.

    Args:
        cfg: Axolotl's validated and normalised configuration.
        section: the section ``versatune:``.
        given: rows that were loaded before, of which as many as ``section.heldout`` are held out already.

    Raises:
        VersaTuneError: a domain has too few rows.
    """
    rows = load_rows(cfg, section.dataset_domains) if given is None else given
    split = Split(cfg.micro_batch_size, cfg.gradient_accumulation_steps, cfg.world_size)
    seed = cfg.seed if cfg.seed is not None else DEFAULT_SEED
    wanted = section.heldout
    if wanted is None and isinstance(section.reference, Path) and section.reference.is_file():
        # Losses compare on the same rows only, so the file's number of rows is the natural default.
        wanted = heldout_of(section.reference)
    per_batch = _rows_per_batch(cfg, rows, split.rows, seed)
    held = wanted
    for _ in range(2):
        # Twice, since the length of the run is what the held-out rows leave.
        sizes = [max(domain.size - (held or 0), 1) for domain in rows.domains]
        guess = _measuring(section, _length(cfg, section, rows.names, sizes, per_batch), wanted)
        held = guess.heldout
    table = rows.hold_out(guess.heldout, seed) if given is None else given
    length = _length(cfg, section, table.names, table.training_sizes.tolist(), per_batch)
    settled = _measuring(section, length, guess.heldout)
    settled = replace(settled, chosen=tuple(sorted({*guess.chosen, *settled.chosen})))
    outline = Outline(
        split,
        per_batch,
        length.steps_per_epoch,
        length.total_steps,
        settled,
        seed,
        length.stages,
        cfg.sequence_len if cfg.sample_packing else None,
    )
    return outline, table


def _rows_per_batch(cfg: Any, table: DomainTable, batch_size: int, seed: int) -> Vector:
    """About how many rows of each domain alone would make a global batch, shape (k,)."""
    if not cfg.sample_packing:
        return np.full(len(table.domains), float(batch_size))
    fill = usual_fill(table.row_tokens(), batch_size, cfg.sequence_len, seed)
    return np.asarray(batch_size * cfg.sequence_len * fill / table.mean_lengths())


@dataclass(frozen=True)
class _Length:
    steps_per_epoch: int
    total_steps: int
    stages: tuple[SettledStage, ...]
    mean_rows_per_batch: float


def _length(cfg: Any, section: Section, domains: Sequence[str], sizes: Sequence[int], per_batch: Vector) -> _Length:
    # One pass over everything; each row takes its part of a batch.
    batches = float((np.array(sizes) / per_batch).sum())
    mean = sum(sizes) / batches
    stages = settle(section.staged, domains, sizes, per_batch)
    if stages:
        # To the trainer, all stages together are one epoch.
        total_steps = stages[-1].first_step + stages[-1].steps
        return _Length(total_steps, total_steps, stages, mean)
    samples = section.samples_per_epoch
    steps_per_epoch = whole_batches(samples / mean if samples else batches)
    # As Transformers reads them: a number of steps that is not positive means no limit.
    limited = cfg.max_steps is not None and cfg.max_steps > 0
    total_steps = cfg.max_steps if limited else math.ceil(cfg.num_epochs * steps_per_epoch)
    return _Length(steps_per_epoch, total_steps, (), mean)


def _measuring(section: Section, length: _Length, heldout: int | None) -> Measuring:
    traits = section.traits
    interval = section.update_steps
    if section.updates_per_epoch is not None:
        interval = max(length.steps_per_epoch // section.updates_per_epoch, 1)
    if interval is None:
        interval = traits.update_steps
    # Updates made of training losses cost nothing, and are no occasion to measure.
    free = traits.updates and not traits.measures
    settled = measuring(
        domains=len(section.domains),
        batch_size=length.mean_rows_per_batch,
        total_steps=length.total_steps,
        budget=section.measure_budget,
        heldout=heldout,
        update_steps=None if free else interval,
        measures=traits.measures,
        turns=max(len(length.stages) - 1, 0),
    )
    if free and interval:
        settled = replace(settled, update_steps=interval, updates=(length.total_steps - 1) // interval)
    return settled


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
    from versatune_plugin.artifacts.knowledge import read_knowledge

    return normalised(read_knowledge(section.knowledge, table.names), table.names, str(section.knowledge))


def make_policy(section: Section, outline: Outline, table: DomainTable, prior: Vector) -> Policy:
    """The policy that the section names, ready for its first step."""
    start = Start(
        table.names,
        prior,
        table.training_sizes.astype(np.float64),
        section.floor,
        section.cap,
        outline.rows_per_batch,
        outline.seed,
    )
    return POLICIES[section.mixture](section.policy_options, start)


def planned_weights(section: Section, outline: Outline, table: DomainTable, prior: Vector) -> Vector:
    """The mean weights of the first epoch, shape (k,), as far as they are known beforehand.

    They are where nothing is measured; otherwise those of the start stand for all.
    """
    policy = make_policy(section, outline, table, prior)
    weights = within_bounds(section, policy, policy.initial_weights())
    if section.traits.updates or outline.stages or not section.traits.moves:
        return weights
    steps = min(outline.steps_per_epoch, outline.total_steps)
    total = np.zeros(len(weights))
    for step in range(steps):
        turned = policy.turn(step)
        weights = weights if turned is None else within_bounds(section, policy, turned)
        total += weights
    return total / steps


def within_bounds(section: Section, policy: Policy, weights: Vector) -> Vector:
    """What a policy proposed, shape (k,), as a mixture: within floor and cap, unless it means its weights exactly."""
    return weights / weights.sum() if policy.exact else admissible(weights, section.floor, section.cap)
