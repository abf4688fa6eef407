"""The processes of one launch (`accelerate launch`): the first leads, the others do their share of its work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

# As long as the slowest batch may take.
PATIENCE = timedelta(hours=24)
Work = Mapping[str, Callable[[Any], Any]]


def alone() -> bool:
    """Whether this is the only process of its launch."""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1


def local_rank() -> int:
    """The number of this process on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


class Ranks:
    """Spreads pieces of work over processes, each piece to one of them, so that the results are those of one process.

    Args:
        work: what there is to do, by name: takes a piece, gives its result. Equal in all processes.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._count = int(os.environ.get("WORLD_SIZE", "1"))
        self._number = int(os.environ.get("RANK", "0"))
        self._group: Any = None
        if self._count > 1:
            import torch.distributed as dist
            from accelerate import PartialState

            PartialState()
            # Python objects travel through the host's memory, whatever the devices are.
            self._group = dist.new_group(backend="gloo", timeout=PATIENCE)

    @property
    def leads(self) -> bool:
        """Whether this is the process that keeps files and speaks."""
        return self._number == 0

    def spread(self, name: str, pieces: Sequence[Any]) -> Iterator[Any]:
        """The results of pieces of work in their order; called by the leader alone.

        Args:
            name: of the work.
            pieces: are done whole, each by one process.
        """
        if self._count == 1:
            yield from map(self._work[name], pieces)
            return
        self._broadcast((name, pieces))
        for first in range(0, len(pieces), self._count):
            here = pieces[first : first + self._count]
            yield from self._gathered(self._work[name](here[0]))[: len(here)]

    def follow(self) -> None:
        """Do this process's share, until the leader ends."""
        while (asked := self._broadcast(None)) is not None:
            name, pieces = asked
            for first in range(0, len(pieces), self._count):
                here = pieces[first : first + self._count]
                self._gathered(self._work[name](here[self._number]) if self._number < len(here) else None)

    def end(self) -> None:
        """Let the others go; called by the leader alone."""
        if self._count > 1:
            self._broadcast(None)

    def _broadcast(self, said: Any) -> Any:
        import torch.distributed as dist

        box = [said]
        dist.broadcast_object_list(box, src=0, group=self._group)
        return box[0]

    def _gathered(self, result: Any) -> list[Any]:
        import torch.distributed as dist

        results: list[Any] = [None] * self._count
        dist.gather_object(result, results if self.leads else None, dst=0, group=self._group)
        return results
