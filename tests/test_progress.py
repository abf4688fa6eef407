"""Progress: a bar on a terminal, and in a log few lines, each whole."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import tqdm.std

from versatune_plugin.host.quiet import quiet_host
from versatune_plugin.progress import LINE_INTERVAL, Progress, shown_on

ROOT = Path(__file__).parents[1]


class Clock:
    """Stands where tqdm asks for the time."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(tqdm.std, "time", made)
    return made


def lines_of(log: io.StringIO) -> list[str]:
    text = log.getvalue()
    assert "\r" not in text
    assert "\x1b" not in text
    assert text == "" or text.endswith("\n")
    assert "\n\n" not in text
    return text.splitlines()


def test_a_log_gets_a_whole_line_every_half_minute_and_a_last_one(clock: Clock) -> None:
    log = io.StringIO()
    with shown_on(log), Progress("texts", 1000, "text") as shown:
        for _ in range(1000):
            clock.now += 0.125
            shown.note(unparsed="1.5%")
            shown.advance()
    lines = lines_of(log)
    assert len(lines) == 125 // LINE_INTERVAL + 1
    assert lines[0].startswith("texts: 240 of 1000 (24 %), 00:30 gone, 01:35 left,  8.00text/s")
    assert lines[-1].startswith("texts: 1000 of 1000 (100 %), 02:05 gone")
    assert all(line.endswith(", unparsed=1.5%") for line in lines)


def test_slow_steps_get_a_line_each_at_most(clock: Clock) -> None:
    log = io.StringIO()
    with shown_on(log), Progress("steps", 4, "step") as shown:
        for _ in range(4):
            clock.now += 100
            shown.advance()
    assert [line.partition(" (")[0] for line in lines_of(log)] == [f"steps: {done} of 4" for done in (1, 2, 3, 4)]


@pytest.mark.parametrize(("done", "more", "said"), [(0, 3, "3 of 10"), (6, 4, "10 of 10"), (10, 0, "10 of 10")])
def test_what_is_over_in_no_time_gets_one_line(clock: Clock, done: int, more: int, said: str) -> None:
    log = io.StringIO()
    with shown_on(log), Progress("texts", 10, "text", done=done) as shown:
        for _ in range(more):
            shown.advance()
    (line,) = lines_of(log)
    assert line.startswith(f"texts: {said} ")


def test_what_was_done_before_is_not_in_the_rate(clock: Clock) -> None:
    log = io.StringIO()
    with shown_on(log), Progress("texts", 1000, "text", done=900) as shown:
        clock.now += 50
        shown.advance(100)
    assert "2.00text/s" in lines_of(log)[0]


def test_an_error_ends_the_last_line(clock: Clock) -> None:
    log = io.StringIO()

    def fails() -> None:
        with shown_on(log), Progress("texts", 10, "text") as shown:
            shown.advance()
            raise ValueError

    with pytest.raises(ValueError, match="^$"):
        fails()
    assert [line.partition(" (")[0] for line in lines_of(log)] == ["texts: 1 of 10"]


def test_it_is_shown_where_the_host_is_kept_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with quiet_host():
        print("hidden", file=sys.stderr)
        with Progress("texts", 1, "text") as shown:
            shown.advance()
    assert log.getvalue().count("texts: 1 of 1") == 1
    assert "hidden" not in log.getvalue()


CODE = """
import time
from versatune_plugin import progress
progress.BAR_INTERVAL = 0.02
with progress.Progress("texts", 40, "text") as shown:
    for _ in range(40):
        time.sleep(0.01)
        shown.note(unparsed="2.5%")
        shown.advance()
"""


def test_a_terminal_gets_a_bar_with_rate_and_facts() -> None:
    ours, its = pty.openpty()
    # Rows and columns.
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", CODE], stderr=its, cwd=ROOT)
    os.close(its)
    shown = b""
    # Linux ends a terminal whose other side is closed with an error.
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    assert process.wait() == 0
    text = shown.decode()
    states = re.findall(r"texts:\s+(\d+)%\|", text)
    assert len(states) > 3
    assert states[-1] == "100"
    assert text.count("\n") == 1
    assert re.search(r"40/40 \[.*text/s, unparsed=2\.5%\]", text)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def test_the_same_to_a_pipe_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    assert "\r" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("texts: 40 of 40 (100 %)")


def test_nobody_makes_a_bar_of_their_own() -> None:
    package = ROOT / "versatune_plugin"
    of_others = re.compile(r"^\s*(from|import) (tqdm|rich\.progress|rich\.live|rich\.status)\b", re.MULTILINE)
    found = [path for path in package.rglob("*.py") if of_others.search(path.read_text(encoding="utf-8"))]
    assert found == [package / "progress.py"]
