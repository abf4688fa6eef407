"""What the start-up hook costs every Python interpreter of an environment in which VersaTune is installed.

Throwaway environments are made, all with the packages of the running one (by links); two have VersaTune and its
start-up files, as a plain ``pip install`` leaves them. (An editable install pays for the finder of setuptools too, hook
or no hook.) ``python -c pass`` is run in all by turns.

Python before 3.15 reads ``versatune.pth`` only; what ``versatune.start`` costs is measured there by a line that does
what Python 3.15 does with it. That needs ``pkgutil``, which such a Python imports for the ``.start`` file of whatever
package, so the comparison is with an environment where another package has one.

    python benchmarks/startup_cost.py [--runs 200]
"""

from __future__ import annotations

import argparse
import compileall
import os
import runpy
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from unittest.mock import patch

import versatune_plugin

ROOT = Path(__file__).resolve().parents[1]
AS_BY_START = "import pkgutil; pkgutil.resolve_name('{}')()\n"
OF_ANOTHER = "os:getpid\n"


def startup_files() -> dict[str, str]:
    """The files that an install writes into site-packages, by name."""
    with patch("setuptools.setup"):
        files: dict[str, str] = runpy.run_path(str(ROOT / "setup.py"))["STARTUP_FILES"]
    return files


def environment(folder: Path, files: dict[str, str]) -> Path:
    """An environment with everything in the current site-packages; ours only if its start-up files are given.

    Returns: its interpreter.
    """
    venv.create(folder, with_pip=False)
    site_packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "versatune" not in entry.name and entry.name != "__pycache__":
            (site_packages / entry.name).symlink_to(entry)
    for name, text in files.items():
        (site_packages / name).write_text(text)
    if "_versatune_startup.py" in files:
        package = shutil.copytree(Path(versatune_plugin.__file__).parent, site_packages / "versatune_plugin")
        # As pip does.
        compileall.compile_dir(package, quiet=1)
        compileall.compile_file(site_packages / "_versatune_startup.py", quiet=1)
    return folder / "bin" / "python"


def milliseconds(python: Path) -> tuple[float, float]:
    """Wall clock and processor time of one interpreter that does nothing."""
    begin = time.perf_counter()
    process = subprocess.Popen([python, "-c", "pass"], stdin=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return 1000 * wall, 1000 * (used.ru_utime + used.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200, help="starts of each interpreter (default: %(default)s)")
    runs = parser.parse_args().runs
    os.environ.pop("VERSATUNE_STARTUP", None)
    files = startup_files()
    line = {name: text for name, text in files.items() if name != "versatune.start"}
    ways = {"nothing": {}, "versatune.pth": line, "another's .start": {"another.start": OF_ANOTHER}}
    ways["versatune.start"] = {**files, **ways["another's .start"]}
    if sys.version_info < (3, 15):
        ways["another's .start"] = {"another.pth": AS_BY_START.format(OF_ANOTHER.strip())}
        entry_point = files["versatune.start"].strip()
        ways["versatune.start"] = {**ways["another's .start"], **line, "versatune.pth": AS_BY_START.format(entry_point)}

    with tempfile.TemporaryDirectory() as scratch:
        pythons = {name: environment(Path(scratch, name), way) for name, way in ways.items()}
        rounds = [{name: milliseconds(python) for name, python in pythons.items()} for _ in range(runs + 5)]
    del rounds[:5]  # they warm up

    print(f"Python {sys.version.split()[0]}, {runs} starts each, by turns; milliseconds, median (fastest)")
    print(f"{'':34}{'without':>18}{'with':>18}{'difference':>18}")
    for without, hooked in zip(list(ways)[::2], list(ways)[1::2], strict=True):
        for clock, kind in enumerate(("wall clock", "processor time")):
            bare, more = ([each[name][clock] for each in rounds] for name in (without, hooked))
            middle, best = (statistics.median(bare), statistics.median(more)), (min(bare), min(more))
            figures = [f"{a:.2f} ({b:.2f})" for a, b in zip(middle, best, strict=True)]
            figures.append(f"{middle[1] - middle[0]:.2f} ({best[1] - best[0]:.2f})")
            print(f"{f'{hooked}, {kind}':34}" + "".join(f"{figure:>18}" for figure in figures))


if __name__ == "__main__":
    main()
