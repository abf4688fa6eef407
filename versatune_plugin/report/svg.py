"""Charts as SVG: text stays text, colours come from the page's style, and nothing is imported for it."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree as ET

from versatune_plugin.errors import printable
from versatune_plugin.report.palette import DARK, PALETTE

# Narrow, so that letters stay legible on a phone.
WIDTH, PLOT_HEIGHT, TITLE_HEIGHT, LINE = 440, 210, 26, 18
# Of a letter at the font's 13 pixels; those of East Asia are twice as wide.
LETTER = 7.6
TITLE_LETTERS, LEGEND_LETTERS, LABEL_LETTERS = 52, 26, 19
DASHES = ("", "7 3", "2 3", "9 3 2 3")
MARKED_POINTS = 8
MARKS = (
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
    "M-3.2-3.2h6.4v6.4h-6.4z",
    "M0-4.2l3.9 7h-7.8z",
    "M0-4.4l4.4 4.4l-4.4 4.4l-4.4-4.4z",
    "M0 4.2l3.9-7h-7.8z",
)
Place = Callable[[float], float]


def _colours(palette: Sequence[str], ink: str, faint: str, warn: str) -> str:
    shown = "".join(f"--s{number}:{colour};" for number, colour in enumerate(palette))
    return f"{shown}--ink:{ink};--faint:{faint};--warn:{warn};"


# Inside a page, and inside each picture that leaves it.
CHART_CSS = (
    f":root{{color-scheme:light dark;{_colours(PALETTE, '#1f2328', '#d5d9de', '#b3261e')}}}"
    f"@media (prefers-color-scheme:dark){{:root{{{_colours(DARK, '#e6e8eb', '#444b54', '#ff8a80')}}}}}"
    "@media print{:root{color-scheme:light;" + _colours(PALETTE, "#000", "#ccc", "#b3261e") + "}}"
    ".chart text{font:13px system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;fill:var(--ink)}"
    ".chart .title{font-weight:600}.chart .end{text-anchor:end}.chart .middle{text-anchor:middle}"
    ".chart .grid{stroke:var(--faint);stroke-width:1}.chart .zero{stroke:var(--ink);stroke-width:1}"
    ".chart .line{fill:none;stroke-width:2;stroke-linejoin:round}.chart .bar{stroke-width:2;fill:none}"
    ".chart .warn{fill:var(--warn);stroke:var(--warn)}.chart text.warn{stroke:none;font-weight:600}"
    + "".join(
        f".chart .c{number}{{stroke:var(--s{number})}}.chart .f{number}{{fill:var(--s{number})}}"
        for number in range(len(PALETTE))
    )
)


@dataclass(frozen=True)
class Series:
    """A line of a chart.

    Attributes:
        name: for the legend.
        look: number of its colour, dash and mark.
        points: x and y; y is None where it is not known, and the line is broken there.
    """

    name: str
    look: int
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Span:
    """A row of a chart of values with intervals.

    Attributes:
        name: of the row.
        value: None where it is not known.
        interval: low and high; None without one.
        text: what stands at its end.
        look: number of its colour and mark.
        warned: drawn in the colour of warnings, and said in ``text``.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None
    text: str
    look: int = 0
    warned: bool = False


