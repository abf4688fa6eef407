"""What a run will do, known before its first step: rows, stages, steps, updates and their cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from versatune_plugin.artifacts.reference import read_reference
from versatune_plugin.data.domains import DomainTable
from versatune_plugin.data.loading import load_rows
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.host.section import Section
from versatune_plugin.mixtures.base import MixtureContext
from versatune_plugin.mixtures.bounds import Bounds
from versatune_plugin.mixtures.budget import Measuring, measuring
from versatune_plugin.mixtures.controller import MixtureController
from versatune_plugin.mixtures.registry import plain_mixtures
from versatune_plugin.mixtures.stages import PlannedStage, plan_stages, whole_batches
from versatune_plugin.mixtures.weights import Vector, normalised
from versatune_plugin.sampling.bins import usual_fill
from versatune_plugin.schema.model import MOST_STEPS

DEFAULT_SEED = 42


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
class RunPlan:
    """The facts of a run.

    Attributes:
        split: how many rows (bins, under packing) of a global batch each process takes at a time.
        rows_per_batch: shape (k,), about how many rows of each domain alone would make a global batch.
        steps_per_epoch: optimizer steps of an epoch.
        total_steps: optimizer steps of the run.
        measuring: held-out rows, update interval and their cost.
        seed: the user's seed.
        split_seed: of the choice of held-out, test and validation rows.
        stages: in order; a run without stages is one.
        bin_tokens: what a bin holds; None without packing.
    """

    split: Split
    rows_per_batch: Vector
    steps_per_epoch: int
    total_steps: int
    measuring: Measuring
    seed: int
    split_seed: int
    stages: tuple[PlannedStage, ...]
    bin_tokens: int | None = None

    @property
    def batch_size(self) -> int:
        """Rows (bins, under packing) of a global batch."""
        return self.split.rows

    @property
    def staged(self) -> bool:
        """Whether its stages were configured."""
        return self.stages[0].configured is not None


def split_seed(cfg: Any, section: Section) -> int:
    """What decides which rows are held out: ``versatune.split_seed``, or else the seed of the run."""
    return section.split_seed if section.split_seed is not None else run_seed(cfg)


def run_seed(cfg: Any) -> int:
    """The configuration's seed."""
    return int(cfg.seed) if cfg.seed is not None else DEFAULT_SEED


def plan_run(cfg: Any, section: Section, given: DomainTable | None = None) -> tuple[RunPlan, DomainTable]:
    """Load the rows, count the steps and hold rows out.

    Args:
        cfg: Axolotl's validated and normalised configuration.
        section: the section ``versatune:``.
        given: rows that were loaded before, of which as many as ``section.heldout`` are held out already.

    Raises:
        VersaTuneError: a domain has too few rows.
    """
    seed, of_split = run_seed(cfg), split_seed(cfg, section)
    rows = load_rows(cfg, section.dataset_domains, of_split) if given is None else given
    split = Split(cfg.micro_batch_size, cfg.gradient_accumulation_steps, cfg.world_size)
    wanted = section.heldout
    if wanted is None and isinstance(section.reference, Path):
        # Losses compare on the same rows only, so the file's number of rows is the natural default.
        wanted = read_reference(section.reference).heldout
    per_batch = _rows_per_batch(cfg, rows, split.rows, seed)
    held = wanted
    for _ in range(2):
        # Twice, since the length of the run is what the held-out rows leave.
        sizes = [max(domain.size - (held or 0) - section.test_rows, 1) for domain in rows.domains]
        guess = _measuring(section, _length(cfg, section, rows.names, sizes, per_batch), wanted)
        held = guess.heldout
    table = rows.hold_out(guess.heldout, of_split, section.test_rows) if given is None else given
    length = _length(cfg, section, table.names, table.training_sizes.tolist(), per_batch)
    if length.total_steps > MOST_STEPS:
        raise ConfigurationError(
            f"the run would take {length.total_steps:,} optimizer steps, and more than {MOST_STEPS:,} are never "
            "trained: look at `max_steps`, `num_epochs`, `versatune.samples_per_epoch` and the lengths of stages"
        )
    measured = _measuring(section, length, guess.heldout)
    measured = replace(measured, chosen=tuple(sorted({*guess.chosen, *measured.chosen})))
    stages = length.stages
    if not stages:
        mixture = plain_mixtures()[section.mixture]
        stages = (PlannedStage(mixture, section.mixture_options, 0, length.total_steps, table.training_sizes),)
    bin_tokens = cfg.sequence_len if cfg.sample_packing else None
    steps = (length.steps_per_epoch, length.total_steps)
    return RunPlan(split, per_batch, *steps, measured, seed, of_split, stages, bin_tokens), table


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
    stages: tuple[PlannedStage, ...]
    mean_rows_per_batch: float


def _length(cfg: Any, section: Section, domains: Sequence[str], sizes: Sequence[int], per_batch: Vector) -> _Length:
    # One pass over everything; each row takes its part of a batch.
    batches = float((np.array(sizes) / per_batch).sum())
    mean = sum(sizes) / batches
    stages = plan_stages(section.staged, domains, sizes, per_batch)
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
    asked = section.requirements
    interval = section.update_steps
    if section.updates_per_epoch is not None:
        interval = max(length.steps_per_epoch // section.updates_per_epoch, 1)
    if interval is None:
        interval = asked.update_steps
    # Updates made of training losses cost nothing, and are no occasion to measure.
    free = asked.updates and not asked.measures
    measured = measuring(
        domains=len(section.domains),
        batch_size=length.mean_rows_per_batch,
        total_steps=length.total_steps,
        budget=section.measure_budget,
        heldout=heldout,
        update_steps=None if free else interval,
        measures=asked.measures,
        between_stages=max(len(length.stages) - 1, 0),
    )
    if free and interval:
        measured = replace(measured, update_steps=interval, updates=(length.total_steps - 1) // interval)
    return measured


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


def make_controller(
    section: Section, plan: RunPlan, table: DomainTable, prior: Vector, reference_loss: Vector | None = None
) -> MixtureController:
    """The controller of the run's weights, at its first step."""
    context = MixtureContext(table.names, prior, table.training_sizes.astype(np.float64), plan.seed)
    bounds = Bounds(section.floor, section.cap)
    return MixtureController(
        plan.stages, context, bounds, plan.total_steps, plan.measuring.update_steps, reference_loss
    )
