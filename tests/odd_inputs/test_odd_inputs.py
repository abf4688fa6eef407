"""Every odd input ends in a clear message, or is rightly accepted; the verdict stands beside each."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import QUIET, Axolotl
from tests.helpers.states import VERSATUNE, advanced, live
from tests.helpers.tiny import config, write_model, write_rows
from tests.odd_inputs import artifacts, checkpoints, commands, domains, sections
from tests.odd_inputs.case import Bench, Case
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.training.checkpoint import STATE_FILE
from versatune_plugin.training.digests import DIGESTS_FILE

STATUS = 2
MOST_LINES = 10
CASES = {
    "sections": list(sections.cases()),
    "domains": list(domains.cases()),
    "artifacts": list(artifacts.cases()),
    "commands": list(commands.cases()),
}


class Server:
    """Our commands, imported once."""

    def __init__(self) -> None:
        script = Path(__file__).parents[1] / "helpers" / "odd_inputs_server.py"
        env = {**os.environ, **QUIET, "PYTHONPATH": str(Path(__file__).parents[2])}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen([sys.executable, str(script)], text=True, env=env, **pipes)  # type: ignore[call-overload]
        assert self._process.stdout.readline().strip() == "ready"

    def run(self, argv: list[str], folder: Path) -> tuple[int, str]:
        """The exit status of a command, and all that it printed."""
        log = folder / "printed"
        job = {"argv": argv, "cwd": str(folder), "log": str(log)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline().split()[0])
        return status, log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("odd")
    files = write_rows(folder / "rows", {"law": 60, "code": 40})
    return Bench(folder, write_model(folder / "model"), files, folder / "prepared")


def faults(case: Case, status: int, printed: str) -> list[str]:
    """What is wrong with how a command ended."""
    found = []
    if "Traceback (most recent call last)" in printed:
        found.append("a traceback")
    if hidden := re.findall(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]", printed):
        found.append(f"control characters reach the terminal: {sorted(set(hidden))!r}")
    if not case.verdict:
        return found + ([] if status == 0 else [f"status {status}, but it is right"])
    if status != STATUS:
        found.append(f"status {status}, not {STATUS}")
    if re.search(r"^Error: ", printed, flags=re.MULTILINE):
        # Click's own message for a command line that it cannot read.
        return found + [f"does not say {part!r}" for part in case.verdict if part not in " ".join(printed.split())]
    message = re.split(r"^versatune: ", printed, maxsplit=1, flags=re.MULTILINE)[-1]
    if message == printed:
        found.append("no message of ours")
    found += [f"does not say {part!r}" for part in case.verdict if part not in message]
    if len(lines := message.rstrip("\n").split("\n")) > MOST_LINES:
        found.append(f"a message of {len(lines)} lines")
    if len(message) > 4_000:
        found.append(f"a message of {len(message)} characters")
    return found


def test_there_are_six_hundred() -> None:
    names = [case.name for cases in CASES.values() for case in cases]
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})
    assert len(names) >= 600


@pytest.mark.parametrize("group", CASES)
def test_odd_inputs(server: Server, shared: Bench, group: str, tmp_path: Path) -> None:
    wrong = {}
    for number, case in enumerate(CASES[group]):
        folder = tmp_path / str(number)
        folder.mkdir()
        status, printed = server.run(case.argv(Bench(folder, shared.model, shared.files, shared.prepared)), folder)
        if found := faults(case, status, printed):
            wrong[case.name] = [*found, printed[-1_500:]]
    assert not wrong, f"{len(wrong)} of {len(CASES[group])}:\n" + "\n\n".join(
        f"{name}: {'; '.join(found[:-1])}\n{found[-1]}" for name, found in wrong.items()
    )


def test_odd_checkpoints(tmp_path: Path) -> None:
    checkpoint = advanced(live(VERSATUNE, tmp_path), 2, tmp_path / "saved" / "checkpoint-2")
    state = json.loads((checkpoint / STATE_FILE).read_text())
    wrong = []
    for number, (name, content, said) in enumerate(checkpoints.cases(state)):
        odd = tmp_path / str(number) / "checkpoint-2"
        shutil.copytree(checkpoint, odd)
        (odd / STATE_FILE).write_bytes(content)
        # Only an edited copy has none; else the digests alone would tell.
        (odd / DIGESTS_FILE).unlink(missing_ok=True)
        try:
            live(VERSATUNE, odd.parent).resume(odd)
            wrong.append(f"{name}: accepted")
        except VersaTuneError as error:
            told = str(error)
            if said not in told or str(odd) not in told or len(told.split("\n")) > MOST_LINES:
                wrong.append(f"{name}: does not say {said!r}, but: {told}")
        except Exception as error:
            wrong.append(f"{name}: {error!r}")
    assert not wrong, "\n\n".join(wrong)


def test_an_odd_checkpoint_ends_a_run_as_all_else_does(axolotl: Axolotl, shared: Bench, tmp_path: Path) -> None:
    section = {"mixture": "constant", "knowledge": "uniform", "heldout": 4, "update_steps": 1}
    cfg = config(shared.model, shared.files, tmp_path / "out", shared.prepared, max_steps=4, versatune=section)
    assert axolotl.train({**cfg, "save_strategy": "steps", "save_steps": 2}).status == 0
    odd = tmp_path / "out" / "checkpoint-2"
    (odd / DIGESTS_FILE).unlink()
    state = json.loads((odd / STATE_FILE).read_text())
    (odd / STATE_FILE).write_text(json.dumps({**state, "step": True}))
    again = axolotl.train({**cfg, "output_dir": str(tmp_path / "again"), "resume_from_checkpoint": str(odd)})
    case = Case("a step that is true", lambda bench: [], (str(odd), "step: is true"))
    assert faults(case, again.status, again.output) == []
