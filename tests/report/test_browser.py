"""Pages in a real browser: quiet, alone, drawn, sortable, readable in every light and width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.browser import CHROMIUM, WITHOUT, Browser
from tests.helpers.compared_runs import campaign
from tests.helpers.page import Page
from tests.helpers.records import HOSTILE, record_lines, write_run
from versatune_plugin.comparing.files import write_comparison
from versatune_plugin.comparing.tables import Question, compare
from versatune_plugin.report.write import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=WITHOUT)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    one = write_run(folder / "one", record_lines(["law", "code", "medicine"]))
    other = write_run(folder / "other", record_lines(["law", "code", "medicine"], seed=1))
    hostile = record_lines(HOSTILE)
    hostile[0] |= {"mixture": HOSTILE[0], "options": {HOSTILE[1]: HOSTILE[2]}}
    hostile = write_run(folder / "hostile", hostile)
    base = dict.fromkeys(HOSTILE[:3], 2.0)
    runs = campaign({"uniform": base, HOSTILE[1]: base}, range(6), dict.fromkeys(base, 0.1))
    write_comparison(compare(runs, Question("uniform", targets=HOSTILE[:1])), folder / "compared")
    return {
        "one run": write_report([one], "axolotl versatune report one"),
        "two runs": write_report([one, other], "axolotl versatune report one other", folder / "two.html"),
        "hostile names": write_report([hostile], f"axolotl versatune report {HOSTILE[0]}"),
        "a comparison": write_report([folder / "compared"], "axolotl versatune report compared"),
    }


KINDS = ("one run", "two runs", "hostile names", "a comparison")


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_quiet_and_asks_for_nothing(browser: Browser, pages: dict[str, Path], kind: str) -> None:
    browser.requests.clear()
    browser.complaints.clear()
    browser.look(1280, 900)
    browser.open(pages[kind])
    assert browser.evaluate("document.title") == next(iter(re.findall("<title>(.*?)</title>", pages[kind].read_text())))
    drawn = browser.evaluate(
        "[...document.querySelectorAll('svg.chart')].map(one => [one.getBoundingClientRect().height,"
        " one.querySelectorAll('path').length, getComputedStyle(one.querySelector('text')).fill])"
    )
    assert drawn
    assert all(height > 60 and paths > 3 and fill == "rgb(31, 35, 40)" for height, paths, fill in drawn)
    assert browser.complaints == []
    assert browser.requests == [pages[kind].as_uri()]


def test_the_browser_would_tell_of_a_request_and_of_an_error(browser: Browser, tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    browser.requests.clear()
    browser.complaints.clear()
    (tmp_path / "bad.html").write_text("<img src='http://127.0.0.1:9/x.png'><script>missing()</script>")
    browser.open(tmp_path / "bad.html")
    assert "http://127.0.0.1:9/x.png" in browser.requests
    assert any("missing is not defined" in one for one in browser.complaints)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_only_tables_are_wider_than_a_phone(browser: Browser, pages: dict[str, Path], kind: str, width: int) -> None:
    browser.look(width, 900)
    browser.open(pages[kind])
    browser.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.documentElement.scrollWidth") <= width


def column(browser: Browser, place: int) -> list[Any]:
    """A column of the first table with three rows or more."""
    found: list[Any] = browser.evaluate(
        f"[...[...document.querySelectorAll('table')].find(one => one.tBodies[0].rows.length > 2).tBodies[0].rows]"
        f".map(row => row.cells[{place}].dataset.value ?? row.cells[{place}].textContent)"
    )
    return found


def focus(browser: Browser, place: int) -> None:
    browser.evaluate(
        "[...document.querySelectorAll('table')].find(one => one.tBodies[0].rows.length > 2)"
        f".tHead.querySelectorAll('button')[{place}].focus()"
    )


def test_a_table_is_sorted_by_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look(1280, 900)
    browser.open(pages["one run"])
    browser.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    before = column(browser, 1)
    focus(browser, 1)
    browser.press("Enter")
    assert column(browser, 1) == sorted(before, key=float)
    sort = "[...document.querySelectorAll('[aria-sort]')].map(one => [one.textContent, one.getAttribute('aria-sort')])"
    assert browser.evaluate(sort) == [["law", "ascending"]]
    browser.press("Enter")
    assert column(browser, 1) == sorted(before, key=float, reverse=True)
    assert browser.evaluate(sort) == [["law", "descending"]]
    focus(browser, 0)
    browser.press("Enter")
    assert column(browser, 1) == before
    assert browser.evaluate(sort) == [["optimizer step", "ascending"]]


def test_what_is_seen_are_the_figures_of_the_file(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile names"])
    seen = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('table')].map(one => [one.caption.textContent,"
        " [...one.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.textContent))]))"
    )
    read = Page(pages["hostile names"].read_text(encoding="utf-8")).tables
    assert seen == {name: [[text for text, _ in row] for row in table.rows] for name, table in read.items()}


def test_dark_light_and_print(browser: Browser, pages: dict[str, Path]) -> None:
    colours = (
        "[document.body, document.querySelector('svg .c0')].map(one => getComputedStyle(one))"
        ".flatMap(one => [one.backgroundColor, one.color, one.stroke])"
    )
    seen = {}
    for name, dark, media in (
        ("light", False, "screen"),
        ("dark", True, "screen"),
        ("print", False, "print"),
        ("print from dark", True, "print"),
    ):
        browser.look(1280, 900, dark=dark, media=media)
        browser.open(pages["one run"])
        seen[name] = browser.evaluate(colours)
        hidden = browser.evaluate("getComputedStyle(document.querySelector('details')).display")
        assert (hidden == "none") == (media == "print")
    assert seen["light"][0] == seen["print"][0] == seen["print from dark"][0] == "rgb(255, 255, 255)"
    assert seen["print"] == seen["print from dark"]
    assert seen["dark"][0] == "rgb(21, 24, 28)"
    assert seen["dark"][5] != seen["light"][5]


def test_a_picture_can_be_taken_away(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    browser.look(1280, 900)
    browser.open(pages["hostile names"])
    files = browser.evaluate("[...document.querySelectorAll('a[download]')].map(one => [one.download, one.href])")
    assert len({name for name, _ in files}) == len(files) > 3
    for name, url in files:
        assert name.endswith(".svg")
        image = "new Promise(done => { const one = new Image(); one.onload = () => done(one.naturalWidth);"
        image += f" one.onerror = () => done(0); one.src = {url!r}; }})"
        assert browser.evaluate(image) > 0
