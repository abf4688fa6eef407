"""An error of ours ends a process with its message alone and last, and status 2; all else is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import QUIET, Axolotl, Tiny
from versatune_plugin.errors import printable

MISSING = "nowhere.jsonl: no such file"


def python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    code = "from versatune_plugin.host.plain_errors import end_plainly; end_plainly(); end_plainly()\n" + code
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **env}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)


OURS = "from versatune_plugin.errors import DataError; raise DataError('law.jsonl: is empty\\n  - \\x1b[2J')"


def test_ours_is_its_message_and_status_two() -> None:
    ended = python("import atexit; atexit.register(print, 'goodbye'); print('before')\n" + OURS)
    assert (ended.returncode, ended.stdout) == (2, "before\ngoodbye\n")
    assert ended.stderr == "versatune: law.jsonl: is empty\n  - \\x1b[2J\n"


def test_with_the_variable_where_it_was_raised_comes_first() -> None:
    ended = python(OURS, VERSATUNE_DEBUG="1")
    assert ended.returncode == 2
    assert ended.stderr.startswith("Traceback (most recent call last):")
    assert ended.stderr.endswith("\nversatune: law.jsonl: is empty\n  - \\x1b[2J\n")


def test_another_process_of_the_machine_says_it_later() -> None:
    ended = python(OURS, RANK="3", LOCAL_RANK="1")
    assert (ended.returncode, ended.stderr) == (2, "versatune: rank 3: law.jsonl: is empty\n  - \\x1b[2J\n")


@pytest.mark.parametrize(
    ("raised", "status"), [("ValueError('x')", 1), ("SystemExit(7)", 7), ("KeyboardInterrupt", -2)]
)
def test_what_is_not_ours_ends_as_ever(raised: str, status: int) -> None:
    ended = python(f"import sys; raise {raised}")
    assert ended.returncode == status
    assert ("Traceback" in ended.stderr) == (status != 7)
    assert "versatune:" not in ended.stderr


def test_a_hook_of_others_keeps_what_is_not_ours() -> None:
    code = "import sys; sys.excepthook = lambda kind, error, where: print('theirs', error)\nend_plainly()\n"
    assert python(code + "raise ValueError('x')").stdout == "theirs x\n"
    assert python(code + OURS).returncode == 2


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("law \u6cd5 caf\u00e9\nnext", "law \u6cd5 caf\u00e9\nnext"),
        ("\x1b[31mred\r\b\x07\x00\t", "\\x1b[31mred\\r\\x08\\x07\\x00\\t"),
        ("\u202e\u2066\u200b\u2028", "\\u202e\\u2066\\u200b\\u2028"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_cannot_be_seen_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.fixture
def cfg(tiny: Tiny, tmp_path: Path) -> dict[str, Any]:
    made = tiny.config(tmp_path / "out", versatune={"mixture": "uniform", "heldout": 2}, max_steps=1)
    made["datasets"][0]["path"] = "nowhere.jsonl"
    return made


def test_axolotls_log_has_where_it_was_raised(axolotl: Axolotl, cfg: dict[str, Any], tmp_path: Path) -> None:
    ended = axolotl.train(cfg)
    assert ended.status == 2
    assert MISSING in ended.message
    log = (tmp_path / "out" / "debug.log").read_text()
    assert "Traceback (most recent call last)" in log
    assert "in check_files" in log
    assert log.rstrip().endswith(ended.message.rstrip())


def test_preprocess_says_it_alike(axolotl: Axolotl, cfg: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "cfg.yml"
    file.write_text(yaml.safe_dump(cfg))
    ended = axolotl.run("axolotl.cli.preprocess", str(file))
    assert ended.status == 2
    assert MISSING in ended.message


def test_every_process_ends_and_one_speaks(axolotl: Axolotl, cfg: dict[str, Any]) -> None:
    ended = axolotl.train(cfg, processes=2)
    assert ended.status == 2
    assert MISSING in ended.outputs[0]
    assert ended.outputs[1].count("nowhere.jsonl") <= 1
    assert "Traceback (most recent call last)" not in ended.output


def test_a_quiet_launcher_adds_nothing(cfg: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "cfg.yml"
    file.write_text(yaml.safe_dump(cfg))
    argv = ["-m", "accelerate.commands.launch", "--quiet", "--cpu", "-m", "axolotl.cli.train", str(file)]
    env = {**os.environ, **QUIET, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run([sys.executable, *argv], capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    # The launcher has one status for all failures.
    assert ended.returncode == 1
    assert "Traceback (most recent call last)" not in ended.stderr
    assert MISSING in ended.stderr.splitlines()[-1]
