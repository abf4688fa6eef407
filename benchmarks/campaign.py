"""A campaign of short runs, Axolotl imported once and forked for each, against as many separate launches.

    python benchmarks/campaign.py --runs 12

Both train the very same YAMLs, one run after the other, in turns of who goes first; seconds and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.helpers.tiny import config, write_model, write_rows
from versatune_plugin.comparing.campaign import config_file, read_campaign

COMMAND = "import sys; from versatune_plugin.cli import versatune; sys.exit(versatune())"
QUIET = {"AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "AXOLOTL_DATASET_NUM_PROC": "0", "ACCELERATE_USE_CPU": "1"}


def versatune(folder: Path, *argv: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", COMMAND, *argv], cwd=folder, env=os.environ | QUIET, capture_output=True, text=True
    )
    if finished.returncode:
        raise SystemExit(finished.stdout + finished.stderr)


def campaign(folder: Path, argv: list[str]) -> float:
    shutil.rmtree(folder / "out", ignore_errors=True)
    began = time.perf_counter()
    versatune(folder, "compare", *argv)
    return time.perf_counter() - began


def launches(folder: Path, argv: list[str]) -> float:
    """As a user would: the YAMLs of the campaign, each by its own command."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    versatune(folder, "compare", "plan", *argv)
    began = time.perf_counter()
    for job in read_campaign(folder / "out").jobs:
        command = [sys.executable, "-m", "axolotl.cli.train", str(config_file(Path("out"), job.folder))]
        subprocess.run(command, cwd=folder, env=os.environ | QUIET, capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_rows(folder / "rows", {"law": 60, "code": 40, "medicine": 30})
        section = {"mixture": "uniform", "heldout": 4}
        model = write_model(folder / "model")
        values = config(model, files, folder / "o", folder / "prepared", max_steps=options.steps, versatune=section)
        (folder / "cfg.yml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        seeds = str(options.runs // 2)
        argv = ["cfg.yml", "--mixtures", "uniform, proportional", "--seeds", seeds, "--test-rows", "5", "--out", "out"]
        campaign(folder, argv)
        for number in range(options.rounds):
            ways = [("campaign", campaign), ("launches", launches)]
            seconds = {name: way(folder, argv) for name, way in (ways if number % 2 == 0 else ways[::-1])}
            line = {name: round(value, 1) for name, value in seconds.items()}
            print(json.dumps({**line, "ratio": round(seconds["campaign"] / seconds["launches"], 3)}), flush=True)


if __name__ == "__main__":
    main()
