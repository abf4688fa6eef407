"""The progress of long work: a bar on a terminal, a whole line now and then in a log."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self, TextIO

from tqdm import tqdm

# Seconds between two lines of a log, and between two states of a bar.
LINE_INTERVAL = 30.0
BAR_INTERVAL = 0.5
LINE = "{desc}: {n_fmt} of {total_fmt} ({percentage:.0f} %), {elapsed} gone, {remaining} left, {rate_fmt}{postfix}"
_STREAM: ContextVar[TextIO | None] = ContextVar("_STREAM", default=None)


@contextmanager
def shown_on(stream: TextIO) -> Iterator[None]:
    """Within it, progress is shown here, whatever takes the place of the standard error.

    Args:
        stream: a terminal or a log.
    """
    token = _STREAM.set(stream)
    try:
        yield
    finally:
        _STREAM.reset(token)


class Progress:
    """Counts what is done of something, and shows it on the standard error.

    On a terminal it is a bar with its rate. Anywhere else (a file, a pipe) it is a whole line at most every
    `LINE_INTERVAL` seconds, and a last one.

    Args:
        what: is done.
        total: how much of it there is.
        unit: of one.
        done: how much was done before.
    """

    def __init__(self, what: str, total: int, unit: str, *, done: int = 0) -> None:
        stream = _STREAM.get() or sys.stderr
        kind, interval = (tqdm, BAR_INTERVAL) if stream.isatty() else (_Lines, LINE_INTERVAL)
        self._shown: tqdm[Any] = kind(
            desc=what,
            total=total,
            unit=unit,
            initial=done,
            file=stream,
            mininterval=interval,
            miniters=1,
            dynamic_ncols=True,
            # A log has no line before there is anything to say, and the rate in it is that of all so far.
            **({} if kind is tqdm else {"delay": interval, "smoothing": 0}),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, raised_at: TracebackType | None
    ) -> None:
        self._shown.close()

    def note(self, **facts: str) -> None:
        """Show facts behind the count, from the next time that it is shown.

        Args:
            **facts: name and value, in place of those before.
        """
        self._shown.set_postfix(facts, refresh=False)

    def advance(self, count: int = 1) -> None:
        """So many more are done.

        Args:
            count: how many, since the last call.
        """
        self._shown.update(count)


class _Lines(tqdm):  # type: ignore[type-arg]
    """Tqdm without a carriage return."""

    # Its thread would print between two updates.
    monitor_interval = 0
    said: float | None = None

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        self.said = self.n
        self.fp.write(f"{tqdm.format_meter(**{**self.format_dict, 'bar_format': LINE})}\n")
        self.fp.flush()

    def close(self) -> None:
        if not self.disable:
            if self.said != self.n:
                self.display()
            # It ends as one that never showed anything, which writes nothing more.
            self.delay = math.inf
        super().close()
