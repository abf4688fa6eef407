"""The processes that the executor starts: a supervisor, an init, and the worker in which one program runs.

A script for a bare interpreter, of the standard library only; what it guarantees is said in
`versatune_plugin.evaluation.executor`. Each process is the parent of the next:

- The supervisor keeps the clock, watches processes, memory and disk, and kills all that is left.
- The init is the first process of the process namespace, where there is one: with it ends everything in there.
- The worker has limits and no privileges; it runs the program, then the program's tests.

The job comes as JSON on standard input, which the caller keeps open as long as it lives; the report goes as JSON to
standard output. The worker holds neither. All that it has is the verdict pipe: it writes ``R`` before the program
runs, and the secret of the job after the tests have run.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any, NoReturn

COMPILED_NOT, RUNS, RAISED, BROKEN = b"C", b"R", b"E", b"S"
LONGEST_VERDICT = 4096
LOOK_EVERY = 0.02
GIVE_UP_KILLING = 10.0

SET_PDEATHSIG, SET_DUMPABLE, SET_KEEPCAPS, SET_CHILD_SUBREAPER, SET_NO_NEW_PRIVS = 1, 4, 8, 36, 38
NEW_FILES, NEW_IPC, NEW_USERS, NEW_PROCESSES, NEW_NETWORK = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 16384, 1 << 18
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, ATTR_READ_ONLY = 442, -100, 0x8000, 1
CAPABILITY_VERSION, READ_ANYTHING = 0x20080522, 1 << 2

# A user of its own for each run, so that the limit on processes counts this run alone: nothing hands out these numbers.
FIRST_USER, NOBODY = 3_000_000_000, 65534

libc = ctypes.CDLL(None, use_errno=True)


# Isolation


def leave_namespaces() -> bool:
    """New namespaces of processes, network and System V memory, and of users where that is what permits the others."""
    wanted = NEW_PROCESSES | NEW_NETWORK | NEW_IPC
    user, group = os.getuid(), os.getgid()
    if user == 0:
        return libc.unshare(wanted) == 0
    if libc.unshare(wanted | NEW_USERS) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        write_file(f"/proc/self/{name}", text)
    return True


def own_files(folder: str, size: int) -> bool:
    """A view of the files in which nothing but ``folder`` can be written, itself in memory and bounded in size."""
    here = os.fsencode(folder)
    if libc.unshare(NEW_FILES) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        return False
    quiet = MS_NOSUID | MS_NODEV
    # Else the worker would see the processes outside, and the environment of those of its user.
    if libc.mount(b"proc", b"/proc", b"proc", quiet | MS_NOEXEC, None) != 0:
        libc.mount(b"none", b"/proc", b"tmpfs", quiet | MS_NOEXEC, b"size=4k")
    if libc.mount(b"none", here, b"tmpfs", quiet, f"size={size},nr_inodes=4096,mode=0777".encode()) != 0:
        return False
    return read_only(b"/", True, AT_RECURSIVE) and read_only(here, False, 0)


def read_only(path: bytes, on: bool, flags: int) -> bool:
    """Whether a mount, or with ``AT_RECURSIVE`` also those below it, could be made read-only, or writable again."""
    attributes = (ctypes.c_uint64 * 4)(ATTR_READ_ONLY * on, ATTR_READ_ONLY * (not on), 0, 0)
    numbers = [ctypes.c_long(number) for number in (MOUNT_SETATTR, AT_FDCWD, flags)]
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    return bool(libc.syscall(numbers[0], numbers[1], path, numbers[2], attributes, size) == 0)


def become(user: int) -> None:
    """Become a user who has no groups.

    Raises:
        OSError: this is not permitted, or there is no such user in this namespace.
    """
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def spare_user() -> int | None:
    """The user that root can become, tried in a process of its own; None where it cannot, or there is no need."""
    for user in (FIRST_USER + os.getpid(), NOBODY) if os.getuid() == 0 else ():
        trial = os.fork()
        if trial == 0:
            try:
                become(user)
            except OSError:
                os._exit(1)
            os._exit(0)
        if os.waitpid(trial, 0)[1] == 0:
            return user
    return None


def drop_privileges(user: int | None) -> None:
    """Lose every capability for good, except to read where the standard library belongs to root alone."""
    kept = 0
    if user is not None:
        libc.prctl(SET_KEEPCAPS, 1, 0, 0, 0)
        become(user)
        try:
            with open(os.__file__, "rb"):  # noqa: PTH123
                pass
        except PermissionError:
            kept = READ_ANYTHING
    header, sets = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    libc.capset(header, sets)
    libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(SET_DUMPABLE, 0, 0, 0, 0)


def limit(job: dict[str, Any], user: int | None) -> None:
    """Set every limit of the worker, soft and hard."""
    others = 0 if user is not None and user != NOBODY else tasks_of(os.getuid() if user is None else user)
    for which, most in (
        (resource.RLIMIT_AS, job["memory"]),
        (resource.RLIMIT_FSIZE, job["disk"]),
        (resource.RLIMIT_NPROC, others + job["processes"]),
        (resource.RLIMIT_NOFILE, job["files"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (least, least))
    resource.setrlimit(resource.RLIMIT_CPU, (job["cpu_seconds"], job["cpu_seconds"] + 1))


def no_network(apart: bool) -> None:
    """Refuse what would reach a network; for good, as the interpreter cannot be told to forget a hook.

    Without a namespace other programs are refused as well: this hook would not go along with them.
    """
    refused = set() if apart else {"os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"}
    reaching = (
        "bind",
        "connect",
        "getaddrinfo",
        "gethostbyaddr",
        "gethostbyname",
        "getnameinfo",
        "sendmsg",
        "sendto",
    )
    refused |= {f"socket.{name}" for name in reaching}
    # An event loop wakes itself through a pair of these.
    unix = 1

    def refuse(*_: Any) -> NoReturn:
        raise PermissionError("neither a network nor other programs here")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in refused or (event == "socket.__new__" and arguments[1] != unix):
            refuse()
        if event == "import" and arguments[0] == "_posixsubprocess" and not apart:
            refuse()

    if not apart:
        # It starts programs without an event, for `multiprocessing` for example.
        import _posixsubprocess

        _posixsubprocess.fork_exec = refuse
    sys.addaudithook(hook)


# Processes


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
    ahead = [os.getpid()]
    while ahead:
        pid = ahead.pop()
        below = [
            int(child)
            for task in entries(f"/proc/{pid}/task")
            for child in read_file(f"/proc/{pid}/task/{task}/children").split()
        ]
        found += below
        ahead += below
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


# The three processes


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
        os.environ.clear()
        no_network(job["apart"])
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


def first(job: dict[str, Any], user: int | None, files: bool, status: int, verdict: int) -> NoReturn:
    """Start the worker, adopt and bury what it leaves, and say how it ended."""
    libc.prctl(SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    own = files and own_files(job["folder"], job["disk"])
    os.write(status, b"1" if own else b"0")
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
    said = b""
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
    return said.decode(), "time"


def judge(job: dict[str, Any], said: str, reason: str, verdict: bytes) -> dict[str, Any]:
    """The report, from what the init said, why the worker was stopped, and what it had written."""
    if verdict.startswith(BROKEN):
        return {"error": verdict[1:].decode(errors="replace")}
    code, seconds = (int(said.split()[1]), float(said.split()[2])) if " " in said else (None, 0.0)
    if reason == "time":
        return {"verdict": "late", "detail": "wall-clock time"}
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
        return {"verdict": "failed", "detail": verdict[2:].decode(errors="replace")}
    return {"verdict": "failed", "detail": "ended early" if code is None else f"ended early, status {code}"}


def supervise(job: dict[str, Any]) -> dict[str, Any]:
    """Run the job."""
    libc.prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    user = spare_user() if job["other_user"] else None
    if user is not None:
        os.chown(job["folder"], user, user)
    apart = job["apart"] = job["namespaces"] and leave_namespaces()
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
    if reason == "caller":
        import shutil

        # Who would have removed it is gone.
        shutil.rmtree(job["folder"], ignore_errors=True)
    os.set_blocking(verdict, False)
    try:
        written = os.read(verdict, LONGEST_VERDICT)
    except BlockingIOError:
        written = b""
    measures = {"processes": apart, "network": apart, "files": said.startswith("1"), "user": user is not None}
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
