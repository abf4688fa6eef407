"""How an error that the user can mend ends a process: its message alone and last, and exit status 2.

Axolotl lets an exception through to the interpreter, which would print it below sixty lines of where it was raised.
These lines go into Axolotl's ``debug.log``, where that is open, or are shown instead with ``VERSATUNE_DEBUG=1``.

Tested with axolotl 0.19.0 (``axolotl.utils.tee``).
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from contextlib import suppress
from types import TracebackType
from typing import Any, TextIO

from versatune_plugin.errors import VersaTuneError, printable

DEBUG = "VERSATUNE_DEBUG"
# What broke ends with 1, as every exception does.
STATUS = 2
PATIENCE = 10.0


def end_plainly() -> None:
    """From now on, let every `VersaTuneError` that nobody catches end this process so; calling it again does nothing.

    Other exceptions are left to whatever hook was there before.
    """
    if not isinstance(sys.excepthook, _Hook):
        sys.excepthook = _Hook(sys.excepthook)


def report(error: VersaTuneError, stream: TextIO | None) -> None:
    """Print the message of an error, as the last thing that this process says.

    Of the processes of one machine, which mostly fail for the same reason, the first prints it at once. The others
    wait, and a launcher ends them meanwhile; one whose error is its own then prints it with its rank.

    Args:
        error: that ends this process.
        stream: where to print; None where a process has no standard error.
    """
    where = "".join(traceback.format_exception(error))
    tee = sys.modules.get("axolotl.utils.tee")
    shown = os.environ.get(DEBUG) == "1"
    if tee is not None:
        tee.file_only_stream.write(printable(where))
    if stream is None:
        return
    message = printable(str(error))
    rank = os.environ.get("RANK", "0")
    if os.environ.get("LOCAL_RANK", rank) != "0":
        # Else it could end first, and a launcher the one that speaks.
        time.sleep(PATIENCE)
        message = f"rank {rank}: {message}"
    red, plain = ("\x1b[31m", "\x1b[0m") if stream.isatty() and not os.environ.get("NO_COLOR") else ("", "")
    # Whoever reads them may be gone; the status is still what it is.
    with suppress(OSError, ValueError):
        # What was printed before must not come after it.
        sys.stdout.flush()
    with suppress(OSError, ValueError):
        # A progress bar leaves its line open.
        begun = "\n" if "tqdm" in sys.modules else ""
        stream.write(f"{begun}{printable(where) if shown else ''}{red}versatune: {message}{plain}\n")
        stream.flush()


class _Hook:
    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, kind: type[BaseException], error: BaseException, raised_at: TracebackType | None) -> None:
        if not isinstance(error, VersaTuneError):
            self._before(kind, error, raised_at)
            return
        # Not `sys.stderr`: the hook of torch.distributed has put a buffer there, which it drops on an exception.
        report(error, sys.__stderr__)
        # The interpreter takes the status from here, and ends as ever: `atexit` runs, files are flushed.
        if not hasattr(sys, "ps1"):  # a prompt goes on
            raise SystemExit(STATUS)
