"""The host's log and progress kept off the terminal, for commands whose answer is a table.

Axolotl prints its configuration, the steps of its work and progress bars to the terminal that our tables go to. Its
warnings and errors stay there, each once, and all of it is in ``OUTPUT_DIR/debug.log``, which Axolotl keeps itself.

Tested with axolotl 0.19.0.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections import deque
from collections.abc import Iterator
from typing import TextIO

from versatune_plugin.progress import shown_on

# What is shown of the host's last words where a command fails.
LAST_LINES = 40
OURS = "axolotl.versatune"


@contextlib.contextmanager
def quiet_host(verbose: bool = False) -> Iterator[None]:
    """Within it, nothing but warnings and errors of the host comes to the terminal.

    What is printed to a stream that was taken before, as consoles of ours do, is printed, and so is our progress. Where
    something unforeseen fails, the host's last lines are shown.

    Args:
        verbose: change nothing.
    """
    if verbose:
        yield
        return
    _load_the_host()
    hidden = _Hidden(sys.stderr)
    streams = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    handlers = [one for one in _handlers() if isinstance(one, logging.StreamHandler) and one.stream in streams]
    kept = _Warnings(hidden)
    for handler in handlers:
        handler.addFilter(kept)
    out, errors = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = hidden
    try:
        with shown_on(errors):
            yield
    except Exception as error:
        from versatune_plugin.errors import VersaTuneError

        if not isinstance(error, VersaTuneError):
            print("what Axolotl said before it failed:", *hidden.last(), sep="\n  ", file=errors)
        raise
    finally:
        sys.stdout, sys.stderr = out, errors
        hidden.ended = True
        for handler in handlers:
            handler.removeFilter(kept)


def _load_the_host() -> None:
    # A library that makes its handler on import must find the terminal's streams, or its warnings would be lost.
    import axolotl.cli.config
    import axolotl.cli.train
    import axolotl.common.datasets
    import axolotl.loaders  # noqa: F401


def _handlers() -> list[logging.Handler]:
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    return [one for logger in loggers if isinstance(logger, logging.Logger) for one in logger.handlers]


class _Warnings(logging.Filter):
    """Lets warnings pass, each once, and all that is ours."""

    def __init__(self, hidden: _Hidden) -> None:
        super().__init__()
        self._hidden = hidden
        self._seen: set[tuple[str, str]] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if record.name == OURS or record.levelno >= logging.ERROR:
            return True
        if record.levelno < logging.WARNING:
            # Of the host's whole configuration, that it was shown.
            first, *more = message.splitlines() or [""]
            self._hidden.note(f"{first} ..." if more else first)
            return False
        fresh = (record.name, message) not in self._seen
        self._seen.add((record.name, message))
        return fresh


class _Hidden(io.TextIOBase):
    """Swallows what is printed and remembers the end of it; passes it on once that is over."""

    def __init__(self, stream: TextIO) -> None:
        self.ended = False
        self._stream = stream
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._line = ""

    def write(self, text: str) -> int:
        if self.ended:
            return self._stream.write(text)
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self.note(line)
        return len(text)

    def note(self, text: str) -> None:
        # Of a progress bar, the state that it was left in.
        self._lines.extend(line.rpartition("\r")[2] for line in text.splitlines() or [""])

    def last(self) -> list[str]:
        return [*self._lines, *filter(None, [self._line.rpartition("\r")[2]])]

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"
