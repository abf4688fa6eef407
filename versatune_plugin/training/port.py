"""What a run needs of whatever trains the model; `training/trainer_port.py` gives it from Axolotl's trainer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from datasets import Dataset


class TrainingPort(Protocol):
    """The trainer, as far as measuring, logging and drawing batches are concerned.

    Attributes:
        rank: this process's number among those that train together.
        world_size: how many processes train together.
        devices: devices of this process.
        device: where inputs go.
        micro_batch_size: rows (bins, under packing) of a forward pass in training.
        accumulation: micro-batches of a process in an optimizer step.
        heldout_batch_size: rows of a forward pass when held-out rows are measured.
        tokenizer: the run's.
    """

    rank: int
    world_size: int
    devices: int
    device: torch.device
    micro_batch_size: int
    accumulation: int
    heldout_batch_size: int
    tokenizer: Any

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
