"""From the plan of a run to its global batches."""

from __future__ import annotations

from versatune_plugin.data.domains import DomainTable
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.host.section import Section
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.sampling.batch_plan import BatchPlan, Pool
from versatune_plugin.sampling.bins import Bins
from versatune_plugin.sampling.row_plan import RowPlan
from versatune_plugin.sampling.sampler import GlobalBatchSampler
from versatune_plugin.sampling.token_plan import Rows, TokenPlan
from versatune_plugin.schema.wording import counted
from versatune_plugin.training.port import TrainingPort
from versatune_plugin.training.run_plan import RunPlan


def make_sampler(
    section: Section, plan: RunPlan, table: DomainTable, schedule: WeightSchedule, port: TrainingPort
) -> GlobalBatchSampler:
    """The sampler of one process.

    Args:
        section: the section ``versatune:``.
        plan: of the run.
        table: the domains.
        schedule: the weights by step.
        port: the trainer.

    Raises:
        ConfigurationError: processes and micro-batches do not make the global batch that was planned.
    """
    size = port.micro_batch_size * port.accumulation * port.world_size
    if size != plan.batch_size or port.devices > 1:
        raise ConfigurationError(
            f"the trainer's global batch is {counted(size, 'row')} on {counted(port.devices, 'device')} of one "
            f"process, but {plan.batch_size} were planned: launch one process per device with `accelerate launch`, and "
            "on CPUs with `ACCELERATE_USE_CPU=true torchrun`"
        )
    return GlobalBatchSampler(
        make_plan(section, plan, table, schedule),
        table,
        steps_per_epoch=plan.steps_per_epoch,
        micro_batch_size=port.micro_batch_size,
        accumulation=port.accumulation,
        processes=port.world_size,
        process=port.rank,
    )


def make_plan(section: Section, plan: RunPlan, table: DomainTable, schedule: WeightSchedule) -> BatchPlan:
    """The plan of a run, in bins or in rows, by the unit of the weights."""
    pools = [Pool(stage.first_step, stage.rows, stage.requirements.single_domain_batches) for stage in plan.stages]
    if plan.bin_tokens is None and section.unit == "samples":
        return RowPlan(table.names, table.training_sizes.tolist(), schedule, plan.batch_size, plan.seed, pools)
    container = Rows(plan.batch_size) if plan.bin_tokens is None else Bins(plan.batch_size, plan.bin_tokens)
    return TokenPlan(table.names, table.row_tokens(), schedule, container, plan.seed, pools)
