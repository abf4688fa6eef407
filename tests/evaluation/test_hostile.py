"""What programs that mean harm can do, by the measures there are: the table of docs/executor.md, from real attempts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.hostile import DEEDS, SECRET
from versatune_plugin.evaluation.sandbox.executor import CONSENT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux can try them as root and as a plain user"
)

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "executor.md"
# Column of the table -> how `tests.helpers.hostile` is called, and the measures that there must be.
SITUATIONS = {
    "root": ("", "landlock mounts namespaces seccomp user"),
    "plain user": ("--plain", "landlock mounts namespaces seccomp"),
    "without namespaces": ("--plain --without namespaces", "landlock seccomp"),
    "nor Landlock": ("--plain --without namespaces,landlock", "seccomp"),
    "nor seccomp": ("--plain --without namespaces,landlock,seccomp", ""),
    "without the executor": ("--plain --without all", ""),
}
# Only root may mount; and what shows a process's environment is root's in a process that was root's.
BEYOND_A_PLAIN_USER = {"a mount", "read the evaluation's environment"}


def tried(arguments: str) -> dict[str, Any]:
    """What `tests.helpers.hostile` prints."""
    surroundings = {**os.environ, CONSENT: "1", "KEY": SECRET, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.helpers.hostile", *arguments.split()]
    ended = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def documented() -> dict[str, dict[tuple[str, str], bool]]:
    """Situation -> (about, deed) -> whether it can be done, from the table."""
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    start = next(place for place, line in enumerate(cells) if line[:2] == ["about", "deed"])
    names = cells[start][2:]
    return {
        name: {(line[0], line[1]): line[2 + column] == "can" for line in cells[start + 1 :]}
        for column, name in enumerate(names)
    }


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_deed_ends_as_documented(situation: str) -> None:
    arguments, measures = SITUATIONS[situation]
    found = tried(arguments)
    if sorted(found["isolation"]) != sorted(measures.split()):
        pytest.skip(f"this system has {found['isolation']} where {measures} is documented")
    done = {(about, deed): was for about, deed, was in found["done"]}
    assert done == documented()[situation]
    if situation == "without the executor":
        # What cannot be done anyway would prove nothing.
        assert {deed for (_, deed), was in done.items() if not was} == BEYOND_A_PLAIN_USER
    if {"landlock", "seccomp"} <= {*found["isolation"]}:
        assert not any(done.values())


def test_there_are_enough_of_them() -> None:
    assert sum(map(len, DEEDS.values())) >= 60
    assert {*documented()} == {*SITUATIONS}
