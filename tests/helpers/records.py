"""Records of runs that nobody ran, with known figures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from versatune_plugin.artifacts.record import RECORD_FILE

HOSTILE = (
    '<script>document.title="taken"</script>',
    '"><img src=x onerror=document.title="taken">',
    "</style></svg></title><b>bold",
    "line\x00\x1b[31m\u202eturned",
    "{{ 7 * 7 }} & &lt;&#x3c;",
    "很长的领域名称" * 12,
)


def record_lines(domains: Sequence[str], updates: int = 6, every: int = 5, seed: int = 0) -> list[dict[str, Any]]:
    """The lines of a run of a mixture that moves, with test rows."""
    draw = np.random.default_rng(seed)

    def each(low: float, high: float) -> dict[str, float]:
        return dict(zip(domains, draw.uniform(low, high, len(domains)).tolist(), strict=True))

    def shares() -> dict[str, float]:
        found = each(0.1, 1)
        return {name: share / math.fsum(found.values()) for name, share in found.items()}

    def losses(step: int) -> dict[str, Any]:
        return {"loss": each(1, 3), "bits_per_byte": each(1, 3), "seconds": 0.1 * step + 0.01}

    def drawn(step: int) -> dict[str, Any]:
        rows = dict.fromkeys(domains, 4 * step)
        tokens = {name: 37 * count for name, count in rows.items()}
        return {"rows": rows, "tokens": tokens, "passes": {name: count / 64 for name, count in rows.items()}}

    total = every * (updates + 1)
    weights = shares()
    lines: list[dict[str, Any]] = [
        {
            "kind": "start",
            "schema": 1,
            "versions": {"versatune": "0", "torch": "2"},
            "training_rows": dict.fromkeys(domains, 64),
            "test_rows": dict.fromkeys(domains, 8),
            "heldout": 16,
            "total_steps": total,
            "seed": 3,
            "measuring_cost": 0.05,
            "mixture": "versatune",
            "options": {"sigma": 1.5},
            "prior": shares(),
            "weights": weights,
            "reference": each(0.5, 1),
        },
        {"kind": "measure", "step": 0, "weights": weights, **losses(0), **drawn(0)},
        {"kind": "test", "step": 0, **losses(0)},
    ]
    for number in range(1, updates + 1):
        step, weights = number * every, shares()
        observed = {"potential": each(0, 1), "forgetting": each(0, 0.1)}
        lines.append({"kind": "update", "step": step, "weights": weights, **losses(step), **observed, **drawn(step)})
    lines += [
        {"kind": "measure", "step": total, "weights": weights, **losses(total), **drawn(total)},
        {"kind": "test", "step": total, **losses(total)},
        {
            "kind": "end",
            "step": total,
            **drawn(total),
            "exhausted": [],
            "best_checkpoint": None,
            "measuring_seconds": 12.25,
            "seconds_since_start": 345.678,
        },
    ]
    return lines


def write_run(folder: Path, lines: Sequence[Mapping[str, Any]]) -> Path:
    """A run's directory with these lines as its record."""
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (folder / RECORD_FILE).write_text(text, encoding="utf-8")
    return folder
