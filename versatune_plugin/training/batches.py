"""From the settled facts of a run to its global batches."""

from __future__ import annotations

from typing import Any

from versatune_plugin.data.domains import DomainTable
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.host.configuration import Section
from versatune_plugin.mixtures.weight_schedule import Schedule
from versatune_plugin.sampling.batch_plan import BatchPlan
from versatune_plugin.sampling.bins import PackedPlan
from versatune_plugin.sampling.row_plan import Plan
from versatune_plugin.sampling.sampler import GlobalBatchSampler
from versatune_plugin.sampling.token_plan import TokenPlan
from versatune_plugin.training.run_plan import Outline


def make_sampler(
    section: Section, outline: Outline, table: DomainTable, schedule: Schedule, args: Any
) -> GlobalBatchSampler:
    """The sampler of one process.

    Args:
        section: the section ``versatune:``.
        outline: of the run.
        table: the domains.
        schedule: the weights by step.
        args: the trainer's arguments.

    Raises:
        VersaTuneError: processes and micro-batches do not make the global batch that was settled.
    """
    size = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    if size != outline.batch_size or args.n_gpu > 1:
        raise VersaTuneError(
            f"the trainer's global batch is {size} rows on {args.n_gpu} devices of one process, but "
            f"{outline.batch_size} were planned: launch one process per device with `accelerate launch`, and on "
            "CPUs with `ACCELERATE_USE_CPU=true torchrun`"
        )
    return GlobalBatchSampler(
        make_plan(section, outline, table, schedule),
        table,
        steps_per_epoch=outline.steps_per_epoch,
        micro_batch_size=args.per_device_train_batch_size,
        accumulation=args.gradient_accumulation_steps,
        processes=args.world_size,
        process=args.process_index,
    )


def make_plan(section: Section, outline: Outline, table: DomainTable, schedule: Schedule) -> BatchPlan:
    """The plan of a run, in bins or in rows, by the unit of the weights."""
    pools = outline.pools(section, table)
    if outline.bin_tokens is not None:
        return PackedPlan(
            table.names, table.row_tokens(), schedule, outline.batch_size, outline.bin_tokens, outline.seed, pools
        )
    if section.unit == "tokens":
        return TokenPlan(table.names, table.row_tokens(), schedule, outline.batch_size, outline.seed, pools)
    return Plan(table.names, table.training_sizes.tolist(), schedule, outline.batch_size, outline.seed, pools=pools)
