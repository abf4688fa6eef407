"""A plugin that does nothing but let Axolotl train on several processes of a CPU: what ours is compared with."""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin

from versatune_plugin.host.cpu_processes import admit_cpu_processes


class CpuProcessesPlugin(BasePlugin):
    """Axolotl's own loading and training."""

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        admit_cpu_processes(cfg)
