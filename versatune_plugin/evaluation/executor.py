"""Runs a program that a model wrote, and its tests, in a process of its own: damage limitation, no security boundary.

Every program gets a bare interpreter: no environment, no site packages, standard streams on ``/dev/null``, a temporary
folder as its current one, limits on CPU time, wall-clock time, memory, files and processes. All processes that it
started are killed at the end, daemons included, and its folder is removed.

How far it is kept apart depends on what the system permits; `Outcome.isolation` says what there was:

- ``processes``, ``network`` (namespaces; root, or a system on which users may make them): it neither sees nor signals
  other processes, and there is no network. Without: an audit hook refuses sockets and other programs, which code that
  calls C functions gets round; and it may signal processes of its user, the evaluation among them, read what they were
  started with (keys in the environment), or kill its supervisor and stay.
- ``files`` (a mount namespace, with a kernel of 5.12 or later): all but its folder is read-only. Without: it can write
  and delete what its user can. Either way it can *read* whatever its user can.
- ``user`` (only when started as root): it runs as a user that owns nothing. Where root alone can read the standard
  library, it keeps the privilege to read any file. Root without it: the system's limit on processes does not hold,
  and they are only counted, every 20 ms.

A pass is what the harness in the worker says by a secret, after the tests have run, on a pipe; then the worker must end
with status 0. Printing, leaving early by whatever way, closing descriptors, replacing builtins or modules do not amount
to one. But program and harness share an interpreter: a program written to deceive can find the secret in the harness's
frame, trace the tests from inside a call and jump over them, or return an object that is equal to everything. Run it in
a container or a virtual machine if programs may be hostile.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import selectors
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from versatune_plugin.errors import VersaTuneError

LOG = logging.getLogger("versatune.evaluation")
CONSENT = "HF_ALLOW_CODE_EVAL"
CHILD = Path(__file__).with_name("executor_child.py")
# Longer than the child gives itself for killing what is left.
PATIENCE = 30.0

Verdict = Literal["passed", "failed", "late", "excess", "not compiled"]


@dataclass(frozen=True)
class Limits:
    """What a program may take.

    Attributes:
        cpu_seconds: CPU time of each process; the same on a busy machine and an idle one.
        wall_seconds: time until all of it is killed.
        memory: bytes of address space of each process, and of resident memory of all together.
        disk: bytes of each file, and of all files in its folder together.
        processes: processes at a time; threads count.
        files: open files of each process.
    """

    cpu_seconds: int = 10
    wall_seconds: float = 60.0
    memory: int = 1 << 30
    disk: int = 32 << 20
    processes: int = 16
    files: int = 64


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Attributes:
        verdict: ``passed``; ``failed`` (an exception, or it ended before its tests had); ``late`` (CPU or wall-clock
            time); ``excess`` (processes, memory or disk, of all processes together); ``not compiled``.
        detail: the exception's name, or what there was too much of.
        isolation: which of ``processes``, ``network``, ``files`` and ``user`` there was.
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
        raise VersaTuneError(
            "HumanEval and MBPP run code that a model wrote, within limits that only Linux has, and this is "
            f"{sys.platform}. Run them on Linux, in a container for example"
        )
    if os.environ.get(CONSENT) != "1":
        raise VersaTuneError(
            "HumanEval and MBPP run code that a model wrote on this machine. If you accept that, set the environment "
            f"variable {CONSENT}=1 and pass --confirm_run_unsafe_code to lm_eval; else leave the two tasks out"
        )


def execute(
    program: str,
    tests: str,
    limits: Limits | None = None,
    namespaces: bool = True,
    other_user: bool = True,
) -> Outcome:
    """Run a program, then its tests in the same namespace. Takes about 50 ms more than the program itself.

    Args:
        program: source of a module named ``program``.
        tests: source that raises an exception where the program is wrong.
        limits: what it may take; None for the usual limits.
        namespaces: use namespaces where the system permits it.
        other_user: as root, use another user where the system permits it.

    Raises:
        VersaTuneError: no consent, or the executor itself does not work here.
    """
    require_consent()
    with tempfile.TemporaryDirectory(prefix="versatune-", ignore_cleanup_errors=True) as folder:
        job = {
            **asdict(limits or Limits()),
            "program": program,
            "tests": tests,
            "secret": secrets.token_hex(16),
            "folder": folder,
            "namespaces": namespaces,
            "other_user": other_user,
        }
        return _outcome(*_run(json.dumps(job).encode(), float(job["wall_seconds"])))


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
        raise VersaTuneError(f"the child process of the executor failed: {errors.decode(errors='replace')[-2000:]}")
    said = json.loads(report)
    if "error" in said:
        raise VersaTuneError(f"the executor cannot run a program here: {said['error']}")
    if not said["clean"]:
        LOG.warning("a process that a tested program started could not be killed")
    return Outcome(said["verdict"], said["detail"], frozenset(said["isolation"]))
