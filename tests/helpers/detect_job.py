"""Runs `detect` in a process of its own, for tests, and on demand kills that process in the middle of its work.

Arguments: the configuration; the file to watch and the number of its lines at which SIGKILL comes (or ``-`` and 0);
then options as ``name=value``.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from versatune_plugin.console.knowledge import show_knowledge
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.host.plain_errors import STATUS, report
from versatune_plugin.knowledge import DetectionOptions
from versatune_plugin.knowledge.detect import detect


def kill_at(path: Path, lines: int) -> None:
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def number(value: str) -> Any:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def main() -> None:
    config, watched, lines, *given = sys.argv[1:]
    if watched != "-":
        threading.Thread(target=kill_at, args=(Path(watched), int(lines)), daemon=True).start()
    pairs = dict(pair.split("=") for pair in given)
    chosen: dict[str, Any] = {name: number(value) for name, value in pairs.items()}
    options = DetectionOptions.choose(**chosen)
    try:
        knowledge = detect(Path(config), options)
        if knowledge is not None:
            show_knowledge(knowledge)
    except VersaTuneError as error:
        report(error, sys.stderr)
        sys.exit(STATUS)


if __name__ == "__main__":
    main()
