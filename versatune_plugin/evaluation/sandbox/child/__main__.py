"""The processes that the executor starts: a supervisor, an init, and the worker in which one program runs.

A folder for a bare interpreter, of the standard library only; what it guarantees is said in
`versatune_plugin.evaluation.sandbox.executor`. Each process is the parent of the next:

- The supervisor makes the program's folder, keeps the clock, watches processes, memory and disk, kills all that is left
  and removes the folder, whether or not the caller still lives.
- The init is the first process of the process namespace, where there is one: with it ends everything in there.
- The worker has limits and no privileges; it runs the program, then the program's tests.

The job comes as JSON on standard input, which the caller keeps open as long as it lives; the report goes as JSON to
standard output. The worker holds neither. All that it has is the verdict pipe: it writes how it is confined, ``R``
before the program runs, and the secret of the job after the tests have run.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import sys
import time
from typing import Any, NoReturn

from confinement import restrict_calls, restrict_files
from isolation import drop_privileges, guard, leave_namespaces, limit, own_files, readable, spare_user
from processes import Idleness, end_all, excess

COMPILED_NOT, RUNS, RAISED, BROKEN = b"C", b"R", b"E", b"S"
CONFINED = {(False, False): b"0", (True, False): b"1", (False, True): b"2", (True, True): b"3"}
LONGEST_VERDICT = 4096
LOOK_EVERY = 0.02
SET_PDEATHSIG, SET_DUMPABLE, SET_CHILD_SUBREAPER = 1, 4, 36
ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
OURS = ("confinement", "isolation", "processes")

libc = ctypes.CDLL(None, use_errno=True)


def work(job: dict[str, Any], user: int | None, verdict: int) -> NoReturn:
    """Run the program and its tests; leave without any of the interpreter's clearing up."""
    # The program may replace whatever it finds in a module: what is needed after it has run is kept in this frame.
    write, leave, run, untraced = os.write, os._exit, exec, (sys.settrace, sys.setprofile)
    try:
        os.setsid()
        os.chdir(job["folder"])
        null = os.open("/dev/null", os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        verdict = os.dup2(verdict, 3, inheritable=False) if verdict != 3 else verdict
        os.closerange(4, 1 << 20)
        drop_privileges(user)
        limit(job, user)
        libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in ENDS:
            signal.signal(number, signal.SIG_DFL)
        confine(job, verdict)
        os.environ.clear()
        program = type(sys)("program")
        sys.modules["__main__"] = sys.modules["program"] = program
        space = program.__dict__
        tests = compile(job["tests"], "<tests>", "exec", dont_inherit=True)
        source, secret = job["program"], job["secret"].encode()
        # The frames below have it too.
        job.clear()
    except BaseException as error:
        write(verdict, BROKEN + f"{type(error).__name__}: {error}".encode()[: LONGEST_VERDICT - 1])
        leave(1)
    try:
        code = compile(source, "<program>", "exec", dont_inherit=True)
    except BaseException:
        write(verdict, COMPILED_NOT)
        leave(0)
    write(verdict, RUNS)
    try:
        run(code, space)
        for trace in untraced:
            trace(None)
        run(tests, space)
    except BaseException as error:
        write(verdict, RAISED + type(error).__name__.encode()[:100])
        leave(1)
    write(verdict, secret)
    leave(0)


def confine(job: dict[str, Any], verdict: int) -> None:
    """Give up what the program must not have, say how far that went, and forget the modules that did it."""
    without = job["without"]
    files = "landlock" not in without and restrict_files(job["folder"], readable(), ["/dev/null"])
    calls = "seccomp" not in without and restrict_calls()
    os.write(verdict, CONFINED[files, calls])
    if not calls or not (files or job["mounts"]):
        guard(job["folder"])
    for name in (*OURS, "ctypes", "_ctypes"):
        sys.modules.pop(name, None)
    sys.path.remove(os.path.dirname(__file__))  # noqa: PTH120


def first(job: dict[str, Any], user: int | None, files: bool, status: int, verdict: int) -> NoReturn:
    """Start the worker, adopt and bury what it leaves, and say how it ended."""
    libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    job["mounts"] = files and own_files(job["folder"], job["disk"])
    os.write(status, b"1" if job["mounts"] else b"0")
    worker = os.fork()
    if worker == 0:
        work(job, user, verdict)
    os.close(verdict)
    while True:
        pid, code, usage = os.wait4(-1, 0)
        if pid == worker:
            os.write(status, f" {code} {usage.ru_utime + usage.ru_stime:.3f}".encode())
            os._exit(0)


def watch(job: dict[str, Any], status: int) -> tuple[str, str]:
    """Wait for the worker's end; what the init said, and why the worker was stopped, if it was."""
    end = time.monotonic() + job["wall_seconds"]
    poll = select.poll()
    poll.register(status, select.POLLIN)
    poll.register(0, 0)
    said, idleness = b"", Idleness()
    while time.monotonic() < end:
        for descriptor, _ in poll.poll(1000 * LOOK_EVERY):
            if descriptor == 0:
                return said.decode(), "caller"
            more = os.read(status, LONGEST_VERDICT)
            said += more
            if not more or b" " in said:
                return said.decode(), ""
        if reason := excess(job, not said.startswith(b"1")):
            return said.decode(), reason
        idleness.look()
        if idleness.seconds > job["waiting_seconds"]:
            return said.decode(), "waiting"
    return said.decode(), "wall-clock time"


def judge(job: dict[str, Any], said: str, reason: str, verdict: bytes) -> dict[str, Any]:
    """The report, from what the init said, why the worker was stopped, and what it had written."""
    if verdict.startswith(BROKEN):
        return {"error": verdict[1:].decode(errors="replace")}
    code, seconds = (int(said.split()[1]), float(said.split()[2])) if " " in said else (None, 0.0)
    if reason in ("waiting", "wall-clock time"):
        return {"verdict": "late", "detail": reason}
    killed = os.WTERMSIG(code) if code is not None and os.WIFSIGNALED(code) else 0
    # The first of the two signals can be ignored; the clock of the limit runs a little ahead of the one that is read.
    if killed == signal.SIGXCPU or (killed == signal.SIGKILL and seconds > 0.9 * job["cpu_seconds"]):
        return {"verdict": "late", "detail": "CPU time"}
    if reason:
        return {"verdict": "excess", "detail": reason}
    if code == 0 and verdict == RUNS + job["secret"].encode():
        return {"verdict": "passed", "detail": ""}
    if code is None and not verdict:
        return {"error": "the process that starts the program ended"}
    if not verdict.startswith(RUNS):
        return {"verdict": "not compiled", "detail": ""}
    if verdict.startswith(RUNS + RAISED):
        # The program could write here, too, and what it may have found is not for a log.
        name = verdict[2:].decode(errors="replace")
        return {"verdict": "failed", "detail": name if name.isidentifier() and job["secret"] not in name else ""}
    return {"verdict": "failed", "detail": "ended early" if code is None else f"ended early, status {code}"}


def remove(folder: str) -> None:
    """Remove the program's folder, whatever modes it has given to what is in it."""
    for inner, names, _ in os.walk(folder):
        for name in names:
            path = f"{inner}/{name}"
            if not os.path.islink(path):  # noqa: PTH114
                os.chmod(path, 0o700)  # noqa: PTH101
    shutil.rmtree(folder, ignore_errors=True)


def supervise(job: dict[str, Any]) -> dict[str, Any]:
    """Run the job in a folder that is there as long as it runs."""
    for number in ENDS:
        # A queue that ends a job signals all its processes; this one ends when the caller does, with nothing left.
        signal.signal(number, signal.SIG_IGN)
    os.mkdir(job["folder"], 0o700)  # noqa: PTH102
    try:
        return run(job)
    finally:
        remove(job["folder"])


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Start the other two processes, wait for them, and report."""
    libc.prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    user = spare_user() if "user" not in job["without"] else None
    if user is not None:
        os.chown(job["folder"], user, user)
    apart = "namespaces" not in job["without"] and leave_namespaces()
    libc.prctl(SET_DUMPABLE, 0, 0, 0, 0)
    status, status_end = os.pipe()
    verdict, verdict_end = os.pipe()
    if os.fork() == 0:
        os.close(status)
        os.close(verdict)
        first(job, user, apart, status_end, verdict_end)
    os.close(status_end)
    os.close(verdict_end)
    said, reason = watch(job, status)
    clean = end_all()
    os.set_blocking(verdict, False)
    try:
        written = os.read(verdict, LONGEST_VERDICT)
    except BlockingIOError:
        written = b""
    confined, written = written[:1], written[1:]
    measures = {
        "namespaces": apart,
        "mounts": said.startswith("1"),
        "user": user is not None,
        "landlock": confined in (b"1", b"3"),
        "seccomp": confined in (b"2", b"3"),
    }
    isolation = [name for name, there in measures.items() if there]
    return {**judge(job, said, reason, written), "isolation": isolation, "clean": clean}


def main() -> None:
    """Read the job, run it, write the report."""
    size = int.from_bytes(os.read(0, 8), "little")
    text = b""
    while len(text) < size:
        more = os.read(0, size - len(text))
        if not more:
            return
        text += more
    os.write(1, json.dumps(supervise(json.loads(text))).encode())


if __name__ == "__main__":
    main()
