"""An Axolotl plugin that writes down in which order the host does what VersaTune counts on, and with what.

``RECORD_HOST=file`` gets one JSON object a line. To be listed before VersaTune's plugin: once a plugin has answered,
the host asks no further one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from axolotl.integrations.base import BasePlugin
from torch.utils.data import DataLoader, Sampler
from transformers import TrainerCallback


def record(event: str, **facts: Any) -> None:
    with Path(os.environ["RECORD_HOST"]).open("a", encoding="utf-8") as out:
        out.write(json.dumps({"event": event, **facts}) + "\n")


class HostRecorder(BasePlugin):
    """Records the hooks, the trainer's events, its loader and its checkpoints."""

    def register(self, cfg: Any) -> None:
        record("register", domains=[entry.get("domain") for entry in cfg["datasets"]])

    def get_input_args(self) -> None:
        record("get_input_args")

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> None:
        record("load_datasets", preprocess=preprocess, section=cfg["versatune"], domains=cfg["versatune_domains"])

    def get_trainer_cls(self, cfg: Any) -> None:
        record("get_trainer_cls")

    def create_lr_scheduler(self, cfg: Any, trainer: Any, optimizer: Any, num_training_steps: int) -> None:
        record("create_lr_scheduler", steps=num_training_steps)

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        record("post_trainer_create", trainer=type(trainer).__name__, rows=len(trainer.train_dataset))
        trainer.add_callback(Events(trainer))
        _watch(trainer)


class Events(TrainerCallback):
    """Records every event of the trainer, and what it is at the first of them."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        trainer = self.trainer
        rows = trainer._remove_unused_columns(trainer.train_dataset, description="training")
        before = torch.get_rng_state()
        inputs = trainer._prepare_inputs(trainer.data_collator([rows[0], rows[1]]))
        record(
            "on_train_begin",
            columns=sorted(rows.column_names),
            inputs=sorted(inputs),
            device=str(inputs["input_ids"].device),
            drew=not torch.equal(before, torch.get_rng_state()),
            inner=type(getattr(trainer.optimizer, "optimizer", None)).__name__,
            plain=trainer.model_wrapped is trainer.model and not trainer.is_deepspeed_enabled,
            max_steps=state.max_steps,
        )

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        record("on_step_begin", step=state.global_step)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        record("on_optimizer_step", step=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        record("on_step_end", step=state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        record("on_save", step=state.global_step, complete=(folder / "trainer_state.json").is_file())

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        record("on_epoch_end", stopping=control.should_training_stop)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        record("on_train_end")


class WatchedSampler(Sampler[list[int]]):
    """Passes batches on, and records each as it is asked for."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._inner:
            record("asked", rows=len(batch))
            yield batch


def _watch(trainer: Any) -> None:
    train, loader, step, save = (
        trainer.train,
        trainer.get_train_dataloader,
        trainer.training_step,
        trainer._save_rng_state,
    )

    def watched_train(*args: Any, **kwargs: Any) -> Any:
        record("train", positional=len(args), keywords=sorted(kwargs))
        return train(*args, **kwargs)

    def watched_loader() -> DataLoader[Any]:
        inner = loader()

        def collate(batch: Any) -> Any:
            record("collated")
            return inner.collate_fn(batch)

        return DataLoader(
            inner.dataset,
            batch_sampler=WatchedSampler(inner.batch_sampler),
            collate_fn=collate,
            generator=inner.generator,
        )

    def watched_step(*args: Any, **kwargs: Any) -> Any:
        record("training_step", rows=len(args[1]["input_ids"]))
        return step(*args, **kwargs)

    def watched_save(output_dir: str) -> None:
        save(output_dir)
        folder = Path(output_dir)
        record("_save_rng_state", folder=folder.name, files=sorted(path.name for path in folder.iterdir()))

    trainer.train, trainer.get_train_dataloader = watched_train, watched_loader
    trainer.training_step, trainer._save_rng_state = watched_step, watched_save
