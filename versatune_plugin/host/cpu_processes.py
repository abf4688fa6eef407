"""Several processes on CPUs, which Axolotl does not foresee: it starts them, and then fails in three places.

``axolotl.utils.trainer.prepare_optim_env`` asks CUDA which devices reach each other, which is an error where torch was
built for CUDA and there is no driver. ``axolotl.utils.config.normalize_config`` maps the model of every process to an
accelerator of its own (``device_map: {"": LOCAL_RANK}``). And accelerate gives process n the device ``cpu:n``, on which
``torch.load`` cannot put the optimizer's state when a run is resumed. All are mended here, for such a run alone.

A launcher's mistake is reported as well: ``accelerate launch --cpu --num_processes 2`` starts one process.

Tested with axolotl 0.19.0, accelerate 1.13, torch 2.13, transformers 5.16.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import axolotl.utils.trainer
import torch

LOG = logging.getLogger("axolotl.versatune")
# Before torch's own, which raise an error at the first location that they do not know.
PRIORITY = 5


def ask_no_device() -> None:
    """Keep Axolotl from asking CUDA about devices where there are none; comes before it prepares its environment."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available():
        axolotl.utils.trainer.check_cuda_p2p_ib_support = _nothing_to_set


def admit_cpu_processes(cfg: Any) -> None:
    """Let Axolotl train with this process as one of several on CPUs; leaves every other run alone.

    Args:
        cfg: Axolotl's validated and normalised configuration; its ``device_map`` is changed.
    """
    if cfg.device != "cpu":
        return
    if cfg.world_size > 1:
        cfg.device_map = None
        torch.serialization.register_package(PRIORITY, _untagged, _on_numbered_cpu)
    elif _left_alone(os.environ):
        LOG.warning(
            "several processes were asked for, and this is the only one: on CPUs, `accelerate launch --cpu` starts no "
            "more. Use `ACCELERATE_USE_CPU=true torchrun --nproc_per_node N -m axolotl.cli.train CONFIG`"
        )


def _left_alone(environment: Mapping[str, str]) -> bool:
    """Whether accelerate's launcher was asked for several processes and started one: it names their meeting point."""
    return "ACCELERATE_USE_CPU" in environment and "MASTER_ADDR" in environment and "WORLD_SIZE" not in environment


def _nothing_to_set() -> bool:
    return True


def _untagged(storage: Any) -> None:
    return None


def _on_numbered_cpu(storage: Any, location: str) -> Any:
    return storage if location.startswith("cpu:") else None
