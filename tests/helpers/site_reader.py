"""Reads a site-packages folder as Python does from 3.15 on (PEP 829), in an older one that was started with ``-S``.

``python -P -S site_reader.py FOLDER ORDER CODE``. The PEP leaves open which come first, the entry points of ``.start``
files or the ``import`` lines of ``.pth`` files: ORDER is ``start`` or ``pth``, or ``never`` as from 3.18 on, when such
lines are ignored. It prints what it executed, and then whatever CODE prints.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from pkgutil import resolve_name

WORDS = r"(?!\d)\w+(\.(?!\d)\w+)*"
ENTRY_POINT = re.compile(f"{WORDS}:{WORDS}")


def files(folder: Path, suffix: str) -> list[Path]:
    """Files of a kind in the order of their names, without hidden ones."""
    return [path for path in sorted(folder.iterdir()) if path.suffix == suffix and not path.name.startswith(".")]


def lines(path: Path) -> list[str]:
    """The lines of a file without blank ones and comments."""
    found = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    return [line for line in found if line and not line.startswith("#")]


def read(folder: Path) -> tuple[list[str], list[str], list[str]]:
    """Folders for ``sys.path``, ``import`` lines that count, and entry points."""
    paths, imports = [], []
    for file in files(folder, ".pth"):
        for line in lines(file):
            if not line.startswith(("import ", "import\t")):
                paths.append(str(folder / line))
            elif not file.with_suffix(".start").exists():
                imports.append(line)
    points = [line for file in files(folder, ".start") for line in lines(file) if ENTRY_POINT.fullmatch(line)]
    return [path for path in paths if Path(path).exists()], imports, points


def main(folder: Path, order: str, code: str) -> None:
    sys.path.append(str(folder))
    paths, imports, points = read(folder)
    sys.path += paths
    executed = [] if order == "never" else [("pth", line) for line in imports]
    called = [("start", line) for line in points]
    for kind, line in executed + called if order == "pth" else called + executed:
        print(kind, line)
        if kind == "pth":
            exec(line)
        else:
            resolve_name(line)()
    exec(code, {})


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
