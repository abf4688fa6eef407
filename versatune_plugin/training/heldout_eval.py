"""Held-out loss per domain, in the middle of training, without changing a bit of it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from versatune_plugin.data.domains import DomainTable, Rows
from versatune_plugin.mixtures.observations import Measurement
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.training.port import TrainingPort
from versatune_plugin.training.probes import RowProbes


class HeldoutEvaluation:
    """Measures rows of every domain that are kept out of training.

    The batches are fixed, of rows of like length, and dealt out to the processes in turn, so that every process runs
    the same number of forward passes and the sums do not depend on how many there are. Nothing draws from a random
    number generator: the mode of the model is `eval` meanwhile, and batches are collated directly.

    Args:
        table: the domains.
        measured: the data set's rows to measure, by domain.
        port: the trainer.
    """

    def __init__(self, table: DomainTable, measured: Sequence[Rows], port: TrainingPort) -> None:
        self.table = table
        self._measured = measured
        self._port = port
        batch_size = port.heldout_batch_size
        self.bytes: Vector = np.array([table.response_bytes(own, port.tokenizer) for own in measured], dtype=np.float64)
        self._batches: list[tuple[int, list[int], int]] = []
        for index, own in enumerate(measured):
            rows = own[np.argsort(table.supervised[own], kind="stable")]
            for first in range(0, len(rows), batch_size):
                chunk = rows[first : first + batch_size]
                self._batches.append((index, chunk.tolist(), int(table.supervised[chunk].sum())))
        self.tokens: Vector = np.array([table.supervised[own].sum() for own in measured], dtype=np.float64)

    def measure(self, probe: bool = False) -> Measurement:
        """Run the held-out rows through the model as it is now.

        Args:
            probe: look at each row's loss and top-layer states as well. The forward passes are as many, but the logits
                are kept for a batch, which a fused loss would spare.
        """
        began = time.perf_counter()
        port = self._port
        sums = torch.zeros(len(self._batches), dtype=torch.float64, device=port.device)
        probes = RowProbes(self._measured, port, [domain for domain, _, _ in self._batches]) if probe else None
        columns = port.columns(self.table.dataset)
        with port.evaluating() as model:
            for turn in range(math.ceil(len(self._batches) / port.world_size)):
                number = turn * port.world_size + port.rank
                # A process without a batch of its own repeats the last one: collectives inside the model must match.
                _, rows, tokens = self._batches[min(number, len(self._batches) - 1)]
                inputs = port.collate([{c: row[c] for c in columns} for row in _rows(self.table, rows)])
                if probes is not None:
                    total = probes.look(model, inputs, number, rows, counted=number < len(self._batches))
                else:
                    total = model(**inputs, use_cache=False).loss.double() * tokens
                if number < len(self._batches):
                    sums[number] = total
        if port.world_size > 1:
            torch.distributed.all_reduce(sums)
        totals = np.zeros(len(self._measured))
        for (domain, _, _), value in zip(self._batches, sums.tolist(), strict=True):
            totals[domain] += value
        return Measurement(
            loss=totals / self.tokens,
            tokens=self.tokens,
            bits_per_byte=totals / (np.maximum(self.bytes, 1) * math.log(2)),
            row_loss=probes.row_loss() if probes else None,
            similarity=probes.similarity() if probes else None,
            seconds=time.perf_counter() - began,
        )


def _rows(table: DomainTable, rows: list[int]) -> list[dict[str, Any]]:
    columns = table.dataset[rows]
    return [{name: values[i] for name, values in columns.items()} for i in range(len(rows))]
