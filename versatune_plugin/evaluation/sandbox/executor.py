"""Runs a program that a model wrote, and its tests, in a process of its own: damage limitation, no security boundary.

Every program gets a bare interpreter: no environment, no site packages, standard streams on ``/dev/null``, a temporary
folder as its current one, limits on CPU time, waiting, wall-clock time, memory, files and processes. All processes that
it started are killed at the end, daemons included, and its folder is removed.

What it is kept from (`PREVENTED`), and by which measures; `Outcome.isolation` says which of them there were:

- ``landlock`` (a kernel of 5.13 or later): it writes and deletes nothing outside its folder, and reads nothing but the
  interpreter and the system's own programs.
- ``seccomp`` (x86-64 and aarch64): no sockets, no signals to other processes nor looks into them, no changed modes,
  owners or times of files, no memory that no limit counts.
- ``namespaces``, ``mounts`` (root, or a system on which users may make them): it neither sees nor signals other
  processes, there is no network, and all but its folder is read-only.
- ``user`` (only when started as root): it runs as a user that owns nothing.

Each of the first two holds for a plain user in a usual container, and so do the same denials on every machine: where
namespaces would permit a socket or a signal, the filter refuses them all the same, so that a score does not depend on
the machine. Where files, network and processes cannot all be protected, nothing runs unless the user accepts what is
named (`UNPROTECTED`); Python's own functions are then guarded by an audit hook, which is no match for a program that
means harm.

A pass is what the harness in the worker says by a secret, after the tests have run, on a pipe; then the worker must end
with status 0. Printing, leaving early by whatever way, closing descriptors, replacing builtins or modules do not amount
to one. But program and harness share an interpreter: a program written to deceive can find the secret in the harness's
frame, trace the tests from inside a call and jump over them, or return an object that is equal to everything. And the
kernel itself is in its reach: run it in a container or a virtual machine if programs may be hostile.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Set
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from versatune_plugin.errors import ConfigurationError

LOG = logging.getLogger("versatune.evaluation")
CONSENT = "HF_ALLOW_CODE_EVAL"
UNPROTECTED = "VERSATUNE_CODE_EVAL_UNPROTECTED"
CHILD = Path(__file__).with_name("child")
# Longer than the child gives itself for killing what is left.
PATIENCE = 30.0

# What a program is kept from, and what that is in words.
PREVENTED = {
    "files": "changing and deleting your files",
    "network": "reaching a network, or services of this machine",
    "processes": "signalling your other processes, and reading their memory and environment, keys included",
    "reading": "reading your files",
}
# Without a network, what is read goes nowhere.
REQUIRED = ("files", "network", "processes")

Verdict = Literal["passed", "failed", "late", "excess", "not compiled"]


@dataclass(frozen=True)
class Limits:
    """What a program may take.

    Attributes:
        cpu_seconds: CPU time of each process; the same on a busy machine and an idle one.
        waiting_seconds: for anything but a processor; a program that sleeps does so on every machine.
        wall_seconds: time until all of it is killed.
        memory: bytes of address space of each process, and of resident memory of all together.
        disk: bytes of each file, and of all files in its folder together.
        processes: processes at a time; threads count.
        files: open files of each process.
    """

    cpu_seconds: int = 10
    waiting_seconds: float = 10.0
    wall_seconds: float = 60.0
    memory: int = 1 << 30
    disk: int = 32 << 20
    processes: int = 16
    files: int = 64


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Attributes:
        verdict: ``passed``; ``failed`` (an exception, or it ended before its tests had); ``late`` (CPU time, waiting or
            wall-clock time); ``excess`` (processes, memory or disk, of all processes together); ``not compiled``.
        detail: the exception's name, or what there was too much of.
        isolation: which measures there were: ``landlock``, ``seccomp``, ``namespaces``, ``mounts``, ``user``.
    """

    verdict: Verdict
    detail: str
    isolation: frozenset[str]


def require_consent() -> None:
    """Check that code of a model may run here.

    Raises:
        VersaTuneError: the user has not said so, or this is no Linux.
    """
    if sys.platform != "linux":
        raise ConfigurationError(
            "HumanEval and MBPP run code that a model wrote, within limits that only Linux has, and this is "
            f"{sys.platform}. Run them on Linux, in a container for example"
        )
    if os.environ.get(CONSENT) != "1":
        raise ConfigurationError(
            "HumanEval and MBPP run code that a model wrote on this machine. If you accept that, set the environment "
            f"variable {CONSENT}=1 and pass --confirm_run_unsafe_code to lm_eval; else leave the two tasks out"
        )


def prevented(isolation: Set[str]) -> frozenset[str]:
    """Which of `PREVENTED` the measures in `Outcome.isolation` amount to."""
    confined = {"landlock", "seccomp"} <= isolation
    there = {
        "files": confined or "mounts" in isolation,
        "network": "seccomp" in isolation or {"namespaces", "user"} <= isolation,
        "processes": confined or bool({"namespaces", "user"} & isolation),
        "reading": "landlock" in isolation,
    }
    return frozenset(name for name, is_there in there.items() if is_there)


