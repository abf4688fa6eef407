"""The three ways to install the project, each in an environment of its own, with the real pip.

Such an environment borrows its dependencies from the one that runs the tests, by a path, so that it is made in seconds
(start-up files of a borrowed folder are not executed: only those of the environment itself are).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

import versatune_plugin
from versatune_plugin.host.startup import PATCHES

ROOT = Path(__file__).resolve().parents[1]
STARTUP_FILES = {"versatune.pth", "versatune.start", "_versatune_startup.py"}
LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv",
    ".compat",
    ".*_cache",
    ".hypothesis",
    "__pycache__",
    "build",
    "dist",
    "*.egg-info",
    "outputs",
    "quickstart-*",
)
QUIET = {name: value for name, value in os.environ.items() if name not in ("VERSATUNE_STARTUP", "PYTHONPATH")}


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(command, cwd=cwd, env=QUIET | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Environment:
    """A fresh virtual environment, in which nothing of ours is installed yet."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        self.bin = folder / "bin"
        self.python = self.bin / "python"
        self.site_packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
        (self.site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def pip(self, command: str, *arguments: str | Path, **surroundings: str) -> None:
        run(sys.executable, "-m", "pip", "--quiet", "--python", self.python, command, *arguments, **surroundings)

    def start(self, code: str, **environment: str) -> str:
        """What a Python of this environment prints, started far from the sources; it must not print an error."""
        done = subprocess.run(
            [self.python, "-c", code], cwd="/", env=QUIET | environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, with one task of two files."""
    copy = tmp_path_factory.mktemp("sources") / "versatune"
    shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OUT)
    task = copy / "eval_tasks" / "packaged" / "deeper"
    task.mkdir(parents=True)
    (task / "packaged.yaml").write_text("task: versatune_packaged\n")
    (task / "utils.py").write_text("def text(row): return str(row)\n")
    return copy


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution, which therefore is complete, too."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, sources)
    assert len(list(folder.glob("versatune-*.tar.gz"))) == 1
    (built,) = folder.glob("versatune-*-py3-none-any.whl")
    return built


@pytest.fixture(scope="module", params=["wheel", "plain", "editable"])
def installed(request: pytest.FixtureRequest, sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp(request.param) / "venv")
    given = {"wheel": lambda: [request.getfixturevalue("wheel")], "plain": lambda: [sources]}
    what = given.get(request.param, lambda: ["--editable", sources])()
    environment.pip("install", "--no-index", "--no-deps", "--no-build-isolation", *what)
    return environment


def read(archive: ZipFile, name: str) -> str:
    return archive.read(name).decode()


def test_the_wheel_holds_the_package_the_tasks_and_the_start_up_files(sources: Path, wheel: Path) -> None:
    def below(folder: str) -> Iterator[Path]:
        return (path.relative_to(sources) for path in (sources / folder).rglob("*") if path.is_file())

    with ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        startup = {name: read(archive, name) for name in STARTUP_FILES}
    modules = {str(path) for path in below("versatune_plugin") if path.suffix in (".py", ".json", ".yaml")}
    tasks = {f"versatune_plugin/{path}" for path in below("eval_tasks")}
    assert "versatune_plugin/eval_tasks/packaged/deeper/utils.py" in tasks
    assert modules | tasks | STARTUP_FILES | {"versatune_plugin/py.typed"} <= inside
    assert all(name in STARTUP_FILES or name.startswith("versatune_plugin/") for name in inside)
    assert not any("__pycache__" in name for name in inside)
    # Whoever reads it sees one import of a module that lies beside it, and no code.
    assert startup["versatune.pth"] == "import _versatune_startup; _versatune_startup.wait()\n"
    assert startup["versatune.start"] == "_versatune_startup:wait\n"
    assert startup["_versatune_startup.py"] == (sources / "versatune_plugin/host/waiting.py").read_text()


def test_the_metadata(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        folder = f"versatune-{versatune_plugin.__version__}.dist-info"
        metadata: Message = Parser().parsestr(read(archive, f"{folder}/METADATA"))
        entry_points = ConfigParser()
        entry_points.read_string(read(archive, f"{folder}/entry_points.txt"))
        assert "Apache License" in read(archive, f"{folder}/licenses/LICENSE")
    assert metadata["Version"] == versatune_plugin.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra")) == {
        "quickstart",
        "embedding",
        "dev",
        "docs",
        "deepspeed",
        "ray",
        "flash-attn",
    }
    # No `axolotl.plugins`: Axolotl 0.21 would load the plugin into every run of the environment.
    assert {group: dict(entry_points[group]) for group in entry_points.sections()} == {
        "console_scripts": {"versatune": "versatune_plugin.cli:versatune"},
        "axolotl.cli_commands": {"versatune": "versatune_plugin.cli:versatune"},
    }


LOOK = """
import sys
waiting = [finder for finder in sys.meta_path if getattr(finder, "__name__", "") == "VersaTuneWaits"]
loaded = "versatune_plugin" in sys.modules
import json
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
import versatune_plugin
from versatune_plugin.host import startup
(command,) = entry_points(group="axolotl.cli_commands", name="versatune")
print(json.dumps({
    "waits for": [finder.modules for finder in waiting], "loaded": loaded, "package": versatune_plugin.__file__,
    "directory": startup.eval_tasks_directory(), "command": command.value, "version": command.dist.version,
    "benchmark": find_spec("versatune_plugin.eval_tasks.lawbench.scoring").origin,
    "resource": files("versatune_plugin.eval_tasks").joinpath("packaged/deeper/packaged.yaml").read_text(),
}))
"""


def test_an_installed_environment(installed: Environment, sources: Path) -> None:
    seen: dict[str, Any] = json.loads(installed.start(LOOK))
    editable = seen["package"].startswith(str(sources))
    home = (sources if editable else installed.site_packages) / "versatune_plugin"
    assert editable is any(installed.site_packages.glob("__editable__*"))
    assert seen == {
        "waits for": [list(PATCHES)],
        "loaded": False,
        "package": str(home / "__init__.py"),
        "benchmark": str(home / "eval_tasks" / "lawbench" / "scoring.py"),
        "directory": str(home / "eval_tasks"),
        "command": "versatune_plugin.cli:versatune",
        "version": versatune_plugin.__version__,
        "resource": "task: versatune_packaged\n",
    }


def test_the_switch_works_in_an_installed_environment(installed: Environment) -> None:
    assert json.loads(installed.start(LOOK, VERSATUNE_STARTUP="0"))["waits for"] == []


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in for the part of Axolotl that knows plugins' names."""
    folder = tmp_path_factory.mktemp("host")
    package = folder / "axolotl" / "integrations"
    package.mkdir(parents=True)
    for folder_of_a_package in (package, package.parent):
        (folder_of_a_package / "__init__.py").touch()
    (package / "base.py").write_text("def load_plugin(plugin_name): return plugin_name\n")
    return folder


def test_the_line_wakes_the_hook_when_a_host_is_imported(installed: Environment, host: Path) -> None:
    code = "import axolotl.integrations.base as base; print(base.load_plugin('versatune'))"
    assert installed.start(code, PYTHONPATH=str(host)) == "versatune_plugin.VersaTunePlugin\n"
    assert installed.start(code, PYTHONPATH=str(host), VERSATUNE_STARTUP="0") == "versatune\n"


def test_the_line_finds_a_host_that_was_there_before_it(installed: Environment, host: Path) -> None:
    earlier = installed.site_packages / "an_earlier_line.pth"
    earlier.write_text("import axolotl.integrations.base\n")
    try:
        code = "import axolotl.integrations.base as base; print(base.load_plugin('versatune'))"
        assert installed.start(code, PYTHONPATH=str(host)) == "versatune_plugin.VersaTunePlugin\n"
    finally:
        earlier.unlink()


# The finders of ours, and what Axolotl would be given for the plugin's short name.
AFTER = """
import sys
import axolotl.integrations.base as base
names = [getattr(finder, "__name__", "") for finder in sys.meta_path]
print(names.count("VersaTuneWaits"), base.load_plugin("versatune"))
"""


@pytest.mark.parametrize("order", ["start", "pth", "never"])
def test_python_3_15_reads_the_start_file_instead_of_the_line(installed: Environment, host: Path, order: str) -> None:
    reader = ROOT / "tests" / "helpers" / "site_reader.py"
    command = [installed.python, "-P", "-S", reader, installed.site_packages, order, AFTER]
    *executed, found = run(*command, PYTHONPATH=str(host)).splitlines()
    editable = any(installed.site_packages.glob("__editable__*"))
    assert [line for line in executed if "editable" not in line] == ["start _versatune_startup:wait"]
    # From 3.18 on an editable install needs a setuptools that knows of it; without, nothing of ours is found.
    assert found == ("1 versatune" if editable and order == "never" else "1 versatune_plugin.VersaTunePlugin")
    switched_off = run(*command, PYTHONPATH=str(host), VERSATUNE_STARTUP="0").splitlines()[-1]
    assert switched_off == "0 versatune"


@pytest.mark.parametrize("order", [["pth", "start"], ["start", "pth"], ["pth", "pth", "start", "start"]])
def test_reading_both_files_or_one_twice_is_reading_one(installed: Environment, host: Path, order: list[str]) -> None:
    line = (installed.site_packages / "versatune.pth").read_text().strip()
    steps = {"pth": line, "start": "__import__('pkgutil').resolve_name('_versatune_startup:wait')()"}
    code = "\n".join(["import sys", "sys.meta_path[:] = [each for each in sys.meta_path if 'Waits' not in repr(each)]"])
    code = "\n".join([code, *(steps[step] for step in order), AFTER])
    assert installed.start(code, PYTHONPATH=str(host)) == "1 versatune_plugin.VersaTunePlugin\n"


def test_the_console_script(installed: Environment) -> None:
    assert "Usage: versatune" in run(installed.bin / "versatune", "--help", cwd=installed.bin)


def test_an_install_can_leave_the_start_up_files_out(sources: Path, host: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "venv")
    build = ["--no-index", "--no-deps", "--no-build-isolation", sources]
    environment.pip("install", *build, VERSATUNE_STARTUP="0")
    assert not STARTUP_FILES & {path.name for path in environment.site_packages.iterdir()}
    code = "import axolotl.integrations.base as base; print(base.load_plugin('versatune'))"
    assert environment.start(code, PYTHONPATH=str(host)) == "versatune\n"
    folder = run(environment.bin / "versatune", "tasks").strip()
    assert (Path(folder) / "packaged" / "deeper" / "packaged.yaml").is_file()


def test_uninstalling_leaves_nothing_behind(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "venv")
    before = sorted(environment.site_packages.rglob("*"))
    environment.pip("install", "--no-index", "--no-deps", wheel)
    assert {path.name for path in environment.site_packages.iterdir()} >= STARTUP_FILES
    environment.pip("uninstall", "--yes", "versatune")
    # pip leaves the folder of compiled modules, as it does for every package with a module at the top.
    assert sorted(path for path in environment.site_packages.rglob("*") if path.name != "__pycache__") == before


@pytest.mark.parametrize("rest", ["nothing", "a broken package", "an unreadable package"])
def test_the_line_harms_no_interpreter_when_the_package_cannot_be_imported(
    wheel: Path, host: Path, tmp_path: Path, rest: str
) -> None:
    environment = Environment(tmp_path / "venv")
    (environment.site_packages / "borrowed.pth").unlink()
    with ZipFile(wheel) as archive:
        for name in STARTUP_FILES:
            archive.extract(name, environment.site_packages)
    package = environment.site_packages / "versatune_plugin"
    if rest == "a broken package":
        package.mkdir()
        (package / "__init__.py").write_text("def half a file")
    elif rest == "an unreadable package":
        package.mkdir()
        (package / "__init__.py").symlink_to("__init__.py")
    code = "import axolotl.integrations.base as base; print(base.load_plugin('versatune'))"
    assert environment.start(code, PYTHONPATH=str(host)) == "versatune\n"
    reader = ROOT / "tests" / "helpers" / "site_reader.py"
    read_as_3_15 = [environment.python, "-P", "-S", reader, environment.site_packages, "start", code]
    assert run(*read_as_3_15, PYTHONPATH=str(host)).splitlines()[-1] == "versatune"
