"""The documentation: links that lead somewhere, names that exist, docstrings that can be parsed, a site that builds."""

from __future__ import annotations

import ast
import importlib.util
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]


def _module(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.replace("/", "_").removesuffix(".py"), ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = _module("docs/pages.py")
MARKDOWN: list[Path] = [path for path in PAGES.pages() if path.suffix == ".md"]
FOLDERS = "versatune_plugin|docs|tests|benchmarks|constraints|example_yml|eval_tasks"
page = pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^( *)```.*?^\1```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@page
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)", re.sub("`[^`\n]*`", "", prose(path))):
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.is_file(), f"{target}: no such file"
        assert there.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(there), f"{target}: no such heading"


@page
def test_every_name_and_path_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in set(re.findall(r"\bversatune_plugin(?:\.[A-Za-z_]\w*)+", text)) - {"versatune_plugin.eval_tasks"}:
        pkgutil.resolve_name(name)
    mentioned = set(re.findall(rf"`((?:{FOLDERS})/[\w./-]+)", text))
    # `NAME` stands for a name of the reader's.
    assert [one for one in sorted(mentioned) if "NAME" not in one and not (ROOT / one).exists()] == []


@page
def test_every_configuration_shown_is_yaml(path: Path) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        assert isinstance(yaml.safe_load(block), dict)


def test_the_readme_answers_a_newcomer_in_order() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    asked = ["See it work", "Use it on your run", "What it promises", "Where the rest is"]
    assert re.findall("^## (.*)$", text, re.MULTILINE) == asked
    assert all(f"\nmake {target} " in text for target in ("quickstart", "test"))
    assert len(text.splitlines()) <= 110


def _pages_of(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for entry in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _pages_of(entry)


def test_every_page_stands_in_the_navigation_once() -> None:
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = sorted(_pages_of(configuration["nav"]))
    there = [path.relative_to(ROOT).as_posix() for path in MARKDOWN]
    assert listed == sorted([*there, *(f"api/{name}.md" for name in PAGES.rooms())])


def test_forms_of_issues_ask_for_what_an_answer_needs() -> None:
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    if not folder.is_dir():
        pytest.skip("a source distribution has no .github")
    for form in sorted({*folder.glob("*.yml")} - {folder / "config.yml"}):
        read = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= read.keys()
        asked = [entry["attributes"]["label"] for entry in read["body"]]
        assert len({entry["id"] for entry in read["body"]}) == len(asked)
        assert any("`versatune --version`" in label for label in asked), form.name


def test_the_picture_of_the_rooms_is_what_the_imports_are() -> None:
    drawing = _module("docs/draw_architecture.py")
    assert drawing.PICTURE.read_text(encoding="utf-8") == drawing.picture(), "run `make architecture`"


def test_boxes_of_the_picture_lie_apart_and_arrows_point_down() -> None:
    drawing = _module("docs/draw_architecture.py")
    of = drawing.arrows()
    found = drawing.boxes(of, drawing.drawn(of))
    assert found.keys() == of.keys()
    for one, two in combinations(found.values(), 2):
        aside = one.x + drawing.WIDTH < two.x or two.x + drawing.WIDTH < one.x
        assert aside or one.y + one.height < two.y or two.y + two.height < one.y
        assert all(len(text) <= drawing.LETTERS for _, text in (*one.lines, *two.lines))
    assert all(found[name].y + found[name].height < found[other].y for name in of for other in of[name])
    # What no arrow shows is written into the box.
    for name, shown in drawing.drawn(of).items():
        assert all(other in " ".join(text for _, text in found[name].lines) for other in of[name] - shown)


SECTIONS = ("Args", "Attributes", "Raises")
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def parameters(node: Documented) -> set[str] | None:
    """Names that `Args` may have; None where they are inherited."""
    if isinstance(node, ast.Module):
        return set()
    if isinstance(node, ast.ClassDef):
        found = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"]
        fields = {
            one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        }
        return parameters(found[0]) if found else fields or None
    given = node.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return {one.arg for one in every}


def faults(source: str) -> Iterator[str]:
    """What a parser of Google's style would misread, and names that are no parameter."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, Documented):
            continue
        allowed, section = parameters(node), ""
        for line in (ast.get_docstring(node) or "").splitlines():
            if re.match(rf"({'|'.join(SECTIONS)})\b.*:", line) or re.match(r"\w+ attributes:$", line):
                section = line.removesuffix(":")
                if section not in SECTIONS:
                    yield f"{line}: a section of its own is called one of {', '.join(SECTIONS)}"
            elif line and not line.startswith(" "):
                section = ""
            elif section and re.match(r" {4}\S", line):
                name = re.match(r" {4}(\*{0,2}[\w.]+)(?: \(.*?\))?: ", line)
                if name is None:
                    yield f"{section}: {line.strip()}: not one name, a colon and what it is"
                elif section == "Args" and allowed is not None and name[1].lstrip("*") not in allowed:
                    yield f"{section}: {line.strip()}: no such parameter"


MODULES = [
    path
    for path in sorted(PAGES.PACKAGE.rglob("*.py"))
    if path.relative_to(PAGES.PACKAGE).parts[0] not in PAGES.UNMENDED
]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PAGES.PACKAGE)))
def test_docstrings_can_be_parsed(path: Path) -> None:
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "lines",
    [
        "Args:\n    a, b: two.",
        "Args:\n    a: one.\n    *b: two.\n    c: no.",
        "Args, Raises: as of `g`.",
        "Raises:\n    many.",
    ],
)
def test_faults_of_docstrings_are_found(lines: str) -> None:
    indented = lines.replace("\n", "\n    ")
    assert len(list(faults(f'def f(a, *b):\n    """F.\n\n    {indented}\n    """'))) == 1
    good = "Args:\n        a: one\n            more: of it.\n        *b: two."
    assert list(faults(f'def f(a, *b):\n    """F.\n\n    {good}\n    """')) == []


FETCHED = re.compile(r"<(?:script|img|iframe)[^>]*\ssrc=\"?(?:https?:)?//|<link[^>]*\shref=\"?(?:https?:)?//")


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra `docs`: pip install '.[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    assert (tmp_path / "site" / "search" / "search_index.json").is_file()
    for built in (tmp_path / "site").rglob("*.html"):
        text = built.read_text(encoding="utf-8")
        assert not re.search(
            r"<(?:script|img|iframe)[^>]*\ssrc=\"?(?:https?:)?//|<link[^>]*\shref=\"?(?:https?:)?//", text
        ), built
