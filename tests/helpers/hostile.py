"""Sixty and more programs that mean harm, and whether each could do it: run as a script by root or by a plain user.

A deed is a program that raises where it is refused; what it must have changed is looked at from outside as well. The
script prints one JSON object, deed -> whether it was done.

    python -m tests.helpers.hostile --without namespaces,user [--plain]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from versatune_plugin.evaluation.sandbox.executor import Limits, execute

SECRET = "a-key-of-the-user"
LIBC = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
# On the stack an argument has eight bytes, of which a plain int fills four.
CALL = LIBC + (
    "def call(*given):\n"
    "    done = libc.syscall(*[ctypes.c_long(one) if isinstance(one, int) else one for one in given])\n"
    "    assert done >= 0, ctypes.get_errno()\n    return done\n"
)

# What it is about -> deed -> program. FILE, FOLDER, FIFO, SOCKET and DATAGRAM are paths, PID a process of the user.
DEEDS: dict[str, dict[str, str]] = {
    "files": {
        "remove": "os.remove(FILE)",
        "overwrite": "open(FILE, 'w').write('gone')",
        "append": "open(FILE, 'a').write('more')",
        "empty by its name": "os.truncate(FILE, 0)",
        "empty while reading": "os.open(FILE, os.O_RDONLY | os.O_TRUNC)",
        "rename": "os.rename(FILE, FILE + '-moved')",
        "move into its own folder": "os.rename(FILE, 'taken')",
        "replace by its own": "open('mine', 'w').write('x')\nos.replace('mine', FILE)",
        "remove a tree": "shutil.rmtree(FOLDER)",
        "change the mode": "os.chmod(FILE, 0)",
        "change the owner": "os.chown(FILE, os.getuid(), os.getgid())",
        "change the time": "os.utime(FILE, (0, 0))",
        "set an attribute": "os.setxattr(FILE, 'user.mark', b'x')",
        "link and write": "os.link(FILE, 'mine')\nopen('mine', 'w').write('gone')",
        "create": "open(FOLDER + '/new', 'x')",
        "create a folder": "os.mkdir(FOLDER + '/new')",
        "create a link": "os.symlink('/etc', FOLDER + '/new')",
        "create a fifo": "os.mkfifo(FOLDER + '/new')",
        "write to a fifo": "open(FIFO, 'w').write('x')",
        "write to /tmp": "name = f'/tmp/hostile-{os.getpid()}'\nopen(name, 'x')\nos.remove(name)",
        "write to /dev/shm": "name = f'/dev/shm/hostile-{os.getpid()}'\nopen(name, 'x')\nos.remove(name)",
        "a C function": LIBC + "assert libc.unlink(FILE.encode()) == 0",
        "another program": "subprocess.run(['/bin/rm', FILE], check=True)",
        "a shell": "assert os.system(f'echo gone > {FILE}') == 0",
        "a child": "if os.fork() == 0:\n    os.remove(FILE)\n    os._exit(0)\nassert os.wait()[1] == 0",
        "a thread": "thread = threading.Thread(target=os.remove, args=[FILE])\nthread.start()\nthread.join()\n"
        "assert not os.path.exists(FILE)",
        "a way round by /proc": "open(f'/proc/self/root{FILE}', 'w').write('gone')",
        "an io_uring": CALL + "call(425, 8, ctypes.create_string_buffer(256))",
    },
    "reading": {
        "read": "assert 'here' in open(FILE).read()",
        "list": "assert os.listdir(FOLDER)",
        "a C function": LIBC + "assert libc.open(FILE.encode(), 0) >= 0",
        "another program": "assert subprocess.run(['/bin/cat', FILE], capture_output=True, check=True).stdout",
        "by way of another process": "assert 'here' in open(f'/proc/{PID}/root{FILE}').read()",
        "the system's users": "assert open('/etc/passwd').read()",
    },
    "processes": {
        "kill": "os.kill(PID, 9)",
        "ask whether it is there": "os.kill(PID, 0)",
        "kill its group": "os.killpg(os.getpgid(PID), 9)",
        "kill by a C function": LIBC + "assert libc.kill(PID, 9) == 0",
        "kill by another program": "subprocess.run(['/bin/sh', '-c', f'kill -9 {PID}'], check=True)",
        "kill by a descriptor": "signal.pidfd_send_signal(os.pidfd_open(PID), 9)",
        "kill a thread": CALL + "call(200, PID, 9)",
        "queue a signal": CALL + "call(129, PID, 10, (ctypes.c_int * 32)(10, 0, -1))",
        "read its environment": "assert SECRET in open(f'/proc/{PID}/environ').read()",
        "read its command": "assert open(f'/proc/{PID}/cmdline').read()",
        "read its memory": "open(f'/proc/{PID}/mem', 'rb')",
        "trace it": LIBC + "assert libc.ptrace(16, PID, 0, 0) == 0",
        "read its memory by a call": CALL + "call(310, PID, 0, 0, 0, 0, 0)",
        "limit it": "resource.prlimit(PID, resource.RLIMIT_CORE, (0, 0))",
        "slow it down": "os.setpriority(os.PRIO_PROCESS, PID, 19)",
        "slow all of the user's down": "os.setpriority(os.PRIO_USER, os.getuid(), 19)",
        "move it to one processor": "os.sched_setaffinity(PID, [min(os.sched_getaffinity(0))])",
        "read the evaluation's environment": "assert SECRET in open(f'/proc/{CALLER}/environ').read()",
    },
    "network": {
        "connect": "socket.create_connection(('127.0.0.1', PORT), timeout=2)",
        "connect by a C function": LIBC + "where = (2).to_bytes(2, 'little') + PORT.to_bytes(2)\n"
        "where += bytes([127, 0, 0, 1, *[0] * 8])\nassert libc.connect(libc.socket(2, 1, 0), where, 16) == 0",
        "connect by another program": "command = f'echo x > /dev/tcp/127.0.0.1/{PORT}'\n"
        "subprocess.run(['/bin/bash', '-c', command], check=True)",
        "connect by another interpreter": "subprocess.run([PYTHON, '-S', '-c', f'import socket\\n"
        "socket.create_connection((\"127.0.0.1\", {PORT}), timeout=2)'], check=True)",
        "fetch": "import urllib.request\nurllib.request.urlopen(f'http://127.0.0.1:{PORT}', timeout=2)",
        "send a datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
        "look a name up": "socket.getaddrinfo('localhost', 80)[0]\nsocket.socket()",
        "a service of the machine": "socket.socket(socket.AF_UNIX).connect(SOCKET)",
        "a service without a path": "socket.socket(socket.AF_UNIX).connect('\\0' + ABSTRACT)",
        "a datagram to a service": "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', DATAGRAM)",
        "a datagram from a pair": "socket.socketpair(type=socket.SOCK_DGRAM)[0].sendto(b'x', DATAGRAM)",
        "listen": "server = socket.socket()\nserver.bind(('127.0.0.1', 0))\nserver.listen()",
        "ask the kernel": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    },
    "staying": {
        "shared memory of the system": CALL + "call(29, 4242, 4096, 0o1600)",
        "a message queue": CALL + "call(240, b'hostile', 0o102, 0o600, 0)",
        "a semaphore": "import multiprocessing\nmultiprocessing.Lock()",
        "a pool": "import multiprocessing\nassert multiprocessing.Pool(2).map(abs, [-1]) == [1]",
        "memory without a limit": "os.memfd_create('hostile')",
        "namespaces of its own": LIBC + "assert libc.unshare(0x10000000) == 0",
        "a mount": LIBC + "assert libc.mount(b'none', os.getcwd().encode(), b'tmpfs', 0, None) == 0",
        "a key": CALL + "call(248, b'user', b'hostile', b'x', 1, -3)",
    },
}  # fmt: skip
IMPORTS = "import os, resource, shutil, signal, socket, subprocess, threading\n"
NEW_MOUNTS, RECURSIVE_PRIVATE, BIND = 0x20000, 1 << 18 | 16384, 4096
PLAIN_USER = 65533


class Victim:
    """A folder, a process and services of the user that runs the evaluation, made anew for each deed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="victim-"))
        self.home = Path(tempfile.mkdtemp(prefix="home-"))
        self.file = self.folder / "file"
        self.file.write_text("here")
        os.mkfifo(self.folder / "fifo")
        # Else whoever opens it for writing waits.
        self.reader = os.open(self.folder / "fifo", os.O_RDWR | os.O_NONBLOCK)
        self.process = subprocess.Popen(["sleep", "600"], env={"KEY": SECRET}, start_new_session=True)
        while Path(f"/proc/{self.process.pid}/comm").read_text() != "sleep\n":
            time.sleep(0.001)
        self.abstract = f"hostile-{os.getpid()}-{self.folder.name}"
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(type=socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.tcp.getsockname()[1]))
        self.services = [self.tcp, self.udp]
        for kind, name in (
            (socket.SOCK_STREAM, str(self.folder / "socket")),
            (socket.SOCK_STREAM, f"\0{self.abstract}"),
            (socket.SOCK_DGRAM, str(self.folder / "datagram")),
        ):
            service = socket.socket(socket.AF_UNIX, kind)
            service.bind(name)
            if kind == socket.SOCK_STREAM:
                service.listen()
            self.services.append(service)
        threading.Thread(target=self._answer, daemon=True).start()

    def _answer(self) -> None:
        try:
            with self.tcp.accept()[0] as client:
                client.recv(1000)
                client.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        except OSError:
            return

    def names(self) -> str:
        """The names that the deeds use, as source."""
        values = {
            "FILE": str(self.file), "FOLDER": str(self.folder), "FIFO": str(self.folder / "fifo"),
            "SOCKET": str(self.folder / "socket"), "DATAGRAM": str(self.folder / "datagram"),
            "ABSTRACT": self.abstract, "PID": self.process.pid, "CALLER": os.getpid(), "SECRET": SECRET,
            "PORT": self.tcp.getsockname()[1], "PYTHON": sys.executable,
        }  # fmt: skip
        return "".join(f"{name} = {value!r}\n" for name, value in values.items())

    def harmed(self) -> bool:
        """Whether files were changed, or the process was ended."""
        try:
            kept = self.file.read_text() == "here" and self.file.stat().st_mtime > 0
            found = {path.name for path in self.folder.iterdir()} == {"file", "fifo", "socket", "datagram"}
        except OSError:
            return True
        return not (kept and found) or self.process.poll() is not None

    def close(self) -> None:
        """Remove all of it."""
        self.process.kill()
        self.process.wait()
        os.close(self.reader)
        for service in self.services:
            service.close()
        for folder in (self.folder, self.home):
            shutil.rmtree(folder, ignore_errors=True)


