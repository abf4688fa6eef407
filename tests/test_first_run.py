"""The page "The first run": its files and commands, in its order, in an empty folder."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import QUIET, Axolotl, Tiny
from tests.helpers.tiny import LORA
from versatune_plugin.artifacts.record import read_record

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "first_run.md").read_text(encoding="utf-8")
DOMAINS = {"clinic", "contracts", "lab"}

# What the page does not say: a model of two layers on a CPU. First keys of the YAML, then options behind commands.
SMALL: dict[str, Any] = {"bf16": False, **{key: value for key, value in LORA.items() if key.endswith("kernel")}}
FEWER = {
    "detect": "--texts 32 --iterations 2 --max-new-tokens 16",
    "reference": "--epochs 1",
    "lm_eval": "--device cpu",
}


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Language, title and text of the page's code, in its order."""
    return re.findall(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)


class Walk:
    """Writes the page's files and runs its commands in a folder."""

    def __init__(self, axolotl: Axolotl, model: Path, folder: Path) -> None:
        self.axolotl, self.model, self.folder = axolotl, model, folder
        self.printed: dict[str, list[str]] = {}
        self.seconds: dict[str, float] = {}

    def write(self, title: str, text: str) -> None:
        text = text.replace("BASE_MODEL", str(self.model))
        if title == "cfg.yml":
            text = yaml.safe_dump({**yaml.safe_load(text), **SMALL}, sort_keys=False)
        (self.folder / title).write_text(text, encoding="utf-8")

    def run(self, command: str, refused: bool = False) -> None:
        """A command as in a shell; those of Axolotl's and lm-eval's in a process that has imported them."""
        program, *argv = shlex.split(command.replace("BASE_MODEL", str(self.model)))
        named = next((name for name in FEWER if name in (program, *argv[:2])), "")
        argv += shlex.split(FEWER.get(named, ""))
        begun = time.monotonic()
        modules = {"axolotl": "axolotl.cli.main", "lm_eval": "lm_eval"}
        if program in modules:
            finished = self.axolotl.run(modules[program], *argv, cwd=self.folder)
            status, output = finished.status, finished.output
        else:
            scripts = str(Path(sys.executable).parent)
            surroundings = {**os.environ, **QUIET, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
            done = subprocess.run(
                [program, *argv], capture_output=True, text=True, env=surroundings, cwd=self.folder, check=False
            )
            status, output = done.returncode, done.stdout + done.stderr
        assert (status != 0) is refused, f"{command}\n{output[-4000:]}"
        self.seconds[command] = self.seconds.get(command, 0) + time.monotonic() - begun
        self.printed.setdefault(command, []).append(output)


def test_the_page_from_rows_to_scores(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    walk = Walk(axolotl, tiny.model, tmp_path)
    for language, title, text in blocks(PAGE):
        if language == "sh":
            for command in text.splitlines():
                walk.run(command, refused=title == "ends with what is missing")
        else:
            walk.write(title, text)
    print("\n".join(f"{seconds:6.1f} s  {command}" for command, seconds in walk.seconds.items()))
    print(f"{sum(walk.seconds.values()):6.1f} s  all commands")

    before, after = walk.printed["axolotl versatune plan cfg.yml"]
    assert all(f"`axolotl versatune {command} " in before for command in ("detect", "reference"))
    assert all(name in after for name in DOMAINS)
    knowledge = json.loads((tmp_path / "knowledge.json").read_text())["probabilities"]
    reference = json.loads((tmp_path / "reference.json").read_text())
    assert set(knowledge) == DOMAINS
    assert set(reference["nats_per_token"]) == DOMAINS
    (trained,) = walk.printed["accelerate launch -m axolotl.cli.train cfg.yml"]
    assert "VersaTune is active: mixture 'versatune', 3 domains" in trained
    record = read_record(tmp_path / "out")
    assert record[0]["prior"] != dict.fromkeys(DOMAINS, 1 / 3)
    moves = [line for line in record if line["kind"] == "update"]
    assert len(moves) >= 3
    assert record[-1]["kind"] == "end"
    (shown,) = walk.printed["python weights.py"]
    assert len(shown.splitlines()) == 1 + len(moves)
    assert (tmp_path / "out" / "merged" / "config.json").is_file()
    with (tmp_path / "scores.csv").open() as file:
        rows = {(row["model"], row["figure"]): row for row in csv.DictReader(file)}
    for run in ("base", "mine"):
        assert rows[run, "clinic_questions"]["domain"] == "clinic"
        assert 0 <= float(rows[run, "domain:clinic"]["percent"]) <= 100
