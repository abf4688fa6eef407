"""The page while a run goes on: on loopback alone, and as new as the record."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.helpers.page import Page
from tests.helpers.records import record_lines, write_run
from versatune_plugin.cli import versatune

LINES = record_lines(["law", "code"])


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    run = write_run(tmp_path / "run", LINES[:4])
    # A process that was started in the background is told to ignore it, and so are its children.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from versatune_plugin.cli import versatune; versatune()"
    command = [sys.executable, "-c", code, "report", str(run), "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield run, process.stdout.readline().strip()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()


def test_it_follows_the_record(served: tuple[Path, str]) -> None:
    run, address = served
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert answer.headers["Refresh"] == "5"
        first = Page(answer.read().decode())
    assert "the run goes on, or was stopped, after step 5 of 35" in first.text
    write_run(run, LINES)
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert "the run goes on" not in Page(answer.read().decode()).text
    (run / "versatune.jsonl").unlink()
    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(address, timeout=30)
    assert list(run.iterdir()) == []
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{address}versatune.jsonl", timeout=30)
    elsewhere = urllib.request.Request(address, headers={"Host": "elsewhere.example"})
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(elsewhere, timeout=30)


def test_it_writes_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", LINES)
    refused = CliRunner().invoke(versatune, ["report", str(run), "--watch", "--out", str(tmp_path / "page.html")])
    assert refused.exit_code == 2
    assert "--watch writes nothing, so there is no --out" in refused.output


def test_what_is_no_run_is_refused_at_once(tmp_path: Path) -> None:
    refused = CliRunner().invoke(versatune, ["report", str(tmp_path), "--watch"])
    assert refused.exit_code == 2
    assert f"{tmp_path}: neither a run" in refused.output
