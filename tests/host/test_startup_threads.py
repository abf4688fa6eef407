"""The start-up hook while threads import: nothing is left unpatched, patched twice, or waits for ever."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from tests.host.test_startup import BASE, CONFIG, ROOT, TASKS, write_hosts

# 2 to 8 threads import the three modules, their parents and the hook itself, three each; the seed says what and how
# often Python switches between them. `early` are modules that a thread could import before they were patched.
IMPORTING = """
import faulthandler, importlib, json, random, sys, threading
faulthandler.dump_traceback_later(30, exit=True)
line, seed = sys.argv[1], int(sys.argv[2])
draw = random.Random(seed)
exec(line)
sys.setswitchinterval(draw.choice([2e-5, 1e-4, 1e-3, 5e-3]))
PATCHED = {
    "axolotl.integrations.base": lambda base: base.load_plugin,
    "axolotl.cli.config": lambda config: config.prepare_plugins,
    "lm_eval.tasks": lambda tasks: tasks.TaskManager.__init__,
}
others = ["axolotl", "axolotl.integrations", "axolotl.cli", "lm_eval", "versatune_plugin.host.startup", "install"]
early, errors = [], []


def times(function):
    count = 0
    while hasattr(function, "__wrapped__"):
        function, count = function.__wrapped__, count + 1
    return count


def work(names):
    barrier.wait()
    for name in names:
        try:
            if name == "install":
                from versatune_plugin.host import startup
                startup.install()
            else:
                module = importlib.import_module(name)
                if name in PATCHED and not times(PATCHED[name](module)):
                    early.append(name)
        except BaseException as error:
            errors.append(f"{name}: {error!r}")


plans = [draw.choices([*PATCHED, *others], [4, 4, 4, 1, 1, 1, 1, 1, 1], k=3) for _ in range(draw.randint(2, 8))]
if not line:  # the hook comes late, by hand
    plans[-1].insert(draw.randrange(4), "install")
barrier = threading.Barrier(len(plans))
threads = [threading.Thread(target=work, args=(names,)) for names in plans]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
patched = [times(find(importlib.import_module(name))) for name, find in PATCHED.items()]
finders = sum(getattr(finder, "__name__", "") == "VersaTuneWaits" for finder in sys.meta_path)
print(json.dumps({"patched": patched, "errors": errors, "early": early if line else [], "finders": finders}))
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-ins that take some 10 ms each to load; one imports another, as in Axolotl."""
    pause = "import time\ntime.sleep(0.01)\n"
    config = f"{pause}from axolotl.integrations import base\n{CONFIG}"
    return write_hosts(tmp_path_factory.mktemp("hosts"), pause + BASE, config, pause + TASKS)


def startup_line(folder: Path) -> str:
    """The line that site-packages has, and in this folder what it imports."""
    with patch("setuptools.setup"):
        files: dict[str, str] = runpy.run_path(str(ROOT / "setup.py"))["STARTUP_FILES"]
    for name, text in files.items():
        (folder / name).write_text(text)
    return files["versatune.pth"]


def faults(hosts: Path, line: str, processes: int) -> dict[int, Any]:
    """What went wrong, by seed, in this many processes."""
    path = os.pathsep.join([str(hosts), str(ROOT)])

    def importing(seed: int) -> Any:
        command = [sys.executable, "-S", "-c", IMPORTING, line, str(seed)]
        done = subprocess.run(command, env={"PYTHONPATH": path}, capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 and not done.stderr else done.stderr

    with ThreadPoolExecutor(4) as pool:
        seen = dict(enumerate(pool.map(importing, range(processes))))
    right = {"patched": [1, 1, 1], "errors": [], "early": [], "finders": 1}
    return {seed: outcome for seed, outcome in seen.items() if outcome != right}


@pytest.mark.parametrize(
    "processes", [pytest.param(60, id="a few"), pytest.param(500, id="many", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("start", ["the line in site-packages", "by hand, late"])
def test_threads_that_import_at_once_see_each_module_patched_once(hosts: Path, start: str, processes: int) -> None:
    assert faults(hosts, startup_line(hosts) if start == "the line in site-packages" else "", processes) == {}
