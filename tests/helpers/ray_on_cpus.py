"""``python -m tests.helpers.ray_on_cpus CONFIG``: Axolotl's run under Ray Train on CPUs, for which it has no option."""

from __future__ import annotations

import runpy
import sys
from typing import Any

import ray.train.torch

TORCH_TRAINER = ray.train.torch.TorchTrainer


def on_cpus(function: Any, *, scaling_config: Any, **settings: Any) -> Any:
    """Ray's trainer without the GPUs that Axolotl asks for in any case."""
    scaling_config.use_gpu = False
    scaling_config.resources_per_worker = {"CPU": 1}
    return TORCH_TRAINER(function, scaling_config=scaling_config, **settings)


if __name__ == "__main__":
    ray.train.torch.TorchTrainer = on_cpus
    sys.argv = ["axolotl.cli.train", *sys.argv[1:]]
    runpy.run_module("axolotl.cli.train", run_name="__main__", alter_sys=True)
