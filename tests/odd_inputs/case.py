"""What an odd input is, and what is expected of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.tiny import config

# A verdict: what the message must name, or that the input is rightly accepted.
ACCEPTED: tuple[str, ...] = ()
EVEN = {"law": 0.5, "code": 0.5}


@dataclass(frozen=True)
class Bench:
    """A folder of one case's own, with a model and two domains of rows to use.

    Attributes:
        folder: of the case; commands run here.
        model: a small model.
        files: 60 rows of law, 40 of code.
        prepared: where prepared rows are kept, for all cases.
    """

    folder: Path
    model: Path
    files: Mapping[str, Path]
    prepared: Path

    def write(self, name: str, content: object) -> Path:
        """A file: bytes and texts as they are, all else as JSON."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass"))
        return path

    def config(self, section: object, **changes: Any) -> Path:
        """A YAML whose section ``versatune:`` is this one; a change to None takes a key away."""
        cfg = config(self.model, self.files, self.folder / "out", self.prepared, max_steps=2)
        cfg |= {"versatune": section, **changes}
        cfg = {key: value for key, value in cfg.items() if value is not None}
        return self.write("cfg.yml", yaml.safe_dump(cfg, sort_keys=False, allow_unicode=True))


@dataclass(frozen=True)
class Case:
    """One odd input.

    Attributes:
        name: unique.
        argv: makes the input, and gives the command that reads it.
        verdict: what the message names (place, value, remedy), or `ACCEPTED`.
    """

    name: str
    argv: Callable[[Bench], list[str]]
    verdict: tuple[str, ...]


def plan(name: str, section: object, *verdict: str, **changes: Any) -> Case:
    """A section, and changes of the other keys, given to ``versatune plan``."""
    return Case(name, lambda bench: ["plan", str(bench.config(section, **changes))], verdict)


def label(value: object) -> str:
    """A value as a part of a case's name."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = ascii(value)
    return text if len(text) < 50 else f"{text[:40]}... ({len(text)})"
