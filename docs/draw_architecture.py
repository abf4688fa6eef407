"""Draws docs/images/architecture.svg from the imports and docstrings of the package: `make architecture`.

A room lies above all that it imports. The longest chain of rooms is the middle column; the others stand beside it. An
arrow is left out where other arrows lead there as well; then the box names the room under "also". So nothing that is
imported is missing.
"""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.test_rooms import EVERYBODYS, FILES, PACKAGE, imports, room  # noqa: E402

PICTURE = ROOT / "docs" / "images" / "architecture.svg"
WIDTH, GAP_X, GAP_Y, MARGIN = 264, 46, 30, 16
LETTERS, LINE, TITLE = 42, 15, 20  # characters of a line; pixels
STYLE = (
    "text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:11.5px;fill:#1f2933}"
    ".name{font-size:15px;font-weight:600}.also{font-style:italic;fill:#52606d}"
    ".room{fill:#e8eef7;stroke:#5b7aa8;stroke-width:1.2}.all{fill:#f3efe3;stroke:#9a8a5a;stroke-width:1.2}"
    ".arrow{fill:none;stroke:#7a8594;stroke-width:1.6}"
)
Arrows = Mapping[str, set[str]]


def arrows() -> Arrows:
    """Which other rooms each room imports."""
    found: dict[str, set[str]] = {room(path): set() for path in FILES}
    for path in FILES:
        found[room(path)] |= {other for _, other in imports(path)}
    return {name: others - EVERYBODYS - {name} for name, others in found.items() if name not in EVERYBODYS}


def summary(name: str) -> str:
    """The first sentence of a room's docstring."""
    path = PACKAGE / name / "__init__.py" if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"
    text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    return text.split(". ")[0].rstrip(".").replace("`", "")


def below(of: Arrows, name: str) -> set[str]:
    return of[name].union(*(below(of, other) for other in of[name]))


def drawn(of: Arrows) -> Arrows:
    """The arrows without those that others imply."""
    return {name: {one for one in of[name] if not any(one in below(of, two) for two in of[name])} for name in of}


def layers(of: Arrows) -> dict[str, int]:
    """0 for a room that imports none; else one more than the highest that it imports."""
    found: dict[str, int] = {}
    while len(found) < len(of):
        for name in sorted(of.keys() - found.keys()):
            if of[name] <= found.keys():
                found[name] = max((found[other] + 1 for other in of[name]), default=0)
    return found


def columns(of: Arrows, layer: Mapping[str, int]) -> dict[str, int]:
    """0 for the longest chain; 1, 2, ... to its right and -1, -2, ... to its left for the others."""
    chain = [max(sorted(of), key=lambda name: layer[name])]
    while of[chain[-1]]:
        chain.append(max(sorted(of[chain[-1]]), key=lambda name: layer[name]))
    found = dict.fromkeys(chain, 0)
    taken: dict[int, dict[int, str]] = {}  # column -> row -> whose box or arrows lie there
    for name in sorted(of.keys() - found.keys(), key=lambda name: (-layer[name], name)):
        importers = [other for other in sorted(of) if name in of[other]]
        ends = [layer[name], *(layer[one] for one in of[name]), *(layer[one] for one in importers if one in chain)]
        rows = range(min(ends), max(ends) + 1)
        beside = [found[one] for one in importers if one not in chain]
        for side in [*beside, *(sign * step for step in range(1, len(of)) for sign in (1, -1))]:
            there = taken.setdefault(side, {})
            # An arrow may end at the box, of course.
            if all(row not in there or (row == layer[name] and name in of[there[row]]) for row in rows):
                there |= dict.fromkeys(rows, name)
                found[name] = side
                break
    return found


@dataclass(frozen=True)
class Box:
    """A room in the picture.

    Attributes:
        x: its left side.
        y: its upper side.
        height: in pixels.
        lines: class and text of each.
    """

    x: int
    y: int
    height: int
    lines: tuple[tuple[str, str], ...]

    @property
    def middle(self) -> int:
        return self.x + WIDTH // 2

    def svg(self, kind: str, width: int = WIDTH) -> Iterator[str]:
        yield f'<rect class="{kind}" x="{self.x}" y="{self.y}" width="{width}" height="{self.height}" rx="7"/>'
        for number, (style, text) in enumerate(self.lines):
            y = self.y + TITLE + LINE * number + (1 if number else 0)
            yield f'<text class="{style}" x="{self.x + width // 2}" y="{y}" text-anchor="middle">{escape(text)}</text>'


def words(name: str, also: set[str]) -> tuple[tuple[str, str], ...]:
    told = [("said", line) for line in textwrap.wrap(summary(name), LETTERS)]
    more = textwrap.wrap(f"also: {', '.join(sorted(also))}", LETTERS) if also else []
    return (("name", name), *told, *(("also", line) for line in more))


def boxes(of: Arrows, shown: Arrows) -> dict[str, Box]:
    layer = layers(of)
    column = columns(shown, layer)
    lines = {name: words(name, of[name] - shown[name]) for name in of}
    y, found = MARGIN, {}
    for row in sorted(set(layer.values()), reverse=True):
        there = sorted(name for name in of if layer[name] == row)
        height = max(TITLE + LINE * (len(lines[name]) - 1) + 10 for name in there)
        for name in there:
            x = MARGIN + (column[name] - min(column.values())) * (WIDTH + GAP_X)
            found[name] = Box(x, y, height, lines[name])
        y += height + GAP_Y
    return found


def path(start: Box, end: Box, turns_first: bool, turns_last: bool) -> str:
    """From a room down to one that it imports.

    Args:
        start: the room.
        end: what it imports.
        turns_first: leave sidewards, then down.
        turns_last: down, then in from the side.
    """
    bottom, right = start.y + start.height, end.x > start.x
    if turns_first:
        return f"M{start.x + WIDTH * right} {start.y + start.height // 2}H{end.middle}V{end.y}"
    if turns_last:
        return f"M{start.middle} {bottom}V{end.y + end.height // 2}H{end.x + WIDTH * (not right)}"
    return f"M{start.middle} {bottom}V{end.y - GAP_Y // 2}H{end.middle}V{end.y}"


def picture() -> str:
    of = arrows()
    shown = drawn(of)
    found = boxes(of, shown)
    column = columns(shown, layers(of))
    width = max(box.x for box in found.values()) + WIDTH + MARGIN
    floor = max(box.y + box.height for box in found.values()) + GAP_Y
    everybodys = sorted(EVERYBODYS - {"__init__"})
    ground = (("name", ", ".join(everybodys)), ("said", "may be imported by every room"))
    base = Box(MARGIN, floor, TITLE + LINE + 10, ground)
    height = floor + base.height + MARGIN
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<title>The rooms of versatune_plugin and what they import</title>",
        f"<style>{STYLE}</style>",
        '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"'
        ' markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z" fill="#7a8594"/></marker>',
    ]
    for name in sorted(of):
        for other in sorted(shown[name]):
            aside = (column[name] == 0, column[other] == 0) if column[name] != column[other] else (False, False)
            way = path(found[name], found[other], *aside)
            body.append(
                f'<path class="arrow" d="{way}" marker-end="url(#head)"><title>{name} imports {other}</title></path>'
            )
    for name in sorted(found):
        body += found[name].svg("room")
    body += base.svg("all", width - 2 * MARGIN)
    return "\n".join([*body, "</svg>"]) + "\n"


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(), encoding="utf-8")
