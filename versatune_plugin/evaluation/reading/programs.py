"""Takes the program out of an answer of a chat model."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator

# A block, the first word behind its fence, and whether it is closed.
_FENCED = re.compile(
    r"(`{3,}|~{3,})[ \t]*([\w+.-]*)([^\n`]*)(?=\n|`)\n?(.*?)(?:(\1)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_PYTHON = ("", "python", "python3", "py", "pycon", "ipython")
_MARKS = re.compile(r"\[/?(?:BEGIN|DONE|PYTHON|ANSWER|CODE)\]|</?(?:code|answer|solution)>", re.IGNORECASE)
_DEFINING = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom
)  # fmt: skip
_ENDS = re.compile(r"^\s*(?:return|yield|raise)\b", re.MULTILINE)
_STARTS = re.compile(
    r"^(?:from\s+[\w.]+\s+import\b|import\s+\w|(?:async\s+)?def\s+\w|class\s+\w|@\w|\w+\s*(?::[^=\n]+)?=[^=])",
    re.MULTILINE,
)


def program(answer: str, name: str, head: str = "") -> str | None:
    """The program in an answer that defines a function; None where there is none.

    Of several blocks it is the last one that is whole and defines the function, behind the definitions in the blocks
    before it.

    Args:
        answer: of `reading.text.answer`.
        name: of the function.
        head: imports, helpers, signature and docstring that the answer was to complete, if any. What stands before
            the signature comes first; a body alone is put behind it.
    """
    text = re.sub(r"^`([^`\n]+)`$", r"\1", _MARKS.sub("\n", answer), flags=re.MULTILINE)
    blocks = _blocks(text) or [(text, False)]
    before, helpers, whole, part = _before(head, name), "", None, None
    for block, closed in blocks:
        code = _longest(textwrap.dedent(block))
        tree = _parsed(code) if code is not None else None
        if code is None or tree is None:
            continue
        complete = closed and code.strip() == textwrap.dedent(block).strip()
        if name in _names(tree):
            if complete:
                whole = f"{before}{helpers}{code}\n"
            else:
                part = f"{before}{helpers}{code}\n"
        if complete and all(isinstance(node, _DEFINING) for node in tree.body):
            helpers += f"{code}\n"
    if whole is None and part is None and head:
        return next((one for block, _ in blocks if (one := _completed(head, block, name))), None)
    return whole or part


def _blocks(text: str) -> list[tuple[str, bool]]:
    """What stands between fences and may be Python; whether its fence is closed; in doctest's form what is typed."""
    found = []
    for _, language, beside, rest, closing in _FENCED.findall(text):
        if language.lower() in _PYTHON:
            # A program may begin in the line of its fence.
            block = f"{beside.strip()}\n{rest}" if _STARTS.match(beside.strip()) else rest
            typed = [line.strip()[4:] for line in block.split("\n") if re.match(r"\s*(?:>>>|\.\.\.)(?: |$)", line)]
            code = "\n".join(typed) if block.lstrip().startswith(">>>") else block
            found.append((code, bool(closing)))
    return found


def _longest(text: str) -> str | None:
    """The longest piece of a text, from its first line or from one that looks like code, that defines something."""
    for start in [0, *(one.start() for one in _STARTS.finditer(text))]:
        rest = text[start:].rstrip()
        while rest.strip():
            tree = _parsed(rest)
            if tree is not None:
                if any(isinstance(node, _DEFINING) for node in tree.body):
                    return rest
                break
            rest = rest.rpartition("\n")[0].rstrip()
    return None


def _completed(head: str, block: str, name: str) -> str | None:
    """The head with a body behind it."""
    body = block.strip("\n")
    written = body.split("\n")
    for end in range(len(written), 0, -1):
        rest = "\n".join(written[:end])
        if not _ENDS.search(rest):
            return None
        # As it is, or with the margin that its first line has lost in decoding, or the one blank of it.
        for whole in (rest, f"    {rest}", f" {rest}"):
            tree = _parsed(f"{head}{whole}\n")
            if tree is not None and len(_function(tree, name).body) > 1:
                return f"{head}{whole}\n"
    return None


def _before(head: str, name: str) -> str:
    """What stands before the signature."""
    found = re.search(rf"^(?:async\s+)?def\s+{re.escape(name)}\b", head, re.MULTILINE)
    return head[: found.start()] if found else ""


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not `ast.parse` alone, which lets pass what no compiler does, as `return` outside a function.
            compile(text, "<answer>", "exec", dont_inherit=True)
            return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _function(tree: ast.Module, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    return next(
        node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    )


def _names(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            yield from (alias.asname or alias.name for alias in node.names)
