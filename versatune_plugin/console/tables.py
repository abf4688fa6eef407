"""The one form of a table: a title, names at the left, figures at the right."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text


def new_table(title: str, columns: Iterable[str]) -> Table:
    """A table without rows; its first column is for names. Names of columns are plain text, whatever they look like."""
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(Text(column), justify="right" if number else "left")
    return made
