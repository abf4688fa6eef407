"""The record of a run, ``versatune.jsonl``: a line at the start, one per update of the weights, one at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from versatune_plugin.artifacts import append_json_line, read_json_lines, write_json_lines
from versatune_plugin.errors import VersaTuneError

RECORD_FILE = "versatune.jsonl"


class RunRecord:
    """Writes the record of one run, line by line, each on the disk before training goes on.

    Args:
        output_dir: Axolotl's ``output_dir``.
    """

    def __init__(self, output_dir: Path) -> None:
        self.path = output_dir / RECORD_FILE

    def start(self, facts: Mapping[str, Any]) -> None:
        """Begin a new record; one left by an earlier run in the same directory is kept under another name."""
        if self.path.exists():
            number = 1
            while (kept := self.path.with_name(f"versatune.{number}.jsonl")).exists():
                number += 1
            self.path.rename(kept)
        append_json_line(self.path, {"kind": "start", **facts})

    def resume(self, step: int, facts: Mapping[str, Any], over: bool = False) -> None:
        """Go on after ``step``: lines of what is done again are dropped.

        Args:
            step: optimizer steps done.
            facts: for the first line, if there is no record to go on with.
            over: nothing is left to train, and the end is measured again.
        """
        lines = read_json_lines(self.path) if self.path.exists() else []
        # Without lines its writer was killed at the first.
        if not lines:
            self.start({**facts, "resumed_at": step})
            return
        kept = [
            line
            for line in lines
            if line["kind"] == "start"
            or (line["kind"] in ("update", "turn", "resume") and line["step"] <= step)
            or (line["kind"] == "measure" and line["step"] <= step - over)
        ]
        write_json_lines(self.path, [*kept, {"kind": "resume", "step": step}])

    def add(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Append a line of ``kind`` (``update``, ``turn``, ``measure`` or ``end``)."""
        append_json_line(self.path, {"kind": kind, **facts})


def read_record(path: Path) -> list[dict[str, Any]]:
    """Read a run's record.

    Args:
        path: the file, or the output directory that holds it.

    Raises:
        VersaTuneError: there is none, or it does not begin with a start line.
    """
    file = path / RECORD_FILE if path.is_dir() else path
    lines = read_json_lines(file)
    if not lines or lines[0].get("kind") != "start":
        raise VersaTuneError(f"{file}: no record of a run (its first line must have kind 'start')")
    return lines
