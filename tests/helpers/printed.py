"""Tables as a command printed them."""

from __future__ import annotations


def rows_of_table(output: str, title: str) -> dict[str, list[str]]:
    """The cells of a table below its title, by the cell of the first column; none of them may be folded."""
    lines = output.splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.strip() == title)
    rows: dict[str, list[str]] = {}
    for line in lines[start + 1 :]:
        if line.startswith("└"):
            return rows
        if line.startswith("│"):
            name, *cells = (cell.strip() for cell in line.split("│")[1:-1])
            assert name not in rows
            rows[name] = cells
    raise AssertionError(f"the table {title!r} has no end")