def require_protection() -> None:
    """Check, with an empty program, that this system keeps programs from harm, or that the user accepts what it cannot.

    Raises:
        VersaTuneError: no consent; or something of `REQUIRED` is not prevented here and not named by `UNPROTECTED`.
    """
    require_consent()
    there = prevented(_trial())
    accepted = {name.strip() for name in os.environ.get(UNPROTECTED, "").split(",")} - {""}
    if unknown := sorted(accepted - set(REQUIRED)):
        raise ConfigurationError(f"{UNPROTECTED} names {', '.join(unknown)}, but can only name {', '.join(REQUIRED)}")
    if open_ways := [name for name in REQUIRED if name not in there and name not in accepted]:
        raise ConfigurationError.collected(
            "this system cannot keep programs that a model wrote from",
            [
                *(f"{name}: {PREVENTED[name]}" for name in open_ways),
                "Run HumanEval and MBPP on a kernel of 5.13 or later with Landlock, in a container that permits it or "
                "where users may make namespaces; or leave them out. In a container or virtual machine where nothing "
                f"can be harmed, accept it by the environment variable {UNPROTECTED}={','.join(open_ways)}",
            ],
        )


@cache
def _trial() -> frozenset[str]:
    there = _execute("", "", Limits(), frozenset()).isolation
    if exposed := [PREVENTED[name] for name in PREVENTED if name not in prevented(there)]:
        LOG.warning("nothing but their good will keeps tested programs from %s", "; and from ".join(exposed))
    return there


def execute(program: str, tests: str, limits: Limits | None = None, without: Set[str] = frozenset()) -> Outcome:
    """Run a program, then its tests in the same namespace. Takes about 50 ms more than the program itself.

    Args:
        program: source of a module named ``program``.
        tests: source that raises an exception where the program is wrong.
        limits: what it may take; None for the usual limits.
        without: measures of `Outcome.isolation` that are not to be taken, as on a system that has none; the caller
            answers for what is then not prevented.

    Raises:
        VersaTuneError: no consent, or not enough protection; or the executor itself does not work here.
    """
    if without:
        require_consent()
    else:
        require_protection()
    return _execute(program, tests, limits or Limits(), without)


def _execute(program: str, tests: str, limits: Limits, without: Set[str]) -> Outcome:
    # The child makes the folder and removes it; it is left to us if the program has killed the child.
    folder = Path(tempfile.gettempdir()) / f"versatune-{secrets.token_hex(8)}"
    job = {
        **asdict(limits),
        "program": program,
        "tests": tests,
        "secret": secrets.token_hex(16),
        "folder": str(folder),
        "without": sorted(without),
    }
    try:
        return _outcome(*_run(json.dumps(job).encode(), limits.wall_seconds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(job: bytes, seconds: float) -> tuple[int, bytes, bytes]:
    """Exit status, output and errors of a child that got this job."""
    # Sets and dictionaries come in the same order each time; some interpreters are found only by the second variable.
    environment = {"PYTHONHASHSEED": "0"}
    environment.update({name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ})
    # No -I: it would make the interpreter ignore PYTHONHASHSEED. With this environment, -s -P comes to the same.
    with subprocess.Popen(
        [sys.executable, "-s", "-P", "-S", "-B", "-X", "utf8", str(CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        cwd="/",
        start_new_session=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            try:
                child.stdin.write(len(job).to_bytes(8, "little") + job)
                child.stdin.flush()
            except BrokenPipeError:
                pass
            with selectors.DefaultSelector() as ready:
                ready.register(child.stdout, selectors.EVENT_READ)
                # Standard input stays open meanwhile: that it is closed tells the child that nobody waits any more.
                report = child.stdout.read() if ready.select(seconds + PATIENCE) else b""
        except BaseException:
            # Told so, it ends all that the program has started; killed, it could not.
            with contextlib.suppress(OSError):
                child.stdin.close()
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(PATIENCE)
            finally:
                child.kill()
            raise
        child.kill()
        errors = child.stderr.read()
    return child.returncode, report, errors


def _outcome(status: int, report: bytes, errors: bytes) -> Outcome:
    if not report:
        if status < 0:
            return Outcome("failed", "its supervisor was killed", frozenset())
        raise ConfigurationError(f"the child process of the executor failed: {errors.decode(errors='replace')[-2000:]}")
    said = json.loads(report)
    if "error" in said:
        raise ConfigurationError(f"the executor cannot run a program here: {said['error']}")
    if not said["clean"]:
        LOG.warning("a process that a tested program started could not be killed")
    return Outcome(said["verdict"], said["detail"], frozenset(said["isolation"]))
