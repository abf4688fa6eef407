"""lm-eval's own command line with a stand-in for a model, and what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Evaluation:
    """What lm-eval wrote: result by task, rows by leaf, members of each group."""

    results: dict[str, dict[str, Any]]
    rows: dict[str, int]
    groups: dict[str, list[str]]

    def score(self, task: str) -> float:
        return float(self.results[task]["vt_score,none"])

    def unparsed(self, task: str) -> float:
        return float(self.results[task]["vt_unparsed,none"])

    def leaves(self, benchmark: str) -> list[str]:
        name = f"versatune_{benchmark}"
        return self.groups.get(name) or [name]


def read(out: Path) -> Evaluation:
    """The one result file below a folder."""
    (file,) = out.rglob("results*.json")
    payload = json.loads(file.read_text(encoding="utf-8"))
    rows = {name: count["effective"] for name, count in payload["n-samples"].items()}
    return Evaluation(payload["results"], rows, payload["group_subtasks"])


def evaluate(
    kind: str,
    out: Path,
    *options: str,
    tasks: str = "versatune_*",
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> Evaluation:
    """``lm_eval`` with a stand-in of this kind, from the folder ``cwd``; ``env`` is added to the environment."""
    command = [sys.executable, "-m", "tests.helpers.stand_in", kind, "--tasks", tasks]
    command += ["--output_path", str(out), "--confirm_run_unsafe_code", *options]
    surroundings = os.environ | {"HF_HUB_OFFLINE": "1", "HF_ALLOW_CODE_EVAL": "1", "PYTHONPATH": str(ROOT)}
    surroundings |= env or {}
    finished = subprocess.run(command, cwd=cwd, env=surroundings, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-4000:]
    return read(out)


def ours(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a score says under our own names."""
    return {name: value for name, value in found.items() if name.startswith("vt_")}
