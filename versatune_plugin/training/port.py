"""What a run needs of whatever trains the model; `training/trainer.py` gives it from Axolotl's trainer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from datasets import Dataset


class TrainingPort(Protocol):
    """The trainer, as far as measuring, logging and drawing batches are concerned."""

    @property
    def rank(self) -> int:
        """This process's number among those that train together."""

    @property
    def world_size(self) -> int:
        """How many processes train together."""

    @property
    def devices(self) -> int:
        """Devices of this process."""

    @property
    def device(self) -> torch.device:
        """Where inputs go."""

    @property
    def micro_batch_size(self) -> int:
        """Rows (bins, under packing) of a forward pass in training."""

    @property
    def accumulation(self) -> int:
        """Micro-batches of a process in an optimizer step."""

    @property
    def heldout_batch_size(self) -> int:
        """Rows of a forward pass when held-out rows are measured."""

    @property
    def tokenizer(self) -> Any:
        """The run's tokenizer."""

    @property
    def logs_now(self) -> bool:
        """Whether the trainer itself logs after this step."""

    @property
    def best_checkpoint(self) -> Path | None:
        """The checkpoint that is loaded at the end, if the trainer chooses one."""

    def evaluating(self) -> AbstractContextManager[Any]:
        """The model, in evaluation mode and without gradients; it trains on as before when this ends."""

    def output_layer(self) -> torch.nn.Module:
        """The layer that makes logits of top-layer states."""

    def columns(self, rows: Dataset) -> list[str]:
        """The columns that `collate` takes."""

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of rows to measure, each a sequence of its own, on the device, with labels."""

    def log(self, figures: Mapping[str, float]) -> None:
        """Hand figures to every tracker; it changes nothing in when the trainer logs."""

    def forget_optimizer_state(self) -> None:
        """Make the optimizer what it was before its first step; learning rates follow the scheduler."""
