"""What of VersaTune is active in an environment, which versions, and what is missing: ``versatune doctor``."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from versatune_plugin import __version__
from versatune_plugin.console.tables import add_row, new_console, new_table, say
from versatune_plugin.host import waiting
from versatune_plugin.host.startup import MARK, eval_tasks_directory
from versatune_plugin.host.waiting import SWITCH

NEEDED = ("axolotl", "torch", "transformers", "accelerate", "datasets", "lm-eval")
# Extra of ours -> one package that only it brings.
EXTRAS = {"quickstart": "periodictable", "deepspeed": "deepspeed", "ray": "ray", "flash-attn": "flash-attn"}
COMMANDS = ("axolotl", "accelerate", "lm_eval")
STARTUP_FILES = ("versatune.pth", "versatune.start")
STARTUP_MODULE = "_versatune_startup.py"
SECONDS = 300
# Each in a process of its own, since what is broken may end it; the last line printed is what it found.
IMPORTS = {
    "torch": "import torch; n = torch.cuda.device_count(); "
    "print(', '.join(torch.cuda.get_device_name(i) for i in range(n)) if n else 'no GPU')",
    "axolotl": f"from axolotl.integrations import base; import versatune_plugin.plugin; "
    f"print(hasattr(base.load_plugin, {MARK!r}))",
    "lm-eval": f"from lm_eval.tasks import TaskManager; print(hasattr(TaskManager.__init__, {MARK!r}))",
}
State = Literal["good", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what it is.
        state: ``good``; ``note``: it works without; ``missing``: it does not.
        found: what was found.
        remedy: what to do, where something is.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at this environment. Takes the seconds that importing the hosts takes, and works where they are broken."""
    running = {
        name: subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        for name, code in IMPORTS.items()
    }
    found = [
        Finding("versatune", "good", f"{__version__} in {Path(__file__).resolve().parents[1]}"),
        Finding("python", "good", f"{platform.python_version()}, {sys.executable}"),
        *_versions(),
    ]
    said = {name: _said(process) for name, process in running.items()}
    return [*found, *_imports(said), _hook(), *_brought(said), *_commands(), *_extras()]


def show_doctor(as_json: bool) -> bool:
    """Print what was found.

    Args:
        as_json: as one JSON list instead of tables.

    Returns:
        Whether nothing that is needed is missing.
    """
    found = examine()
    if as_json:
        print(json.dumps([asdict(one) for one in found], indent=1))
    else:
        console = new_console()
        table = new_table(None, ["", "", "found"])
        for column in table.columns:
            column.justify, column.no_wrap = "left", False
        for one in found:
            add_row(table, one.name, {"good": "ok", "note": "-", "missing": "missing"}[one.state], one.found)
        console.print(table)
        for one in found:
            if one.remedy:
                say(console, f"  {one.name}: {one.remedy}", style="red" if one.state == "missing" else "yellow")
    return not any(one.state == "missing" for one in found)


def _versions() -> Iterator[Finding]:
    """The packages that are needed, and whether their versions are those that ours admits."""
    asked = {
        requirement.name: requirement
        for text in importlib.metadata.requires("versatune") or ()
        if not (requirement := Requirement(text)).marker
    }
    for name in NEEDED:
        specifier = asked[name].specifier if name in asked else None
        wanted = f" (needs {specifier})" if specifier else ""
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "missing", "not installed", f"pip install '{name}{specifier or ''}'")
            continue
        if specifier and not specifier.contains(version, prereleases=True):
            yield Finding(name, "missing", f"{version}{wanted}", f"pip install '{name}{specifier}'")
        else:
            yield Finding(name, "good", f"{version}{wanted}")


def _said(process: subprocess.Popen[bytes]) -> tuple[bool, str]:
    """Whether a process ended well, and the last line that it printed."""
    try:
        out, errors = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return False, f"did not end within {SECONDS} s"
    text = (errors if process.returncode else out).decode("utf-8", "replace")
    last = (text.strip().splitlines() or [f"ended with status {process.returncode}"])[-1]
    return process.returncode == 0, last


