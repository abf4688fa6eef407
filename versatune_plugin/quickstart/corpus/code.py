"""Code: functions and classes of Python's standard library, read from its installed source with ``ast``."""

from __future__ import annotations

import ast
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from versatune_plugin.quickstart.corpus.fact import Exercise, Fact, fact, listed

ENOUGH = 3600
LONGEST = 360
LEFT_OUT = {
    *("test", "tests", "idle_test", "idlelib", "lib2to3", "turtledemo", "ensurepip"),
    *("encodings", "pydoc_data", "site-packages", "dist-packages", "__pycache__"),
}
"""Folders of the library whose source is tests, tables or somebody else's."""


def facts(rng: random.Random) -> list[Fact]:
    """Facts from modules in random order until there are enough, in a fixed order for a given state of ``rng``."""
    root = Path(sysconfig.get_path("stdlib"))
    sources = sorted(path for path in root.rglob("*.py") if not LEFT_OUT & set(path.relative_to(root).parts))
    rng.shuffle(sources)
    found: list[Fact] = []
    for path in sources:
        if len(found) >= ENOUGH:
            break
        found += _module(rng, path, ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"))
    return found


def _module(rng: random.Random, path: Path, module: str) -> Iterator[Fact]:
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            yield from _class(rng, node, module)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            text = _dedent(lines[node.lineno - 1 : node.end_lineno])
            if 60 < len(text) <= LONGEST and text.isascii():
                yield _function(rng, node, text, module)


def _function(rng: random.Random, node: ast.FunctionDef | ast.AsyncFunctionDef, text: str, module: str) -> Fact:
    name = node.name
    signature = f"def {name}({ast.unparse(node.args)}):"
    exercises: list[Exercise] = [
        (f"Complete this function of Python's module {module}.", signature, text),
        (f"Write the Python function {name} as it stands in the module {module}.", "", text),
    ]
    purpose = _purpose(node)
    if purpose:
        body = "\n".join(_without_docstring(node, text))
        exercises += [
            (f"Write a Python function {name} for the module {module}: {purpose}", "", text),
            ("Explain in one sentence what this Python function does.", body, purpose),
            (f"Write the docstring of this function of the module {module}.", body, f'"""{purpose}"""'),
            (f"What is the signature of {module}.{name}, and what is it for?", "", f"{signature[:-1]}\n{purpose}"),
        ]
    elif called := sorted({ast.unparse(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}):
        exercises.append(("Which functions does this Python code call?", text, f"It calls {listed(called)}."))
    return fact(rng, "", [text], exercises)


def _class(rng: random.Random, node: ast.ClassDef, module: str) -> Iterator[Fact]:
    purpose = _purpose(node)
    methods = [
        entry.name for entry in node.body if isinstance(entry, ast.FunctionDef) and not entry.name.startswith("_")
    ]
    if not purpose and len(methods) < 2:
        return
    head = f"class {node.name}({', '.join(ast.unparse(base) for base in node.bases)}):"
    body = f'    """{purpose}"""\n' if purpose else ""
    stubs = "".join(f"    def {name}(self): ...\n" for name in methods[:8])
    exercises: list[Exercise] = [
        (f"Sketch the class {node.name} of Python's module {module}.", "", f"{head}\n{body}{stubs or '    pass'}"),
    ]
    if purpose:
        exercises.append((f"What is the class {module}.{node.name} for?", "", purpose))
    if methods:
        exercises.append(
            (
                f"Which public methods does {module}.{node.name} have?",
                "",
                f"The class {node.name} has the methods {listed(methods, 10)}.",
            )
        )
    yield fact(rng, f"the class {module}.{node.name}", [f"# {module}\n{head}\n{body}{stubs or '    pass'}"], exercises)


def _purpose(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    """The first paragraph of the docstring on one line, or nothing where it is too short or too long to be one."""
    paragraph = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return paragraph if 15 < len(paragraph) < 300 and paragraph.isascii() else ""


def _without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef, text: str) -> list[str]:
    lines, doc = text.split("\n"), node.body[0]
    assert doc.end_lineno is not None
    return lines[: doc.lineno - node.lineno] + lines[doc.end_lineno - node.lineno + 1 :]


def _dedent(lines: list[str]) -> str:
    """The lines with the indentation of the first taken away; lines inside a string may have less."""
    margin = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[margin:] if not line[:margin].strip() else line for line in lines).rstrip()