def line_chart(
    identity: str,
    title: str,
    axes: tuple[str, str],
    lines: Sequence[Series],
    *,
    stepped: bool = False,
    including: Sequence[float] = (),
    show: Callable[[float], str] = lambda value: f"{value:g}",
) -> str:
    """Lines over a common x.

    Args:
        identity: unique on the page.
        title: above it.
        axes: names of x and y.
        lines: to be drawn.
        stepped: y holds until the next x.
        including: what the axis of y reaches besides: 0, or what the chart beside it reaches.
        show: the label of a y.
    """
    root = _root(identity, title)
    values = [y for line in lines for _, y in line.points if y is not None]
    if not values:
        return _nothing(root)
    xs = [x for line in lines for x, _ in line.points]
    low, high = min(*values, *including, values[0]), max(*values, *including, values[0])
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    left = 30 + LETTER * max(_wide(show(tick)) for tick in ticks)
    top, right = TITLE_HEIGHT + 8, WIDTH - 12
    bottom = top + PLOT_HEIGHT
    to_x, to_y = _scale(min(xs), max(xs), left, right), _scale(low, high, bottom, top)
    for tick in ticks:
        _add(root, "path", d=f"M{left:.1f} {to_y(tick):.1f}H{right}", **{"class": "grid"})
        _text(root, left - 6, to_y(tick) + 4, show(tick), "end")
    for tick in _ticks(min(xs), max(xs), whole=True):
        _text(root, to_x(tick), bottom + 16, f"{tick:,.0f}", "middle")
    _text(root, (left + right) / 2, bottom + 34, axes[0], "middle")
    beside = _text(root, 0, 0, axes[1], "middle")
    beside.set("transform", f"translate(13 {(top + bottom) / 2:.0f}) rotate(-90)")
    for number, line in enumerate(lines):
        group = _add(root, "g")
        _add(group, "title").text = printable(line.name)
        _add(group, "path", d=_path(line.points, to_x, to_y, stepped), **_stroke("line", line.look))
        known = [(x, y) for x, y in line.points if y is not None]
        every = max(len(known) // MARKED_POINTS, 1)
        for x, y in known[(number * every // max(len(lines), 1)) % every :: every]:
            _mark(group, to_x(x), to_y(y), line.look)
    return _finished(root, _legend(root, lines, bottom + 54))


def span_chart(identity: str, title: str, rows: Sequence[Span], label: str, zero: bool = True) -> str:
    """Rows of values with their intervals.

    Args:
        identity: unique on the page.
        title: above it.
        rows: from above to below.
        label: of the values.
        zero: show 0, with a line.
    """
    root = _root(identity, title)
    ends = [end for row in rows for end in (row.value, *(row.interval or ())) if end is not None]
    if not ends:
        return _nothing(root)
    if zero:
        ends.append(0.0)
    ticks = _ticks(min(ends), max(ends), most=4)
    low, high = min(*ends, ticks[0]), max(*ends, ticks[-1])
    left = 16 + LETTER * max(_wide(_cut(row.name, LABEL_LETTERS)) for row in rows)
    right = WIDTH - 14 - LETTER * max(_wide(row.text) for row in rows)
    to_x = _scale(low, high, left, right)
    top = TITLE_HEIGHT + 6
    bottom = top + 24 * len(rows)
    for tick in ticks:
        kind = "zero" if zero and tick == 0 else "grid"
        _add(root, "path", d=f"M{to_x(tick):.1f} {top}V{bottom}", **{"class": kind})
        _text(root, to_x(tick), bottom + 16, f"{tick:g}", "middle")
    for number, row in enumerate(rows):
        y = top + 24 * number + 12
        group = _add(root, "g")
        _add(group, "title").text = printable(row.name)
        _text(group, left - 10, y + 4, _cut(row.name, LABEL_LETTERS), "end")
        kind = f"bar {'warn' if row.warned else f'c{row.look % len(PALETTE)}'}"
        if row.interval is not None:
            begin, end = (to_x(one) for one in row.interval)
            bar = f"M{begin:.1f} {y}H{end:.1f}M{begin:.1f} {y - 4}v8M{end:.1f} {y - 4}v8"
            _add(group, "path", d=bar, **{"class": kind})
        elif row.value is not None and zero:
            _add(group, "path", d=f"M{to_x(0):.1f} {y}H{to_x(row.value):.1f}", **{"class": kind})
        if row.value is not None:
            _mark(group, to_x(row.value), y, row.look, row.warned)
        _text(group, WIDTH - 4, y + 4, row.text, "end warn" if row.warned else "end")
    _text(root, (left + right) / 2, bottom + 34, label, "middle")
    return _finished(root, bottom + 42)


def data_url(svg: str) -> str:
    """A picture by itself, as the target of a link.

    Args:
        svg: of this module.
    """
    head, _, rest = svg.partition(">")
    return "data:image/svg+xml," + quote(f"{head}><style>{CHART_CSS}</style>{rest}", safe=" !$'()*+,-./:;=?@_~{}")


def _root(identity: str, title: str) -> ET.Element:
    named = {"role": "img", "aria-labelledby": f"{identity}-title", "class": "chart"}
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **named})
    _add(root, "title", id=f"{identity}-title").text = printable(title)
    _text(root, 4, 17, _cut(title, TITLE_LETTERS), "title")
    return root


def _nothing(root: ET.Element) -> str:
    _text(root, 4, TITLE_HEIGHT + 20, "no finite figure", "")
    return _finished(root, TITLE_HEIGHT + 32)


def _finished(root: ET.Element, height: float) -> str:
    root.set("viewBox", f"0 0 {WIDTH} {height:.0f}")
    # It escapes whatever came from data.
    return ET.tostring(root, encoding="unicode")


def _add(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, tag, attributes)


def _text(parent: ET.Element, x: float, y: float, text: str, kind: str) -> ET.Element:
    made = _add(parent, "text", x=f"{x:.1f}", y=f"{y:.1f}", **({"class": kind} if kind else {}))
    made.text = printable(text)
    return made


def _stroke(kind: str, look: int) -> dict[str, str]:
    colours = len(PALETTE)
    dash = DASHES[look // colours % len(DASHES)] or DASHES[look % len(DASHES)]
    return {"class": f"{kind} c{look % colours}"} | ({"stroke-dasharray": dash} if dash else {})


def _mark(parent: ET.Element, x: float, y: float, look: int, warned: bool = False) -> None:
    kind = "warn" if warned else f"f{look % len(PALETTE)}"
    _add(parent, "path", d=MARKS[look % len(MARKS)], transform=f"translate({x:.1f} {y:.1f})", **{"class": kind})


def _path(points: Iterable[tuple[float, float | None]], to_x: Place, to_y: Place, stepped: bool) -> str:
    made, pen_down = [], False
    for x, y in points:
        if y is None:
            pen_down = False
        elif not pen_down:
            made.append(f"M{to_x(x):.1f} {to_y(y):.1f}")
            pen_down = True
        elif stepped:
            made.append(f"H{to_x(x):.1f}V{to_y(y):.1f}")
        else:
            made.append(f"L{to_x(x):.1f} {to_y(y):.1f}")
    return "".join(made)


def _legend(root: ET.Element, lines: Sequence[Series], y: float) -> float:
    """Entries from left to right, in as many rows as it takes; returns where they end."""
    x = 6.0
    for line in lines:
        name = _cut(line.name, LEGEND_LETTERS)
        width = 44 + LETTER * _wide(name)
        if x > 6 and x + width > WIDTH:
            x, y = 6.0, y + LINE
        _add(root, "path", d=f"M{x:.0f} {y - 4:.0f}h28", **_stroke("line", line.look))
        _mark(root, x + 14, y - 4, line.look)
        _text(root, x + 34, y, name, "")
        x += width + 8
    return y + 10


def _scale(low: float, high: float, begin: float, end: float) -> Place:
    size = high - low or 1.0
    return lambda value: begin + (value - low) / size * (end - begin)


def _ticks(low: float, high: float, most: int = 6, whole: bool = False) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``; whole ones lie between them."""
    size = high - low
    if not size > 0:
        return [low] if whole else [low, low + (abs(low) * 0.1 or 1.0)]
    rough = size / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    if whole:
        step = max(round(step), 1)
        return [float(step * number) for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 12) for number in range(first, last + 1)]


def _cut(text: str, letters: int) -> str:
    shown = printable(text[: 2 * letters])
    while _wide(shown) > letters:
        shown = shown.removesuffix("…")[:-1] + "…"
    return shown


def _wide(text: str) -> float:
    return sum(2.0 if unicodedata.east_asian_width(one) in "WF" else 1.0 for one in printable(text))
