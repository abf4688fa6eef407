"""An Axolotl plugin that does something after every run, as evaluations and uploads do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from axolotl.integrations.base import BasePlugin


class AfterTrainingPlugin(BasePlugin):
    """Appends the output directory of a run that has ended to the file ``AFTER_TRAINING``."""

    def post_train(self, cfg: Any, model: Any) -> None:
        with Path(os.environ["AFTER_TRAINING"]).open("a") as file:
            file.write(f"{cfg.output_dir}\n")
