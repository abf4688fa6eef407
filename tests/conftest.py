"""What many tests share: quiet environment, a small model, and Axolotl's command line."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from tests.helpers.tiny import config, write_model, write_rows

# The machines that run this are shared: how long an example takes says nothing.
settings.register_profile("versatune", deadline=None)
settings.load_profile("versatune")

QUIET = {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "ACCELERATE_USE_CPU": "true",
    "TERM": "dumb",
    # Rows are prepared in the process itself: a pool of one spawned process costs ten seconds a domain.
    "AXOLOTL_DATASET_NUM_PROC": "0",
}
os.environ.update(QUIET)


@dataclass
class Finished:
    """A command that has ended: its exit status, all that it printed (in each process), and its CPU seconds."""

    status: int
    output: str
    cpu_seconds: float
    outputs: list[str]

    @property
    def message(self) -> str:
        """What was said of an error of ours, to the end of all that was printed; empty without one."""
        found = re.split(r"^versatune: ", self.output, flags=re.MULTILINE)
        return found[-1] if len(found) > 1 and "Traceback (most recent call last)" not in self.output else ""


class Axolotl:
    """Axolotl's command line, imported once (see tests/helpers/axolotl_server.py)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "helpers" / "axolotl_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **QUIET, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        self._read("ready")

    def _read(self, wanted: str | None = None) -> str:
        assert self._server.stdout is not None
        line = self._server.stdout.readline().strip()
        if not line or (wanted is not None and line != wanted):
            raise RuntimeError(f"the Axolotl server said {line!r}")
        return line

    def run(
        self, *argv: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, processes: int = 1
    ) -> Finished:
        """Run ``python -m ARGV``, in as many processes as torchrun would start, and wait for it."""
        assert self._server.stdin is not None
        self._number += 1
        log = self.folder / f"{self._number}.log"
        env = dict(env or {})
        if processes > 1:
            env |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
            env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        job = {"argv": argv, "env": env, "cwd": str(cwd or self.folder), "log": str(log), "processes": processes}
        self._server.stdin.write(json.dumps(job) + "\n")
        self._server.stdin.flush()
        status, cpu_seconds = self._read().split()
        outputs = [Path(f"{log}.{rank}").read_text(encoding="utf-8", errors="replace") for rank in range(processes)]
        return Finished(int(status), "".join(outputs), float(cpu_seconds), outputs)

    def train(
        self, cfg: Mapping[str, Any], *argv: str, env: Mapping[str, str] | None = None, processes: int = 1
    ) -> Finished:
        """``python -m axolotl.cli.train`` with a configuration."""
        self._number += 1
        path = self.folder / f"{self._number}.yml"
        path.write_text(yaml.safe_dump(dict(cfg), sort_keys=False), encoding="utf-8")
        return self.run("axolotl.cli.train", str(path), *argv, env=env, processes=processes)

    def close(self) -> None:
        """End the server."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=30)


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs Axolotl, wherever it stands."""
    for item in items:
        if "axolotl" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def axolotl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Axolotl]:
    """Axolotl's command line."""
    server = Axolotl(tmp_path_factory.mktemp("axolotl"))
    yield server
    server.close()


@dataclass
class Tiny:
    """A small model and three domains of rows, already on the disk."""

    model: Path
    files: dict[str, Path]
    prepared: Path

    def config(self, out: Path, **changes: Any) -> dict[str, Any]:
        """A configuration that trains this model on these rows."""
        return config(self.model, self.files, out, self.prepared, **changes)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Three domains of 40, 60 and 30 rows and a two-layer model."""
    folder = tmp_path_factory.mktemp("tiny")
    files = write_rows(folder / "rows", {"law": 60, "code": 40, "medicine": 30})
    return Tiny(write_model(folder / "model"), files, folder / "prepared")
