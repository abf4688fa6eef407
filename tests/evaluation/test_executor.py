"""The executor of generated code, with programs that try to get round it.

Each runs under four sets of measures, so far as this machine permits: all there are; another user without namespaces;
neither, as for a plain user in a usual container; and none but the audit hook. Each must end in time, leave no process
and no file, and get no pass that it has not earned. What deeds are prevented is in `test_hostile`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.evaluation.sandbox import executor
from versatune_plugin.evaluation.sandbox.executor import CONSENT, UNPROTECTED, Limits, Outcome, execute, prevented

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the executor needs Linux")

ROOT = os.geteuid() == 0
# Small, so that a limit that fails takes nothing down with it.
SMALL = Limits(cpu_seconds=1, wall_seconds=4.0, memory=256 << 20, disk=4 << 20, processes=8, files=32)
# The machines that run this are shared: what ends in one second by itself may take ten.
PATIENCE = 25.0
ADOPT_ORPHANS = 36


class Isolation:
    """Runs programs without some of the measures, and sees to it that nothing is left."""

    def __init__(self, folder: Path, without: frozenset[str]) -> None:
        self.folder, self.without = folder, without
        self.measures = self("", "").isolation
        self.prevented = prevented(self.measures)

    def __call__(self, program: str, tests: str = "", limits: Limits = SMALL) -> Outcome:
        before = children()
        start = time.monotonic()
        outcome = execute(program, tests, limits, self.without)
        assert time.monotonic() - start < limits.wall_seconds + PATIENCE
        assert children() == before, "a process is left"
        assert list(self.folder.iterdir()) == [], "a file is left"
        return outcome


def children() -> set[int]:
    """Processes below this one, orphans included (see `isolation`)."""
    return {process.pid for process in psutil.Process().children(recursive=True)}


@pytest.fixture(autouse=True)
def consent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONSENT, "1")


WITHOUT = {
    "all": frozenset[str](),
    "user": frozenset({"namespaces"}),
    "bare": frozenset({"namespaces", "user"}),
    "guard": frozenset({"namespaces", "user", "landlock", "seccomp"}),
}


@pytest.fixture(params=WITHOUT)
def isolation(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Isolation]:
    if request.param == "user" and not ROOT:
        pytest.skip("only root can run a program as another user")
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    libc = ctypes.CDLL(None)
    # A process that outlives its parents becomes a child of this one, where `children` finds it.
    libc.prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    yield Isolation(folder, WITHOUT[request.param])
    libc.prctl(ADOPT_ORPHANS, 0, 0, 0, 0)


def test_verdicts(isolation: Isolation) -> None:
    right = "def double(x):\n    return 2 * x\n"
    tests = "assert double(2) == 4\nassert double(-1) == -2\n"
    assert isolation(right, tests).verdict == "passed"
    wrong = isolation("def double(x):\n    return 4\n", tests)
    assert (wrong.verdict, wrong.detail) == ("failed", "AssertionError")
    assert isolation("def other(x):\n    return x\n", tests).detail == "NameError"
    assert isolation("def double(x)\n    return 2 * x\n", tests).verdict == "not compiled"
    assert isolation("raise ValueError", tests).detail == "ValueError"
    assert isolation(right + "\x00", tests).verdict == "not compiled"


def test_a_program_is_a_module_like_any_other(isolation: Isolation) -> None:
    program = (
        "from __future__ import annotations\nimport asyncio, dataclasses, typing, tempfile, re\n"
        "@dataclasses.dataclass\nclass Point:\n    x: typing.ClassVar[int] = 1\n    y: int = 2\n"
        "async def wait():\n    await asyncio.sleep(0)\n    return 3\n"
        "def write():\n    with open('note', 'w') as file:\n        file.write('4')\n    return open('note').read()\n"
        "if __name__ == '__main__':\n    raise SystemExit\n"
    )
    tests = "assert Point().y == 2\nassert asyncio.run(wait()) == 3\nassert write() == '4'\n"
    assert isolation(program, tests) == Outcome("passed", "", isolation.measures)


def test_the_order_of_sets_is_the_same_each_time(isolation: Isolation) -> None:
    program = "raise type(f'Order{hash(\"word\") % 10000}', (Exception,), {})"
    assert isolation(program).detail == isolation(program).detail


@pytest.mark.parametrize(
    "program",
    [
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "raise SystemExit(0)",
        "raise KeyboardInterrupt",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "import os\nos.kill(os.getppid(), 9)",
        "import os\nos.abort()",
        "import os, threading, time\nthreading.Timer(0.2, os._exit, [0]).start()\ntime.sleep(2)",
        "import atexit, os, sys\natexit.register(os._exit, 0)\nsys.exit(0)",
        "print('passed')\nprint('{\"verdict\": \"passed\"}')\nimport os\nos.write(2, b'passed')\nos._exit(0)",
        "import os\nfor fd in range(100):\n    try:\n        os.write(fd, b'R1')\n    except OSError:\n        pass",
        "import os\nos.closerange(0, 100)\ndef answer():\n    return 42",
        "import builtins\nbuiltins.exec = builtins.eval = builtins.compile = lambda *a, **k: None",
        "import builtins\nbuiltins.AssertionError = builtins.Exception = builtins.BaseException = ValueError",
        "import builtins\nbuiltins.BaseException = ()\nbuiltins.AssertionError = None",
        "import sys\nsys.settrace(lambda *a: None)\nsys.excepthook = lambda *a: None",
        "import os, sys\nos.write = os._exit = lambda *a: None\nsys.modules.clear()",
        "import os\nif os.fork() == 0:\n    os._exit(0)\nos.wait()\nos._exit(0)",
        "__name__ = __builtins__ = None",
        "class AssertionError(Exception): pass",
        "def answer():\n    raise SystemExit(0)",
        "def answer():\n    import os\n    os._exit(0)",
        "import ctypes\nctypes.string_at(0)",
    ],
)
def test_what_is_no_pass(isolation: Isolation, program: str) -> None:
    assert isolation(program, "assert answer() == 42").verdict == "failed"


def test_loops_and_sleep(isolation: Isolation) -> None:
    assert isolation("while True:\n    pass").verdict == "late"
    deaf = "import signal\nfor number in range(1, 65):\n    try:\n        signal.signal(number, signal.SIG_IGN)\n"
    deaf += "    except (OSError, ValueError):\n        pass\n"
    assert isolation(deaf + "while True:\n    pass").verdict == "late"
    asleep = isolation("import time\ntime.sleep(100)", limits=Limits(wall_seconds=0.5))
    assert (asleep.verdict, asleep.detail) == ("late", "wall-clock time")
    waits = "import os, time\nif os.fork() == 0:\n    time.sleep(100)\nos.wait()"
    start = time.monotonic()
    waiting = isolation(waits, limits=Limits(waiting_seconds=0.5))
    assert (waiting.verdict, waiting.detail) == ("late", "waiting")
    assert time.monotonic() - start < Limits().waiting_seconds


def test_a_program_that_works_does_not_wait(isolation: Isolation) -> None:
    # Its parent does, and processes that have ended have worked.
    program = "import os, time\ndef work(seconds):\n    end = time.process_time() + seconds\n"
    program += "    while time.process_time() < end:\n        pass\n"
    program += "for _ in range(20):\n    if os.fork() == 0:\n        work(0.15)\n        os._exit(0)\n    os.wait()"
    assert isolation(program, limits=Limits(waiting_seconds=2.0)).verdict == "passed"


def test_fork_bomb(isolation: Isolation) -> None:
    # Where counting is all that there is, the bomb is a bounded one: 128 processes.
    bounded = ROOT and "user" not in isolation.measures
    program = "import os, time\n" + (
        "for _ in range(7):\n    os.fork()\ntime.sleep(30)\n"
        if bounded
        else "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
    )
    outcome = isolation(program)
    assert outcome.verdict == "excess" if bounded else outcome.verdict in ("late", "excess")
    threads = "import threading, time\nfor _ in range(500):\n    threading.Thread(target=time.sleep, args=[30]).start()"
    assert isolation(threads).verdict != "passed"


def test_memory_fillers(isolation: Isolation) -> None:
    assert isolation("x = bytearray(1 << 32)").detail == "MemoryError"
    # Without touching it, which on a busy machine would take more processor time than the program has.
    assert isolation("x = []\nwhile True:\n    x.append(bytes(16 << 20))").detail == "MemoryError"
    several = "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        break\n"
    several += "x = bytearray(b'x') * (100 << 20)\ntime.sleep(30)"
    outcome = isolation(several)
    assert (outcome.verdict, outcome.detail) == ("excess", "memory")


def test_disk_fillers(isolation: Isolation) -> None:
    one = "with open('one', 'wb') as file:\n    while True:\n        file.write(bytes(1 << 16))"
    assert isolation(one).detail == "OSError"
    many = "import itertools, time\nfor number in itertools.count():\n    time.sleep(0.002)\n"
    many += "    with open(str(number), 'wb') as file:\n        file.write(bytes(1 << 16))"
    outcome = isolation(many)
    if "mounts" in isolation.measures:
        assert (outcome.verdict, outcome.detail) == ("failed", "OSError")
    else:
        assert (outcome.verdict, outcome.detail) == ("excess", "disk")
    awkward = "import os\nos.mkdir('a', 0o300)\nos.mkdir('a/b', 0o300)\nopen('a/b/c', 'w').close()\nos.chdir('a/b')"
    assert isolation(awkward).verdict == "passed"
    assert isolation("kept = [open('/dev/null') for _ in range(100)]").detail == "OSError"


def test_endless_output(isolation: Isolation) -> None:
    before = psutil.Process().memory_info().rss
    program = "import sys\nwhile True:\n    print('x' * 10000)\n    print('y' * 10000, file=sys.stderr)"
    assert isolation(program).verdict == "late"
    assert psutil.Process().memory_info().rss - before < 20 << 20
    assert isolation("import sys\nsys.stdin.read()\ninput()").detail == "EOFError"


def test_the_environment_is_not_to_be_read(isolation: Isolation, monkeypatch: pytest.MonkeyPatch) -> None:
    # Set for a child as well: /proc shows what a process was started with.
    monkeypatch.setenv("HF_TOKEN", "hf_" + "very-secret")
    with subprocess.Popen(["sleep", "60"]) as witness:
        program = "import glob, os\nassert dict(os.environ) == {}\n"
        if "processes" in isolation.prevented:
            program += (
                "for path in glob.glob('/proc/[0-9]*/environ'):\n    try:\n        text = open(path, 'rb').read()\n"
                "    except OSError:\n        continue\n    assert b'hf_' + b'very' not in text\n"
            )
        assert isolation(program).verdict == "passed"
        witness.kill()


def test_no_network(isolation: Isolation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        port = server.getsockname()[1]
        tries = [
            f"import socket\nsocket.create_connection(('127.0.0.1', {port}), timeout=2)",
            f"import _socket\n_socket.socket().connect(('127.0.0.1', {port}))",
            f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}', timeout=2)",
            "import socket\nsocket.getaddrinfo('example.org', 80)",
        ]
        if "network" in isolation.prevented:
            tries.append(
                "import ctypes, struct\nlibc = ctypes.CDLL(None)\n"
                f"where = struct.pack('=H', 2) + struct.pack('!H', {port}) + bytes([127, 0, 0, 1]) + bytes(8)\n"
                "assert libc.connect(libc.socket(2, 1, 0), where, 16) == 0"
            )
        for program in tries:
            assert isolation(program).verdict == "failed", program
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "program",
    [
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(300)\n"
        "    os._exit(0)",
        "import subprocess\nsubprocess.Popen(['/bin/sleep', '300'], start_new_session=True)",
        "import multiprocessing, time\nmultiprocessing.Process(target=time.sleep, args=[300]).start()",
        "import threading, time\nthreading.Thread(target=time.sleep, args=[300]).start()",
    ],
)
def test_what_outlives_its_program_is_killed(isolation: Isolation, program: str) -> None:
    # Another program is refused where nothing but the audit hook would hold it.
    refused = "subprocess" in program and not isolation.measures
    outcome = isolation(program, "import time\ntime.sleep(0.1)")
    assert outcome.verdict == ("failed" if refused else "passed")


@pytest.mark.parametrize(
    "deed",
    [
        "subprocess.run(command, check=True)",
        "os.execv(command[0], command)",
        "os.waitpid(os.posix_spawn(command[0], command, {}), 0)",
        "assert os.system(' '.join(command)) == 0",
        "import multiprocessing.util\nmultiprocessing.util.spawnv_passfds(command[0].encode(), command, [])",
        "import sys\ndel sys.modules['_posixsubprocess']\nimport _posixsubprocess",
    ],
)
def test_no_program_goes_where_the_hook_does_not(isolation: Isolation, deed: str) -> None:
    if isolation.measures:
        pytest.skip("other programs may be started where what holds this one holds them, too")
    program = f"import os, subprocess\ncommand = ['/bin/touch', {str(isolation.folder / 'started')!r}]\n{deed}"
    assert isolation(program).detail == "PermissionError"


def test_files_outside_are_kept(isolation: Isolation, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("here")
    for deed in (f"os.remove({str(kept)!r})", f"shutil.rmtree({str(tmp_path)!r})", f"open({str(kept)!r}, 'w')"):
        assert isolation(f"import os, shutil\n{deed}").verdict == "failed"
    assert kept.read_text() == "here"


def test_recursion_bombs(isolation: Isolation) -> None:
    assert isolation("def f():\n    return f()\nf()").detail == "RecursionError"
    deep = "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f():\n    return f()\nf()"
    assert isolation(deep).verdict in ("failed", "late", "excess")
    assert isolation("x = " + "(" * 50000).verdict == "not compiled"
    assert isolation("x = " + "-" * 200000 + "1").verdict != "passed"


@pytest.mark.parametrize("value", [None, "", "0", "yes"])
def test_nothing_runs_without_consent(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv(CONSENT)
    if value is not None:
        monkeypatch.setenv(CONSENT, value)
    monkeypatch.setattr(executor, "_run", lambda *_: pytest.fail("it ran"))
    with pytest.raises(VersaTuneError, match="HF_ALLOW_CODE_EVAL=1 and pass --confirm_run_unsafe_code"):
        execute("", "")


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor.sys, "platform", "darwin")
    with pytest.raises(VersaTuneError, match="only Linux has"):
        execute("", "")


def test_a_failure_of_the_executor_is_no_verdict(isolation: Isolation, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VersaTuneError, match="cannot run a program here: SyntaxError"):
        isolation("", "assert")
    monkeypatch.setattr(executor, "CHILD", Path("/nowhere.py"))
    with pytest.raises(VersaTuneError, match="/nowhere.py"):
        isolation("", "")


@pytest.mark.parametrize("without", ["all", "bare"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("everyone", [False, True])
def test_nothing_outlives_the_caller(tmp_path: Path, number: signal.Signals, without: str, everyone: bool) -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    before = children()
    # A child in a session of its own does not end with its parent.
    program = "import os, time\nif os.fork() == 0:\n    os.setsid()\ntime.sleep(300)"
    # Processes that a shell has put into the background ignore an interrupt, and so would this one.
    source = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    source += "from versatune_plugin.evaluation.sandbox.executor import execute, Limits\n"
    source += f"execute({program!r}, '', Limits(waiting_seconds=300), frozenset({sorted(WITHOUT[without])}))"
    surroundings = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", source], env=surroundings, stderr=subprocess.DEVNULL) as caller:
        end = time.monotonic() + PATIENCE
        # The caller, the supervisor, the init, and the program with its child.
        while len(started := children() - before) < 5:
            assert time.monotonic() < end, "the program did not start"
            time.sleep(0.05)
        # A queue that ends a job signals all its processes.
        for pid in started - {caller.pid} if everyone and number != signal.SIGKILL else ():
            os.kill(pid, number)
        caller.send_signal(number)
        caller.wait(PATIENCE)
    while children() - before:
        # What ended is adopted here and must be buried here.
        for pid in children() - before:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
        assert time.monotonic() < end + PATIENCE, "a process is left"
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == [], "a file is left"
    libc.prctl(ADOPT_ORPHANS, 0, 0, 0, 0)


def test_a_secret_is_not_told(isolation: Isolation) -> None:
    # Where a program writes into the pipe before the harness does, what follows is no exception's name.
    assert isolation("import os\nos.write(3, b'E')") == Outcome("failed", "", isolation.measures)


def test_what_cannot_be_prevented_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = frozenset({"landlock", "seccomp"})
    assert prevented(everything) == {"files", "network", "processes", "reading"}
    assert prevented(frozenset({"namespaces", "mounts"})) == {"files", "processes"}
    for isolation, missing in (
        (frozenset[str](), "files,network,processes"),
        (frozenset({"seccomp"}), "files,processes"),
        (frozenset({"seccomp", "user"}), "files"),
        (frozenset({"namespaces", "mounts"}), "network"),
    ):
        monkeypatch.setattr(executor, "_trial", lambda there=isolation: there)
        monkeypatch.delenv(UNPROTECTED, raising=False)
        with pytest.raises(VersaTuneError, match=f"{UNPROTECTED}={missing}"):
            execute("", "")
        monkeypatch.setenv(UNPROTECTED, missing)
        assert execute("", "").verdict == "passed"
    monkeypatch.setenv(UNPROTECTED, "everything")
    with pytest.raises(VersaTuneError, match="names everything, but can only name files, network, processes"):
        execute("", "")


@pytest.mark.parametrize(
    ("measures", "messages"),
    [
        ({"landlock", "seccomp"}, []),
        ({"namespaces", "mounts", "user", "seccomp"}, ["reading your files"]),
        (
            {"seccomp"},
            ["changing and deleting your files", "memory and environment, keys included", "reading your files"],
        ),
    ],
)
def test_what_the_system_does_not_prevent_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, measures: set[str], messages: list[str]
) -> None:
    monkeypatch.setattr(executor, "_execute", lambda *_: Outcome("passed", "", frozenset(measures)))
    monkeypatch.setenv(UNPROTECTED, "files,processes")
    executor._trial.cache_clear()
    with caplog.at_level(logging.WARNING, "versatune.evaluation"):
        for _ in range(3):
            execute("", "")
    executor._trial.cache_clear()
    assert len(caplog.messages) == bool(messages)
    assert all(text in caplog.text for text in messages)
