"""What Mixture-of-Skills wants to know of held-out rows: the loss of each, and where the model places each domain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from versatune_plugin.data.domains import IGNORED_LABEL, Rows
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.training.port import TrainingPort


class RowProbes:
    """Collects row losses and mean top-layer states over the batches of one measurement.

    The top-layer state of a token is what enters the output embedding (Mixture-of-Skills, equation 7: the mean over the
    tokens of a row, then over rows).

    Every batch has a place of its own in what the processes add up, so that the sums do not depend on how many
    processes there are.

    Args:
        measured: the data set's rows that are measured, by domain.
        port: the trainer.
        batches: the domain of each batch of the measurement.
    """

    def __init__(self, measured: Sequence[Rows], port: TrainingPort, batches: Sequence[int]) -> None:
        self._measured = measured
        self._batches = batches
        self._layer = port.output_layer()
        self._device = port.device
        self._processes = port.world_size
        self._place = {int(row): n for n, row in enumerate(np.concatenate(measured))}
        self._losses = torch.zeros(len(self._place), dtype=torch.float64, device=self._device)
        self._states: torch.Tensor | None = None

    def look(self, model: Any, inputs: dict[str, Any], batch: int, rows: list[int], counted: bool) -> torch.Tensor:
        """Run a batch; returns the sum of its losses in nats.

        Args:
            model: as it is trained: the engine's wrapper where there is one.
            inputs: the collated batch, with labels.
            batch: its number among all batches.
            rows: the data set's rows in the batch.
            counted: False for a batch that another process looks at.
        """
        labels = inputs.pop("labels")
        seen: list[torch.Tensor] = []
        # The forward pass must go through the engine's wrapper, the hook onto the layer itself.
        hook = self._layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            logits = model(**inputs, use_cache=False).logits
        finally:
            hook.remove()
        total = torch.zeros((), dtype=torch.float64, device=self._device)
        for number, row in enumerate(rows):
            wanted = labels[number, 1:]
            # Row by row, so that only one row's logits are widened at a time.
            loss = torch.nn.functional.cross_entropy(
                logits[number, :-1].float(), wanted, ignore_index=IGNORED_LABEL, reduction="sum"
            ).double()
            total += loss
            if counted:
                self._losses[self._place[row]] = loss / (wanted != IGNORED_LABEL).sum().clamp(min=1)
        self._keep_states(seen[-1], inputs["attention_mask"], batch if counted else None)
        return total

    def row_loss(self) -> list[Vector]:
        """Per domain, the mean loss of each measured row, shape (rows,), nats per token."""
        if self._processes > 1:
            torch.distributed.all_reduce(self._losses)
        bounds = np.cumsum([len(rows) for rows in self._measured])[:-1]
        return [np.asarray(part, dtype=np.float64) for part in np.split(self._losses.cpu().numpy(), bounds)]

    def similarity(self) -> Vector:
        """Cosines between the domains' mean states, shape (k, k)."""
        assert self._states is not None
        if self._processes > 1:
            torch.distributed.all_reduce(self._states)
        sums = self._states.cpu().numpy()
        states = np.zeros((len(self._measured), sums.shape[1]))
        for domain, batch in zip(self._batches, sums, strict=True):
            states[domain] += batch
        # The mean over rows and their sum point the same way.
        norms = np.linalg.norm(states, axis=1)
        return np.asarray(states @ states.T / np.outer(norms, norms))

    def _keep_states(self, states: torch.Tensor, mask: torch.Tensor, batch: int | None) -> None:
        if self._states is None:
            self._states = torch.zeros((len(self._batches), states.shape[2]), dtype=torch.float64, device=self._device)
        if batch is not None:
            weights = mask.to(torch.float64).unsqueeze(-1)
            self._states[batch] = ((states.double() * weights).sum(dim=1) / weights.sum(dim=1)).sum(dim=0)
