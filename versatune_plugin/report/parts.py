"""What a page is made of: sections with notes, figures and tables, before there is any HTML."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from versatune_plugin.report.svg import Series, data_url, line_chart

# Of what is not known, or not finite where the place says so.
UNKNOWN = "-"
Number = float | int | None
# A chart of a longer run shows every second, third, ... step, as its table does.
MOST_POINTS, FEWEST_POINTS = 250, 40
# Of all domains in one chart: with its table it takes a hundred kilobytes or two.
MOST_FIGURES = 2000


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what is read.
        value: the exact number, which sorting uses; None of words.
        warned: whether it is in the colour of warnings.
    """

    text: str
    value: Number = None
    warned: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose first column has names.

    Attributes:
        caption: above it.
        columns: headings.
        rows: of as many cells.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def words(self) -> list[bool]:
        """Of each column, whether it has no numbers."""
        return [all(row[place].value is None for row in self.rows) for place in range(len(self.columns))]


@dataclass(frozen=True)
class Figure:
    """A chart, and its numbers.

    Attributes:
        svg: of `versatune_plugin.report.svg`.
        file: name of the picture where it is kept.
        table: its numbers.
        note: below it.
    """

    svg: str
    file: str
    table: Table
    note: str = ""

    @property
    def url(self) -> str:
        """The picture by itself."""
        return data_url(self.svg)


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        heading: of it.
        notes: sentences below the heading.
        warnings: sentences in the colour of warnings.
        figures: side by side where there is room.
        tables: below them.
    """

    heading: str
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = field(default=())


def four_digits(value: float) -> str:
    """How losses and shares are read."""
    return f"{value:.4f}"


def figure_cell(value: Number, show: Callable[[float], str] = four_digits, lost: str = UNKNOWN) -> Cell:
    """A cell with a number.

    Args:
        value: None, or NaN, where it is not known.
        show: how it is read.
        lost: what stands in place of one that is not known.
    """
    if value is None or not math.isfinite(value):
        return Cell(lost)
    return Cell(show(value), value)


def count_cell(value: int) -> Cell:
    """A cell with a whole number."""
    return Cell(f"{value:,}", value)


def thinned(points: Sequence[tuple[int, Mapping[str, Number]]]) -> list[tuple[int, Mapping[str, Number]]]:
    """Every second, third, ... of many points, and the last one."""
    if not points:
        return []
    most = min(max(MOST_FIGURES // len(points[0][1]), FEWEST_POINTS), MOST_POINTS)
    kept = list(points[:: math.ceil(len(points) / most)])
    return kept if kept[-1] is points[-1] else [*kept, points[-1]]


def curves(
    identity: str,
    title: str,
    unit: str,
    points: Sequence[tuple[int, Mapping[str, Number]]],
    looks: Mapping[str, int],
    *,
    until: int | None = None,
    including: Sequence[float] = (),
    show: Callable[[float], str] = lambda value: f"{value:g}",
) -> Figure:
    """A figure of lines over optimizer steps, one for each domain.

    Args:
        identity: unique on the page.
        title: of the chart.
        unit: of the figures.
        points: step and figures by domain.
        looks: number of each domain's colour, dash and mark.
        until: the step to which the last figures hold: then they are drawn as steps. None: as a curve.
        including: what the axis reaches besides.
        show: its labels.
    """
    shown = thinned(points)
    names = list(points[0][1]) if points else []
    drawn = [*shown, (until, shown[-1][1])] if until is not None and shown else shown
    series = [Series(name, looks[name], [(step, one[name]) for step, one in drawn]) for name in names]
    note = "" if len(shown) == len(points) else f"{len(shown):,} of {len(points):,} steps are shown; the record has all"
    svg = line_chart(
        identity,
        title,
        ("optimizer step", unit),
        series,
        stepped=until is not None,
        including=including,
        show=show,
    )
    rows = [[count_cell(step), *(figure_cell(one[name], lost="not finite") for name in names)] for step, one in shown]
    return Figure(svg, f"{identity}.svg", Table(f"{title}: {unit}", ["optimizer step", *names], rows), note)
