"""An Axolotl plugin that brings a trainer class of its own."""

from __future__ import annotations

from typing import Any

from axolotl.integrations.base import BasePlugin


class OtherTrainerPlugin(BasePlugin):
    """Comes first, so its trainer is used."""

    def get_trainer_cls(self, cfg: Any) -> type[Any]:
        from axolotl.core.trainers.base import AxolotlTrainer

        return AxolotlTrainer
