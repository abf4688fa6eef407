"""The rooms of the package, and which may import which: arrows point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "versatune_plugin"
# Room -> the rooms that it may import. `EVERYBODYS` (`__init__` has the version) are for all of them.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "extensions": set(),
    "progress": set(),
    "schema": set(),
    "artifacts": set(),
    "mixtures": {"artifacts"},
    "testing": {"mixtures"},
    "host": {"artifacts", "mixtures"},
    "data": {"host"},
    "sampling": {"mixtures", "data"},
    "training": {"artifacts", "mixtures", "host", "data", "sampling"},
    "plugin": {"artifacts", "host", "data", "training", "console"},
    "knowledge": {"artifacts", "host"},
    # Its runs are runs with the plugin, as a user would start them.
    "reference": {"artifacts", "host", "data", "training", "plugin"},
    "comparing": {"artifacts", "mixtures", "host", "data"},
    "report": {"artifacts", "comparing"},
    "evaluation": set(),
    "eval_tasks": {"evaluation"},
    "console": {"artifacts", "mixtures", "host", "data", "training", "evaluation", "knowledge", "comparing", "report"},
    "quickstart": {"artifacts", "knowledge", "reference", "console", "report"},
    "cli": {
        "artifacts",
        "host",
        "comparing",
        "report",
        "knowledge",
        "reference",
        "training",
        "evaluation",
        "console",
        "quickstart",
    },
}
EVERYBODYS = {"errors", "extensions", "progress", "schema", "__init__"}


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of what a file imports of the package, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            # `from versatune_plugin import x` may name a room.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            package, _, rest = name.partition(".")
            if package == PACKAGE.name:
                first = rest.split(".")[0]
                there = (PACKAGE / first).is_dir() or (PACKAGE / f"{first}.py").exists()
                yield node.lineno, first if there else "__init__"


# Behind a link, which `rglob` does not follow.
TASKS = PACKAGE / "eval_tasks"
FILES = [
    path for folder in (PACKAGE, TASKS) for path in sorted(folder.rglob("*.py")) if path != PACKAGE / "__init__.py"
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_arrow_runs_back(path: Path) -> None:
    own = room(path)
    allowed = MAY_IMPORT[own] | EVERYBODYS | {own}
    wrong = [f"line {line}: {other}" for line, other in imports(path) if other not in allowed]
    assert wrong == [], f"{own} may import {', '.join(sorted(MAY_IMPORT[own])) or 'no other room'} (docs/design.md)"


def test_the_rule_itself_has_no_circle() -> None:
    order: list[str] = []
    while len(order) < len(MAY_IMPORT):
        ready = [name for name, others in MAY_IMPORT.items() if name not in order and others <= set(order)]
        assert ready, f"a circle among {sorted(set(MAY_IMPORT) - set(order))}"
        order += ready
    assert {room(path) for path in FILES} == set(MAY_IMPORT)


def test_an_import_inside_a_function_is_an_arrow_too(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text("def f():\n    from versatune_plugin import training\n    import versatune_plugin.data.domains\n")
    assert list(imports(file)) == [(2, "training"), (3, "data")]


# What is pure numbers and files; what trains without knowing by whom. Types alone are no dependence.
HOSTS = {"axolotl", "transformers", "accelerate", "lm_eval"}
WITHOUT = {
    "schema": {*HOSTS, "torch", "numpy"},
    "artifacts": {*HOSTS, "torch"},
    "mixtures": {*HOSTS, "torch"},
    "report": {*HOSTS, "torch", "matplotlib"},
    "sampling": HOSTS,
    **{
        f"training/{name}.py": HOSTS
        for name in ("batches", "heldout_eval", "port", "probes", "run", "run_logger", "run_plan", "state")
    },
    **{
        f"comparing/{name}.py": {*HOSTS, "torch"}
        for name in ("contrasts", "files", "outcomes", "power", "runs", "statistics", "tables", "verdict")
    },
}


def packages(path: Path) -> set[str]:
    """The packages that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
    return found


@pytest.mark.parametrize("place", WITHOUT)
def test_what_does_without_hosts_does_without_them(place: str) -> None:
    files = [PACKAGE / place] if place.endswith(".py") else sorted((PACKAGE / place).rglob("*.py"))
    assert files
    assert {path.name: packages(path) & WITHOUT[place] for path in files if packages(path) & WITHOUT[place]} == {}


def test_the_controller_needs_no_torch() -> None:
    """Not by way of anything that it imports, either."""
    code = "import sys, versatune_plugin.mixtures.controller; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
