"""The one form of a table and of a line below it: as wide as the terminal, and inert whatever a name looks like."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from versatune_plugin.errors import printable

# Of what is no terminal: a file, a pipe.
PIPED_WIDTH = 120
# Narrower than this, tables would lose figures: the terminal may break their lines instead.
LEAST_WIDTH = 80
# A column's heading is broken where it is wider than figures are.
HEADING_WIDTH = 10


def new_console() -> Console:
    """Where to print: today's standard output, which stays the same when another takes its place."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    console.width = max(console.width, LEAST_WIDTH) if console.is_terminal else PIPED_WIDTH
    return console


def new_table(title: str | None, columns: Iterable[str]) -> Table:
    """A table without rows; its first column is for names, the others are for figures.

    Names are folded where they are too wide, and figures never cut. Titles and headings are plain text.
    """
    made = Table(title=None if title is None else inert(title), title_justify="left")
    for number, column in enumerate(columns):
        if number:
            made.add_column(_heading(column), justify="right", no_wrap=True)
        else:
            made.add_column(_heading(column), justify="left", overflow="fold")
    return made


def add_row(table: Table, *cells: str) -> None:
    """Add cells of plain text."""
    table.add_row(*(inert(cell) for cell in cells))


def say(console: Console, line: str, style: str = "") -> None:
    """Print a line; on a terminal it is broken between words, and left whole for a program that reads it."""
    console.print(inert(line), style=style, soft_wrap=not console.is_terminal)


def inert(text: str) -> Text:
    """Text that means nothing to a terminal: no markup, and what cannot be seen is escaped."""
    return Text(printable(text))


def _heading(name: str) -> Text:
    # By hand, since a column of figures is not wrapped, its heading included.
    return inert("\n".join(textwrap.wrap(name, HEADING_WIDTH, break_long_words=False, break_on_hyphens=False)))
