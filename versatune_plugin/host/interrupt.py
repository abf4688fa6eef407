"""Ctrl-C while a run trains: it ends with status 130, and nothing in its output directory looks like a finished model.

Axolotl's handler (``axolotl.train.setup_signal_handler``) saves the half-trained model as if it were the result and
ends with status 0. Ours is installed after it, when training begins, and stays: saving the final model may be
interrupted too.

Tested with axolotl 0.19.0.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

# As shells report a process that SIGINT ended.
STATUS = 128 + signal.SIGINT


def end_on_interrupt(output_dir: Path, saved: Callable[[Path], Path | None]) -> None:
    """Let SIGINT end this process with one message: what is saved, and how to go on.

    Args:
        output_dir: of the run.
        saved: its newest complete checkpoint, or None.
    """
    # Workers of Ray train in another thread, which gets no signals.
    if threading.current_thread() is not threading.main_thread():
        return

    def end(*_: Any) -> None:
        checkpoint = saved(output_dir)
        saved_so_far = (
            "Nothing is saved yet"
            if checkpoint is None
            else f"{checkpoint} is complete: go on from it with `auto_resume_from_checkpoints: true`"
        )
        print(
            f"\nversatune: interrupted; the model is not trained to its end. {saved_so_far}",
            # Whatever stands in for it: the output of reference runs is hidden.
            file=sys.__stderr__,
            flush=True,
        )
        sys.exit(STATUS)

    signal.signal(signal.SIGINT, end)
