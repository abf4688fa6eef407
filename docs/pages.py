"""What MkDocs builds the site from: the repository's own pages, and a page of the reference for each room.

The site has the layout of the repository, so a link that works in the repository works in the site, too.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "versatune_plugin"
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "docs/images/*",
    "eval_tasks/README.md",
    "eval_tasks/*/README.md",
    "benchmarks/RESULTS.md",
)
# The quickstart is a program, not something to call.
WITHOUT_A_PAGE = {"quickstart"}
# Rooms whose docstrings still have joint entries; empty when all are mended.
UNMENDED: set[str] = set()
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")


def pages() -> list[Path]:
    return sorted(path for pattern in PAGES for path in ROOT.glob(pattern))


def linked_files() -> set[Path]:
    """Files that a page links to and that are no pages, such as a script."""
    linked = {
        (page.parent / target).resolve()
        for page in pages()
        if page.suffix == ".md"
        for target in LINK.findall(page.read_text(encoding="utf-8"))
    }
    return {path for path in linked - set(pages()) if path.is_file()}


def modules(room: Path) -> Iterator[str]:
    """Dotted names of a room's modules with anything in them; of a folder that a bare interpreter runs, none."""
    for path in sorted(room.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body and "child" not in path.parts:
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def rooms() -> dict[str, list[str]]:
    """Each page of the reference and the modules on it; those that lie beside the rooms share one."""
    found = {
        folder.name: list(modules(folder))
        for folder in sorted(PACKAGE.iterdir())
        if (folder / "__init__.py").exists() and folder.name not in WITHOUT_A_PAGE
    }
    return {"package": [PACKAGE.name, *(f"{PACKAGE.name}.{path.stem}" for path in beside())], **found}


def beside() -> list[Path]:
    return [path for path in sorted(PACKAGE.glob("*.py")) if path.stem not in ("__init__", "cli")]


def reference_page(name: str, of: list[str]) -> str:
    return "\n\n".join([f"# {name}", *(f"::: {module}" for module in of)]) + "\n"


def on_startup(**_: object) -> None:
    def mended(record: logging.LogRecord) -> bool:
        return not any(f"versatune_plugin/{room}/" in record.getMessage() for room in UNMENDED)

    logging.getLogger("mkdocs.plugins.griffe").addFilter(mended)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    from mkdocs.structure.files import File

    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for path in [*pages(), *sorted(linked_files())]:
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    for name, of in rooms().items():
        files.append(File.generated(config, f"api/{name}.md", content=reference_page(name, of)))
    return files