def _imports(said: dict[str, tuple[bool, str]]) -> Iterator[Finding]:
    for name, (well, last) in said.items():
        if not well:
            yield Finding(
                f"import {name}", "missing", last, f"it cannot be imported: pip install --force-reinstall {name}"
            )
        elif name == "torch":
            yield Finding("GPU", "note" if last == "no GPU" else "good", last)


def _hook() -> Finding:
    """The start-up hook of this very process."""
    name = "start-up hook"
    folders = dict.fromkeys([sysconfig.get_path("purelib"), *site.getsitepackages(), site.getusersitepackages()])
    files = [path for folder in folders for file in STARTUP_FILES if (path := Path(folder, file)).is_file()]
    without = "write `plugins: [versatune_plugin.VersaTunePlugin]` and give lm_eval `--include_path` (docs/startup.md)"
    if os.environ.get(SWITCH) == "0":
        return Finding(name, "note", f"switched off ({SWITCH}=0)", without)
    waits = next((one for one in sys.meta_path if getattr(one, "__name__", "") == "VersaTuneWaits"), None)
    if waits is not None:
        where = ", ".join(map(str, files)) or "a file that is not in site-packages"
        source = getattr(sys.modules.get(waits.__module__), "__file__", None)
        if source is None or Path(source).read_bytes() != Path(waiting.__file__).read_bytes():
            return Finding(name, "note", f"on, by {where}, of another version", "install VersaTune again")
        return Finding(name, "good", f"on, by {where}")
    if files:
        lacks = "" if files[0].with_name(STARTUP_MODULE).is_file() else f" ({STARTUP_MODULE} beside it is not)"
        remedy = f"it is damaged{lacks}: install VersaTune again, or {without}"
        return Finding(name, "missing", f"off, although {files[0]} is there", remedy)
    return Finding(name, "note", f"not installed (no {' and no '.join(STARTUP_FILES)})", without)


def _brought(said: dict[str, tuple[bool, str]]) -> Iterator[Finding]:
    """What the hook and the install bring to the hosts."""
    well, short = said["axolotl"]
    if well:
        named = "`plugins: [versatune]`" if short == "True" else "only `plugins: [versatune_plugin.VersaTunePlugin]`"
        yield Finding("in Axolotl", "good" if short == "True" else "note", f"{named} is understood")
    folder = Path(eval_tasks_directory())
    if not any(folder.glob("*/*.yaml")):
        yield Finding("tasks", "missing", f"none in {folder}", "pip install --force-reinstall versatune")
    else:
        finds = "found by lm_eval" if said["lm-eval"] == (True, "True") else f"lm_eval needs --include_path {folder}"
        yield Finding("tasks", "good" if finds.startswith("found") else "note", f"{folder}, {finds}")
    known = importlib.metadata.entry_points(group="axolotl.cli_commands")
    if "versatune" in known.names:
        yield Finding("axolotl versatune", "good", "is a command of axolotl's")
    else:
        yield Finding("axolotl versatune", "note", "is no command here", "use `versatune ...`, or install it with pip")


def _commands() -> Iterator[Finding]:
    """Whether what is typed belongs to this Python."""
    own = Path(sysconfig.get_path("scripts")).resolve()
    for name in COMMANDS:
        path = shutil.which(name)
        if path is None:
            yield Finding(f"{name} on PATH", "note", "not found", f"activate the environment, or call {own / name}")
        elif Path(path).parent.resolve() != own:
            yield Finding(
                f"{name} on PATH",
                "note",
                f"{path} is of another environment",
                f"activate this one, or call {own / name}",
            )
        else:
            yield Finding(f"{name} on PATH", "good", path)


def _extras() -> Iterator[Finding]:
    for extra, package in EXTRAS.items():
        try:
            yield Finding(f"extra {extra}", "good", f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding(f"extra {extra}", "note", f"{package} is not installed")
