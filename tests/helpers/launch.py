"""Axolotl started as users start it on several devices: by torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import QUIET


def torchrun(
    cfg: Mapping[str, Any],
    folder: Path,
    *,
    processes: int,
    env: Mapping[str, str] | None = None,
    on_cpu: bool = True,
) -> subprocess.CompletedProcess[str]:
    """``torchrun -m axolotl.cli.train`` with a configuration that is written into ``folder``; all output together."""
    path = folder / f"{Path(cfg['output_dir']).name}.yml"
    path.write_text(yaml.safe_dump(dict(cfg), sort_keys=False), encoding="utf-8")
    launcher = Path(sys.executable).with_name("torchrun")
    command = [str(launcher), "--standalone", "--nproc_per_node", str(processes), "-m", "axolotl.cli.train", str(path)]
    settings = {**os.environ, **QUIET, "PYTHONPATH": str(Path(__file__).parents[2]), **(env or {})}
    if not on_cpu:
        del settings["ACCELERATE_USE_CPU"]
    return subprocess.run(
        command,
        env=settings,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        check=False,
    )
