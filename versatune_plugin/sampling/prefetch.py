"""Micro-batches fetched and collated while the model is busy with those before them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from torch.utils.data import Dataset

from versatune_plugin.sampling.sampler import MicroBatch


class CollatedAhead(Dataset[Any]):
    """A data set that answers with collated micro-batches, and prepares in a thread those that it expects next.

    What it expects may turn out wrong: after an update of the weights other rows are asked for, and are then fetched on
    the spot. So being ahead saves time and decides nothing. At most one global batch is kept.

    Args:
        rows: answers ``__getitems__`` with the rows of a micro-batch, with the columns that the model takes.
        collate: those rows to a micro-batch; draws no random number.
        upcoming: the micro-batches to expect.
    """

    def __init__(
        self, rows: Any, collate: Callable[[list[Any]], Any], upcoming: Callable[[], list[MicroBatch]]
    ) -> None:
        self._rows = rows
        self._collate = collate
        self._upcoming = upcoming
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="versatune-collate")
        self._ahead: dict[tuple[tuple[int, ...], ...], Future[Any]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, rows: MicroBatch) -> Any:
        """The collated micro-batch of ``rows``; torch's loader calls this once for each list of a batch sampler."""
        ready = self._ahead.pop(tuple(rows), None)
        if ready is None:
            self._drop()
        batch = self._collated(rows) if ready is None else ready.result()
        if not self._ahead:
            self._ahead = {tuple(rows): self._thread.submit(self._collated, rows) for rows in self._upcoming()}
        return batch

    def _collated(self, rows: MicroBatch) -> Any:
        return self._collate(self._rows.__getitems__(rows))

    def _drop(self) -> None:
        for stale in self._ahead.values():
            stale.cancel()
        self._ahead = {}
