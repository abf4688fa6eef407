"""What the spy wrote down (tests/helpers/spy.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def batches(file: Path) -> dict[int, list[str]]:
    """Step -> the questions of its global batch, in the order of the micro-batches."""
    steps: dict[int, list[str]] = {}
    for line in file.read_text().splitlines():
        seen = json.loads(line)
        steps.setdefault(seen["step"], []).extend(seen["rows"])
    return steps


def shared_batches(file: Path, processes: int) -> dict[int, list[str]]:
    """The same of several processes: of each global batch, the first micro-batch of every process, then the second."""
    by_rank = [_micro_batches(Path(f"{file}.{rank}")) for rank in range(processes)]
    assert all(steps.keys() == by_rank[0].keys() for steps in by_rank)
    return {
        step: [row for turn in zip(*(steps[step] for steps in by_rank), strict=True) for rows in turn for row in rows]
        for step in by_rank[0]
    }


def views(file: Path, processes: int) -> list[list[Any]]:
    """For every process, what it knew before each micro-batch: step, weights, losses of the last update, policy."""
    lines = [Path(f"{file}.{rank}").read_text().splitlines() for rank in range(processes)]
    return [[[seen["step"], *seen["view"]] for seen in map(json.loads, rank)] for rank in lines]


def _micro_batches(file: Path) -> dict[int, list[list[str]]]:
    steps: dict[int, list[list[str]]] = {}
    for line in file.read_text().splitlines():
        seen = json.loads(line)
        steps.setdefault(seen["step"], []).append(seen["rows"])
    return steps
