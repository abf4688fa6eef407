"""A page of the report, as a program reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "path"}


@dataclass
class ReadTable:
    """Headings, and of each row its cells: what is read, and the exact number behind it."""

    columns: list[str] = field(default_factory=list)
    rows: list[list[tuple[str, str | None]]] = field(default_factory=list)

    def column(self, name: str) -> dict[str, str | None]:
        """The exact numbers of a column, by the text of the first one."""
        place = self.columns.index(name)
        return {row[0][0]: row[place][1] for row in self.rows}


class Page(HTMLParser):
    """Tables by caption; every tag with its attributes; all text outside of style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, ReadTable] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self._table = ReadTable()
        self._caption = ""
        self.feed(html)
        self.close()
        assert self._open == [], self._open

    def of(self, attribute: str) -> list[str]:
        """All values of an attribute."""
        return [value for _, given in self.tags if (value := given.get(attribute)) is not None]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "table":
            self._table, self._caption = ReadTable(), ""
        elif tag == "tr" and "tbody" in self._open:
            self._table.rows.append([])
        elif tag in ("td", "th") and "tbody" in self._open:
            self._table.rows[-1].append(("", dict(attrs).get("data-value")))
        elif tag == "th":
            self._table.columns.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag
        if tag == "caption":
            assert self._caption not in self.tables or self._caption
            # A chart's numbers and the table below it may have one caption: both are kept.
            name = self._caption if self._caption not in self.tables else f"{self._caption} (2)"
            self.tables[name] = self._table

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self._open):
            self.text += data
        if "caption" in self._open:
            self._caption += data
        elif self._open and self._open[-1] in ("td", "th") and "tbody" in self._open:
            text, value = self._table.rows[-1][-1]
            self._table.rows[-1][-1] = (text + data, value)
        elif self._open and self._open[-1] == "th":
            self._table.columns[-1] += data
