"""Processes as /proc shows them: which there are, what they take, and the end of them."""

from __future__ import annotations

import os
import resource
import signal
import time
from typing import Any

GIVE_UP_KILLING = 10.0


def read_file(path: str) -> str:
    """A file of /proc; empty where its process is gone."""
    try:
        with open(path) as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def write_file(path: str, text: str) -> None:
    """Write a file of /proc."""
    with open(path, "w") as file:  # noqa: PTH123
        file.write(text)


def entries(path: str) -> list[str]:
    """The numbers in a folder of /proc; none where its process is gone."""
    try:
        return [name for name in os.listdir(path) if name.isdigit()]  # noqa: PTH208
    except OSError:
        return []


def tasks_of(user: int) -> int:
    """Threads of a user, as the limit on processes counts them."""
    number = 0
    for pid in entries("/proc"):
        try:
            if os.stat(f"/proc/{pid}").st_uid == user:  # noqa: PTH116
                number += len(entries(f"/proc/{pid}/task"))
        except OSError:
            continue
    return number


def descendants() -> list[int]:
    """Children of this process, their children, and so on; daemons are among them, as this process adopts them."""
    found: list[int] = []
    pending = [os.getpid()]
    while pending:
        pid = pending.pop()
        below = [
            int(child)
            for task in entries(f"/proc/{pid}/task")
            for child in read_file(f"/proc/{pid}/task/{task}/children").split()
        ]
        found += below
        pending += below
    return found


def send(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to those that are still there."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def end_all() -> bool:
    """Kill every descendant; whether none is left."""
    end = time.monotonic() + GIVE_UP_KILLING
    while time.monotonic() < end:
        # What is stopped forks no more, so that killing comes to an end.
        stopped: list[int] = []
        while new := sorted(set(descendants()).difference(stopped)):
            send(new, signal.SIGSTOP)
            stopped += new
        send(stopped, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return True
        time.sleep(0.001)
    return False


def excess(job: dict[str, Any], folder_counts: bool) -> str:
    """What the processes take too much of together; empty where nothing is."""
    # The init is none of the program's.
    pids = descendants()[1:]
    if len(pids) > job["processes"]:
        return "processes"
    pages = sum(int(text.split()[1]) for pid in pids if (text := read_file(f"/proc/{pid}/statm")))
    if pages * resource.getpagesize() > job["memory"]:
        return "memory"
    if folder_counts:
        taken = 0
        for folder, _, names in os.walk(job["folder"]):
            for name in names:
                try:
                    taken += os.lstat(f"{folder}/{name}").st_blocks * 512
                except OSError:
                    continue
        if taken > job["disk"]:
            return "disk"
    return ""


class Idleness:
    """How long the program has waited for something that is no processor, as seen at each `look`.

    A program that sleeps waits on every machine; one that is ready to run does not, however busy the machine is.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._looked = time.monotonic()
        self._active: dict[str, float] = {}

    def look(self) -> None:
        """Add what has passed since the last look, less what the threads of all processes ran or could have run."""
        now = time.monotonic()
        passed, self._looked = now - self._looked, now
        active = {}
        # The init is none of the program's.
        for pid in descendants()[1:]:
            for task in entries(f"/proc/{pid}/task"):
                if text := read_file(f"/proc/{pid}/task/{task}/schedstat"):
                    ran, queued, _ = text.split()
                    active[task] = (int(ran) + int(queued)) / 1e9
        before, self._active = self._active, active
        if active:
            self.seconds += max(passed - sum(total - before.get(task, 0.0) for task, total in active.items()), 0.0)
