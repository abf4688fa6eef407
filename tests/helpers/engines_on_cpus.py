"""Axolotl plugins under which DeepSpeed and FSDP2 run on CPU processes; left alone, Axolotl trains plain DDP there.

Both go first in ``plugins:``, and ``ACCELERATE_USE_CPU`` must be false: accelerate takes a CPU and an engine for
opposites.
"""

from __future__ import annotations

from typing import Any

import torch
from accelerate import DistributedType, PartialState
from accelerate.parallelism_config import ParallelismConfig
from axolotl.integrations.base import BasePlugin


class DeepSpeedOnCpus(BasePlugin):
    """Needs ``DS_ACCELERATOR=cpu``."""

    def register(self, cfg: dict[str, Any]) -> None:
        import deepspeed
        from deepspeed.runtime.zero import stage_1_and_2

        _use_gloo()
        # gloo gathers into views, which autograd forbids.
        stage_1_and_2.all_gather_dp_groups = torch.no_grad()(stage_1_and_2.all_gather_dp_groups)
        deepspeed.comm.init_distributed("gloo", auto_mpi_discovery=False)


class FsdpOnCpus(BasePlugin):
    """FSDP2 over the CPUs' memory."""

    def register(self, cfg: dict[str, Any]) -> None:
        _use_gloo()
        prepare, build = PartialState.__init__, ParallelismConfig.build_device_mesh

        def prepared(state: Any, *args: Any, **kwargs: Any) -> None:
            prepare(state, *args, **kwargs)
            # Accelerate shards among devices that it takes for GPUs only.
            state.distributed_type = DistributedType.MULTI_GPU

        PartialState.__init__ = prepared
        ParallelismConfig.build_device_mesh = lambda config, _: build(config, "cpu")


def _use_gloo() -> None:
    PartialState._prepare_backend = lambda *_: ("gloo", DistributedType.MULTI_CPU)
