"""What our tasks add to lm-eval's start-up: the time that its index of them takes, beside that of its own, by turns.

lm-eval indexes folder by folder, so the two add up; the difference of two whole indices would be lost in their noise.

python benchmarks/task_index.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ["VERSATUNE_STARTUP"] = "0"


def seconds(index: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    index()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    from importlib.metadata import version

    from lm_eval.tasks import TaskManager

    from versatune_plugin.host.startup import eval_tasks_directory

    folder = eval_tasks_directory()
    files = sum(name.endswith(".yaml") for _, _, names in os.walk(folder) for name in names)
    theirs, ours = [], []
    for _ in range(rounds):
        theirs.append(seconds(TaskManager))
        ours.append(seconds(lambda: TaskManager(include_path=folder, include_defaults=False)))
    print(f"lm-eval {version('lm_eval')}, index of its own tasks: median {statistics.median(theirs):.2f} s")
    print(f"index of our {files} files: median {statistics.median(ours):.3f} s, {min(ours):.3f} to {max(ours):.3f}")


if __name__ == "__main__":
    main()
