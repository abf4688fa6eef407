"""Namespaces, users and limits: what the system can keep a program apart with, as far as it permits."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from typing import Any, NoReturn

from processes import tasks_of, write_file

SET_DUMPABLE, SET_KEEPCAPS, SET_NO_NEW_PRIVS = 4, 8, 38
NEW_FILES, NEW_IPC, NEW_USERS, NEW_PROCESSES, NEW_NETWORK = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 16384, 1 << 18
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, ATTR_READ_ONLY = 442, -100, 0x8000, 1
CAPABILITY_VERSION, READ_ANYTHING = 0x20080522, 1 << 2

# A user of its own for each run, so that the limit on processes counts this run alone: nothing hands out these numbers.
FIRST_USER, NOBODY = 3_000_000_000, 65534

libc = ctypes.CDLL(None, use_errno=True)


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


# What changes files: the places of paths among the arguments of the event, and of the folders they are relative to.
CHANGES = {
    "os.remove": ((0, 1),), "os.rmdir": ((0, 1),), "os.mkdir": ((0, 2),), "os.rename": ((0, 2), (1, 3)),
    "os.link": ((0, 2), (1, 3)), "os.symlink": ((1, 2),), "os.truncate": ((0, None),), "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),), "os.utime": ((0, 3),), "os.setxattr": ((0, None),), "os.removexattr": ((0, None),),
}  # fmt: skip
REFUSED = (
    "os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen", "os.kill", "os.killpg", "socket.bind",
    "socket.connect", "socket.getaddrinfo", "socket.gethostbyaddr", "socket.gethostbyname", "socket.getnameinfo",
    "socket.sendmsg", "socket.sendto", "ctypes.dlopen", "ctypes.dlsym", "signal.pthread_kill",
)  # fmt: skip
UNIX_SOCKETS = 1
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def guard(folder: str) -> None:
    """Refuse, for good, what reaches out of a folder by Python's own functions: the last resort.

    An interpreter cannot be told to forget an audit hook, but C functions and other programs do not ask it; so both are
    refused, as far as they are reached by name. It is no match for a program that means harm.
    """
    import _posixsubprocess

    home, real, link = os.path.realpath(folder) + os.sep, os.path.realpath, os.readlink
    join, number = os.path.join, (int, type(None))

    def refuse(*_: Any) -> NoReturn:
        raise PermissionError("not permitted to a program under test")

    def inside(path: Any, of: int = -1) -> bool:
        where = "" if of == -1 else link(f"/proc/self/fd/{of}")
        return isinstance(path, number) or (real(join(where, os.fsdecode(path))) + os.sep).startswith(home)

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event in REFUSED or (event == "socket.__new__" and given[1] != UNIX_SOCKETS):
            refuse()
        if event == "import" and given[0] in ("_posixsubprocess", "_ctypes"):
            refuse()
        if event == "open" and given[2] & WRITES and given[0] != os.devnull and not inside(given[0]):
            refuse()
        for path, of in CHANGES.get(event, ()):
            if not inside(given[path], -1 if of is None else given[of]):
                refuse()

    # It starts programs without an event, for `multiprocessing` for example.
    _posixsubprocess.fork_exec = refuse
    sys.addaudithook(hook)


def readable() -> list[str]:
    """What the interpreter and the system's own programs are made of, and nothing of a user's."""
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    devices = [f"/dev/{name}" for name in ("zero", "full", "random", "urandom")]
    return [
        sys.base_prefix,
        sys.base_exec_prefix,
        *filter(None, libraries),
        *devices,
        *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/nix/store", "/gnu/store"),
        *("/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/alternatives"),
    ]
