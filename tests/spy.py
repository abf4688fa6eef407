"""An Axolotl plugin that writes down every training batch, and can spoil the loss of one domain at one step."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from axolotl.integrations.base import BasePlugin

from versatune_plugin.config import section_of


class SpyPlugin(BasePlugin):
    """``SPY_BATCHES=file`` records batches; ``SPY_SPOIL=step:domain`` makes held-out losses infinite.

    ``SPY_KILL=domain`` kills the process, as the machine would, when it comes to train on that domain alone.
    """

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        if file := os.environ.get("SPY_BATCHES"):
            self._record(trainer, Path(file))
        if os.environ.get("SPY_KILL") == "/".join(section_of(cfg).domains):
            os.kill(os.getpid(), signal.SIGKILL)
        if spoiled := os.environ.get("SPY_SPOIL"):
            step, domain = spoiled.split(":")
            self._spoil(trainer, int(step), domain)

    def _record(self, trainer: Any, file: Path) -> None:
        training_step = trainer.training_step

        def recorded(model: Any, inputs: dict[str, Any], *rest: Any) -> Any:
            texts = trainer.processing_class.batch_decode(inputs["input_ids"], skip_special_tokens=True)
            questions = [text.split("### Instruction:\n")[1].split("\n")[0] for text in texts]
            with file.open("a") as out:
                out.write(json.dumps({"step": trainer.state.global_step, "rows": questions}) + "\n")
            return training_step(model, inputs, *rest)

        trainer.training_step = recorded

    def _spoil(self, trainer: Any, step: int, domain: str) -> None:
        def hook(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
            if not module.training and trainer.state.global_step == step:
                text = trainer.processing_class.decode(kwargs["input_ids"][0])
                if f"{domain} question" in text:
                    output.loss = output.loss * float("nan")

        trainer.model.register_forward_hook(hook, with_kwargs=True)
