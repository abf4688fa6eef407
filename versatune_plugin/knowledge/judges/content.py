"""What rows say, apart from how they are laid out: no markup, no layout, no phrase that a file's rows repeat.

A base model's unprompted texts have no template, no role names and no preamble. A judge that learns them judges the
format of a file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

# Turn and role marks of common chat templates, which a tokenizer need not know as special tokens; with a role that
# stands alone after one.
MARKUP = re.compile(
    r"(?:<[|\uff5c][^<>|\uff5c]{1,40}[|\uff5c]>|<</?SYS>>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
    r"|</?(?:s|bos|eos|think|start_of_turn|end_of_turn)>)"
    r"(?:[ \t]*(?:system|developer|user|assistant|model|tool|ipython)(?=[ \t]*(?:[\n<]|$)))?"
)
IDEOGRAPH = r"\u3040-\u30ff\u3400-\u9fff"
# A word, a number, an ideograph, a mark of punctuation, or the break of a line.
_PIECE = re.compile(rf"[{IDEOGRAPH}]|[^\W{IDEOGRAPH}]+|[^\w\s]|\s*\n\s*")
# How large a share of a file's rows must have a run of so many pieces before it is no content. Short runs are common
# in any language; a long one that comes back is a template's or a preamble's.
REPEATED_RUNS: Mapping[int, float] = {2: 0.8, 3: 0.4, 6: 0.2}
# A whole line of so many pieces, such as one of several system prompts, is separated from content by less.
REPEATED_LINES = 0.05
LEAST_PIECES = 6
LEAST_REPEATS = 3
BREAK = "\n"


Run = tuple[str, ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Repeated:
    """What many rows of one file have to the letter, upper and lower case apart.

    Attributes:
        lines: whole lines.
        runs: pieces in a row, by their number; numbers count as equal. Each length is sought in what the lines and the
            shorter runs leave, so that a run does not begin in a template and end in a row's own words.
    """

    lines: frozenset[str]
    runs: Mapping[int, frozenset[Run]]


NOTHING = Repeated(frozenset(), {})


def without_markup(text: str, special_tokens: Collection[str] = ()) -> str:
    """The text with a break of line in place of every special token, mark of a chat template, and role behind one.

    Args:
        text: any.
        special_tokens: of a tokenizer.
    """
    # First, since a role that follows a mark is known by it.
    text = MARKUP.sub("\n", text)
    for token in special_tokens:
        text = text.replace(token, "\n")
    return text


def repeated(files: Iterable[Sequence[str]]) -> Repeated:
    """What is a template's, a preamble's, a system prompt's or a role's, found by how many rows of a file repeat it.

    Args:
        files: the texts of each file's rows.

    Returns:
        What `content` leaves out.
    """
    files = list(files)
    lines = frozenset(
        line
        for texts in files
        for line in _frequent(({_common(line) for line in text.split("\n")} for text in texts), REPEATED_LINES)
        if len(_PIECE.findall(line)) >= LEAST_PIECES
    )
    rows = [[_pieces(_without_lines(text, lines)) for text in texts] for texts in files]
    runs: dict[int, frozenset[Run]] = {}
    for length, share in REPEATED_RUNS.items():
        runs[length] = frozenset(
            run for file in rows for run in _frequent((set(_runs(pieces, length)) for pieces in file), share)
        )
        rows = [[_without_runs(pieces, length, runs[length]) for pieces in file] for file in rows]
    return Repeated(lines, runs)


def content(text: str, without: Repeated) -> str:
    """The text without what is repeated, in one line: where lines break says nothing about a domain.

    Args:
        text: of a row or of a model.
        without: what many rows repeat, see `repeated`.
    """
    text = _without_lines(text, without.lines)
    pieces = _pieces(text)
    for length, runs in without.runs.items():
        pieces = _without_runs(pieces, length, runs)
    said, end = [], 0
    for piece in pieces:
        # What separates two neighbours of the text stays as it was; what was between others is gone.
        said += [text[end : piece.first] if text[end : piece.first].isspace() or end == piece.first else " "]
        said += [text[piece.first : piece.after]]
        end = piece.after
    return " ".join("".join(said).split())


class _Piece(NamedTuple):
    """A piece as it is compared, and its place in the text."""

    compared: str
    first: int
    after: int


def _pieces(text: str) -> list[_Piece]:
    """The pieces of a text between two breaks of line."""
    found = [_Piece(_compared(match.group()), *match.span()) for match in _PIECE.finditer(text.strip())]
    start = len(text) - len(text.lstrip())
    moved = [_Piece(piece.compared, piece.first + start, piece.after + start) for piece in found]
    return [_Piece(BREAK, start, start), *moved, _Piece(BREAK, len(text.rstrip()), len(text.rstrip()))]


def _without_runs(pieces: Sequence[_Piece], length: int, runs: Collection[Run]) -> list[_Piece]:
    """The pieces that are in none of the runs; a break of line stands for those that were."""
    gone = [False] * len(pieces)
    for first, run in enumerate(_runs(pieces, length)):
        if run in runs:
            gone[first : first + length] = [True] * length
    kept: list[_Piece] = []
    for piece, is_gone in zip(pieces, gone, strict=True):
        left = _Piece(BREAK, piece.after, piece.after) if is_gone else piece
        if not (left.compared == BREAK and kept and kept[-1].compared == BREAK):
            kept.append(left)
    return kept


def _runs(pieces: Sequence[_Piece], length: int) -> list[Run]:
    compared = [piece.compared for piece in pieces]
    return [tuple(compared[first : first + length]) for first in range(len(compared) - length + 1)]


def _frequent(rows: Iterable[set[T]], share: float) -> list[T]:
    counted: Counter[T] = Counter()
    total = 0
    for row in rows:
        counted.update(row)
        total += 1
    return [what for what, times in counted.items() if times >= max(share * total, LEAST_REPEATS)]


def _without_lines(text: str, lines: Collection[str]) -> str:
    return "\n".join(line for line in text.split("\n") if _common(line) not in lines)


def _common(line: str) -> str:
    return " ".join(line.lower().split())


def _compared(piece: str) -> str:
    if piece.isspace():
        return BREAK
    return "0" if piece.isdigit() else piece.lower()
