"""An Axolotl plugin that writes down every training batch, and can spoil the loss of one domain at one step."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axolotl.integrations.base import BasePlugin

from versatune_plugin.errors import VersaTuneError


class SpyPlugin(BasePlugin):
    """``SPY_BATCHES=file`` records batches; ``SPY_SPOIL=step:domain`` makes held-out losses infinite.

    Several processes write ``file.0``, ``file.1``, ... Each line has the process's own weights, losses and policy,
    and the class that wraps the model with its ZeRO stage. ``SPY_FAIL=load:1`` (or ``train:1``) raises an error in
    process 1.

    The others act on every run of the process, whichever plugins that run names. ``SPY_KILL=domain`` kills it, as the
    machine would, when it comes to train on that domain alone. ``SPY_INTERRUPT=step`` interrupts it in that step, as
    Ctrl-C does; ``SPY_WAIT=step:file`` waits in a step until the file is there. ``SPY_EVERY=file`` writes down the text
    of every row that is trained on, with the run's output directory.
    """

    def register(self, cfg: Any) -> None:
        if file := os.environ.pop("SPY_EVERY", None):
            _record_every_run(Path(file))
        if domain := os.environ.pop("SPY_KILL", None):
            _kill_before(domain)
        if step := os.environ.pop("SPY_INTERRUPT", None):
            _in_step(int(step), lambda: os.kill(os.getpid(), signal.SIGINT))
        if waits := os.environ.pop("SPY_WAIT", None):
            step, file = waits.split(":")
            _in_step(int(step), lambda: _wait_for(Path(file)))

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        if file := os.environ.get("SPY_BATCHES"):
            several = trainer.args.world_size > 1
            self._record(trainer, Path(f"{file}.{trainer.args.process_index}" if several else file))
        if os.environ.get("SPY_CLOCK") == "backwards":
            _turn_back_the_clock()
        self._fail("train", trainer.args.process_index)
        if spoiled := os.environ.get("SPY_SPOIL"):
            step, domain = spoiled.split(":")
            self._spoil(trainer, int(step), domain)

    def pre_model_load(self, cfg: Any) -> None:
        self._fail("load", int(os.environ.get("RANK", 0)))

    def _fail(self, moment: str, process: int) -> None:
        if os.environ.get("SPY_FAIL") == f"{moment}:{process}":
            raise VersaTuneError(f"the spy fails in process {process} at {moment}")

    def _record(self, trainer: Any, file: Path) -> None:
        training_step = trainer.training_step

        def recorded(model: Any, inputs: dict[str, Any], *rest: Any) -> Any:
            texts = trainer.processing_class.batch_decode(inputs["input_ids"], skip_special_tokens=True)
            # Under packing, a text holds several rows.
            questions = [question for text in texts for question in re.findall("### Instruction:\n(.*)", text)]
            controller, step = trainer.mixture_run.controller, trainer.state.global_step
            state = controller.state_dict()
            view = [controller.weights_at(step).tolist(), state["previous_loss"], state["state"]]
            wrapped = trainer.model_wrapped
            engine = type(wrapped).__name__, wrapped.zero_optimization_stage() if trainer.is_deepspeed_enabled else None
            with file.open("a") as out:
                out.write(json.dumps({"step": step, "rows": questions, "view": view, "engine": engine}) + "\n")
            return training_step(model, inputs, *rest)

        trainer.training_step = recorded

    def _spoil(self, trainer: Any, step: int, domain: str) -> None:
        def hook(module: Any, args: Any, kwargs: dict[str, Any], output: Any) -> None:
            if not module.training and trainer.state.global_step == step:
                text = trainer.processing_class.decode(kwargs["input_ids"][0])
                if f"{domain} question" in text:
                    output.loss = output.loss * float("nan")

        trainer.model.register_forward_hook(hook, with_kwargs=True)


def _turn_back_the_clock() -> None:
    from transformers import TrainerState

    save = TrainerState.save_to_json

    def saved(self: Any, json_path: str) -> None:
        save(self, json_path)
        # The last thing before the host removes old checkpoints; digests have been written into some since.
        for checkpoint in Path(json_path).parents[1].glob("checkpoint-*"):
            os.utime(checkpoint, (2e9 - 100 * int(checkpoint.name.removeprefix("checkpoint-")),) * 2)

    TrainerState.save_to_json = saved  # type: ignore[method-assign]


def _record_every_run(file: Path) -> None:
    from versatune_plugin.training.trainer import VersaTuneTrainer

    training_step = VersaTuneTrainer.training_step

    def recorded(self: Any, model: Any, inputs: dict[str, Any], *rest: Any) -> Any:
        # A copy: the step takes the labels out.
        rows = list(zip(inputs["input_ids"].tolist(), inputs["labels"].tolist(), strict=True))
        decode = self.processing_class.decode
        texts = [
            [decode(ids, skip_special_tokens=True), sum(one != -100 for one in labels[1:])] for ids, labels in rows
        ]
        with file.open("a") as out:
            step = self.state.global_step
            out.write(json.dumps({"run": self.args.output_dir, "step": step, "rows": texts}) + "\n")
        return training_step(self, model, inputs, *rest)

    VersaTuneTrainer.training_step = recorded  # type: ignore[method-assign]


def _kill_before(domain: str) -> None:
    from versatune_plugin.training.trainer import VersaTuneTrainer

    attach = VersaTuneTrainer.attach

    def killing(self: Any, run: Any) -> None:
        if domain == "/".join(run.prepared.table.names):
            os.kill(os.getpid(), signal.SIGKILL)
        attach(self, run)

    VersaTuneTrainer.attach = killing  # type: ignore[method-assign]


def _in_step(step: int, act: Callable[[], Any]) -> None:
    from versatune_plugin.training.trainer import VersaTuneTrainer

    training_step = VersaTuneTrainer.training_step

    def acting(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == step:
            act()
        return training_step(self, *args, **kwargs)

    VersaTuneTrainer.training_step = acting  # type: ignore[method-assign]


def _wait_for(file: Path) -> None:
    file.with_name(f"{file.name}.waiting").touch()
    while not file.exists():
        time.sleep(0.05)