def done(program: str, without: frozenset[str] | None) -> bool:
    """Whether a deed was done: the program says so by coming to its end, or what is outside shows it.

    Without any executor where ``without`` is None: a deed that cannot be done even so would prove nothing.
    """
    victim = Victim()
    source = IMPORTS + victim.names() + program
    try:
        if without is None:
            command = [sys.executable, "-S", "-c", source]
            return subprocess.run(command, cwd=victim.home, check=False, capture_output=True).returncode == 0
        limits = Limits(cpu_seconds=5, waiting_seconds=3.0, wall_seconds=20.0)
        outcome = execute(source, "", limits, without)
        return outcome.verdict == "passed" or victim.harmed()
    finally:
        victim.close()


def become_plain_user() -> None:
    """Be a user without any right; in a view of the files in which the interpreter is not shut up in root's home."""
    libc = ctypes.CDLL(None, use_errno=True)
    prefix = Path(sys.base_prefix)
    shut = [path for path in prefix.parents if not path.stat().st_mode & 0o001]
    if shut:
        assert libc.unshare(NEW_MOUNTS) == 0
        assert libc.mount(b"none", b"/", None, RECURSIVE_PRIVATE, None) == 0
        inner = os.open(prefix, os.O_PATH)
        assert libc.mount(b"none", os.fsencode(shut[-1]), b"tmpfs", 0, b"mode=0755") == 0
        prefix.mkdir(parents=True)
        assert libc.mount(f"/proc/self/fd/{inner}".encode(), os.fsencode(prefix), None, BIND, None) == 0
    os.setgroups([])
    os.setresgid(PLAIN_USER, PLAIN_USER, PLAIN_USER)
    os.setresuid(PLAIN_USER, PLAIN_USER, PLAIN_USER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without", default="", help="measures that are not taken, by commas, or `all`: the executor")
    parser.add_argument("--plain", action="store_true", help="as a plain user; only root can become one")
    options = parser.parse_args()
    if options.without == "all" and not (options.plain or os.getuid()):
        parser.error("nothing keeps root from doing these to the machine: add --plain")
    if options.plain:
        become_plain_user()
    without = None if options.without == "all" else frozenset(filter(None, options.without.split(",")))
    isolation = [] if without is None else execute("", "", without=without).isolation
    deeds = [(about, deed, program) for about, deeds in DEEDS.items() for deed, program in deeds.items()]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda one: done(one[2], without), deeds))
    print(json.dumps({"isolation": sorted(isolation), "done": [
        [about, deed, was] for (about, deed, _), was in zip(deeds, found, strict=True)
    ]}))  # fmt: skip


if __name__ == "__main__":
    main()
