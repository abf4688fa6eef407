"""What a process gives up for good, it and all that it starts: Landlock for files, a seccomp filter for system calls.

Both need `isolation.drop_privileges` first. They hold for a user without any right, in containers that refuse
namespaces too, and neither is undone by calling C functions or starting other programs. Sources: the kernel's
documentation, "Landlock: unprivileged access control" and "Seccomp BPF", and its tables of system calls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable

libc = ctypes.CDLL(None, use_errno=True)

SET_SECCOMP, SECCOMP_FILTER = 22, 2
CREATE_RULESET, ADD_RULE, RESTRICT_SELF, RULESET_VERSION, PATH_BENEATH = 444, 445, 446, 1, 1
EXECUTE, WRITE, READ, LIST, TRUNCATE, IOCTL = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
# Rights over files that each version of Landlock knows.
RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
OF_A_FILE = EXECUTE | WRITE | READ | TRUNCATE | IOCTL

# x86-64 and aarch64, by the system's name for the machine and for its audit; -1: there is none.
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
DENIED = {
    # of other processes: their memory, descriptors, priorities, pages
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "process_madvise": (440, 440), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274), "migrate_pages": (256, 238), "move_pages": (279, 239),
    # any socket but a pair, which an event loop wakes itself with
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    # what would do any of these in the kernel's own name
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    # modes, owners, times and attributes of files, which Landlock leaves alone; so are names without a path
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, -1),
    "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "setxattrat": (463, 463), "removexattrat": (466, 466), "utime": (132, -1), "utimes": (235, -1),
    "futimesat": (261, -1), "utimensat": (280, 88), "truncate": (76, 45), "mknod": (133, -1), "mknodat": (259, 33),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    # memory that no limit counts, and what stays when its process has ended
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # keys, mounts and namespaces
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "mount": (165, 40), "umount2": (166, 39),
    "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433),
    "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268),
}  # fmt: skip
# Whose arguments lie in memory, where a filter cannot look: callers fall back to the older ones.
UNKNOWN = {"clone3": (435, 435), "openat2": (437, 437)}
# The argument that must be 0 or the process itself.
OF_ITSELF = {
    "kill": ((62, 129), 0), "tgkill": ((234, 131), 0), "rt_sigqueueinfo": ((129, 138), 0),
    "rt_tgsigqueueinfo": ((297, 240), 0), "prlimit64": ((302, 261), 0), "sched_setaffinity": ((203, 122), 0),
}  # fmt: skip
CLONE, SENDTO = (56, 220), (44, 206)
NEW_NAMESPACES = 0x7E020000
# Opening for reading only, and emptying by it, is no writing to the first versions of Landlock.
OPENS = {"open": ((2, -1), 1), "openat": ((257, 56), 2)}
ACCESS_AND_TRUNCATE, TRUNCATES = 0o1003, 0o1000

LOAD, AND, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER_AT, MACHINE_AT, ARGUMENTS_AT = 0, 4, 16
OTHER_X86_NUMBERS = 0x40000000


class _Rules(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Path(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def restrict_files(writable: str, readable: Iterable[str], devices: Iterable[str]) -> bool:
    """Leave this process nothing of the file system but a folder of its own and what it may read.

    Args:
        writable: the folder, in which everything is permitted.
        readable: folders and files to read and execute; what is not there is passed over.
        devices: files to read and write.

    Returns:
        Whether the kernel has Landlock (5.13 or later) and permits it. Nothing is restricted otherwise.
    """
    version = _call(CREATE_RULESET, None, 0, RULESET_VERSION)
    if version < 1:
        return False
    rights = RIGHTS[max(known for known in RIGHTS if known <= version)]
    rules = _Rules(rights, 0, 0)
    # The first field is all that the first versions know.
    ruleset = _call(CREATE_RULESET, ctypes.byref(rules), ctypes.sizeof(ctypes.c_uint64), 0)
    if ruleset < 0:
        return False
    permitted = [
        (writable, rights),
        *((path, EXECUTE | READ | LIST) for path in readable),
        *((path, READ | WRITE) for path in devices),
    ]
    for path, allowed in permitted:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        if not os.path.isdir(path):  # noqa: PTH112
            allowed &= OF_A_FILE
        rule = _Path(allowed & rights, descriptor)
        added = _call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
        os.close(descriptor)
        if added != 0:
            return False
    done = _call(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return done == 0


def restrict_calls() -> bool:
    """Leave this process, and whatever it starts, no system call of `DENIED`, nor one that means another process.

    Returns:
        Whether this machine is one of `MACHINES` and permits it. Nothing is restricted otherwise.
    """
    machine = os.uname().machine
    if machine not in MACHINES:
        return False
    instructions = _filter(*MACHINES[machine], os.getpid())
    code = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.cast(code, ctypes.c_void_p))
    return bool(libc.prctl(SET_SECCOMP, SECCOMP_FILTER, ctypes.byref(program), 0, 0) == 0)


def _call(number: int, *arguments: object) -> int:
    done: int = libc.syscall(ctypes.c_long(number), *arguments)
    return done


def _filter(column: int, audit: int, pid: int) -> bytes:
    """The filter as the kernel reads it: instructions of 8 bytes (operation, jump if true, jump if false, value)."""

    def one(operation: int, value: int, true: int = 0, false: int = 0) -> bytes:
        return struct.pack("<HBBI", operation, true, false, value)

    refuse, unknown = one(RETURN, REFUSE | errno.EPERM), one(RETURN, REFUSE | errno.ENOSYS)

    def argument(number: int, upper: bool = False) -> bytes:
        return one(LOAD, ARGUMENTS_AT + 8 * number + 4 * upper)

    def on(call: int, *then: bytes) -> bytes:
        """What happens to one call, unless it passes these, which leave the number to be loaded again."""
        then = (*then, one(LOAD, NUMBER_AT))
        return b"" if call < 0 else one(EQUAL, call, 0, len(then)) + b"".join(then)

    rules = [one(LOAD, MACHINE_AT), one(EQUAL, audit, 1, 0), one(RETURN, KILL), one(LOAD, NUMBER_AT)]
    if column == 0:
        rules += [one(AT_LEAST, OTHER_X86_NUMBERS, 0, 1), refuse]
    rules += [on(calls[column], refuse) for calls in DENIED.values()]
    rules += [on(calls[column], unknown) for calls in UNKNOWN.values()]
    for calls, which in OF_ITSELF.values():
        rules.append(on(calls[column], argument(which), one(EQUAL, 0, 2, 0), one(EQUAL, pid, 1, 0), refuse))
    for calls, which in OPENS.values():
        masked = one(AND, ACCESS_AND_TRUNCATE)
        rules.append(on(calls[column], argument(which), masked, one(EQUAL, TRUNCATES, 0, 1), refuse))
    rules.append(on(CLONE[column], argument(0), one(ANY_BIT, NEW_NAMESPACES, 0, 1), refuse))
    somewhere = (argument(4), one(EQUAL, 0, 0, 2), argument(4, upper=True), one(EQUAL, 0, 1, 0))
    rules.append(on(SENDTO[column], *somewhere, refuse))
    return b"".join([*rules, one(RETURN, ALLOW)])
