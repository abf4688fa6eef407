"""What the spy wrote down (tests/spy.py)."""

from __future__ import annotations

import json
from pathlib import Path


def batches(file: Path) -> dict[int, list[str]]:
    """Step -> the questions of its global batch, in the order of the micro-batches."""
    steps: dict[int, list[str]] = {}
    for line in file.read_text().splitlines():
        seen = json.loads(line)
        steps.setdefault(seen["step"], []).extend(seen["rows"])
    return steps
