"""Axolotl's trainer as the port of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from axolotl.utils.collators import DataCollatorForSeq2Seq
from datasets import Dataset

if TYPE_CHECKING:
    from versatune_plugin.training.trainer import VersaTuneTrainer

# As Axolotl pads where it does not pad to the sequence length.
PAD_TO = 64


class TrainerPort:
    """A `TrainingPort`.

    Args:
        trainer: Axolotl's.
    """

    def __init__(self, trainer: VersaTuneTrainer) -> None:
        self._trainer = trainer
        self._args = trainer.args
        self.rank: int = self._args.process_index
        self.world_size: int = self._args.world_size
        self.devices: int = self._args.n_gpu
        self.device: torch.device = self._args.device
        self.micro_batch_size: int = self._args.per_device_train_batch_size
        self.accumulation: int = self._args.gradient_accumulation_steps
        self.heldout_batch_size: int = self._args.per_device_eval_batch_size
        self.tokenizer: Any = trainer.processing_class

    @property
    def logs_now(self) -> bool:
        """Whether the trainer itself logs after this step."""
        return bool(self._trainer.control.should_log)

    @property
    def best_checkpoint(self) -> Path | None:
        """The checkpoint that is loaded at the end, if the trainer chooses one."""
        best = self._trainer.state.best_model_checkpoint if self._args.load_best_model_at_end else None
        return None if best is None else Path(best)

    @contextmanager
    def evaluating(self) -> Iterator[Any]:
        """The model, in evaluation mode and without gradients: the engine's wrapper where passes must go through it."""
        trainer = self._trainer
        model = trainer.model_wrapped if trainer.is_deepspeed_enabled else trainer.model
        # An engine's wrapper does not tell the mode of what it wraps.
        was_training = trainer.model.training
        model.eval()
        with torch.no_grad(), trainer.compute_loss_context_manager():
            yield model
        model.train(was_training)

    def output_layer(self) -> torch.nn.Module:
        """The layer that makes logits of top-layer states."""
        layer: torch.nn.Module = self._trainer.model.get_output_embeddings()
        return layer

    def columns(self, rows: Dataset) -> list[str]:
        """The columns that `collate` takes."""
        if self._args.sample_packing:
            return ["input_ids", "labels"]
        taken: list[str] = self._trainer._remove_unused_columns(rows, description="held-out").column_names
        return taken

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of rows to measure, each a sequence of its own, under packing as well."""
        if self._args.sample_packing:
            collate = DataCollatorForSeq2Seq(self.tokenizer, pad_to_multiple_of=PAD_TO)
            batch = collate([row | {"attention_mask": [1] * len(row["input_ids"])} for row in rows])
        else:
            batch = self._trainer.data_collator(rows)
        prepared: dict[str, Any] = self._trainer._prepare_inputs(batch)
        return prepared

    def log(self, figures: Mapping[str, float]) -> None:
        """Hand figures to every tracker."""
        should_log = self._trainer.control.should_log
        self._trainer.log(dict(figures))
        # Logging clears the flag, and the trainer's own loss of this step would go unheard.
        self._trainer.control.should_log = should_log

    def forget_optimizer_state(self) -> None:
        """Make the optimizer what it was before its first step; learning rates follow the scheduler."""
        self._trainer.optimizer.optimizer.state.clear()
