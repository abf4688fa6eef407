"""The page itself: sections, style and script in one file that asks nothing of any other."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment

from versatune_plugin import __version__
from versatune_plugin.errors import printable
from versatune_plugin.report.parts import Section
from versatune_plugin.report.svg import CHART_CSS

HERE = Path(__file__).parent
GENERATOR = "versatune.report"


def make_page(title: str, sections: Iterable[Section], command: str, made_at: str) -> str:
    """The page as HTML.

    Args:
        title: of it.
        sections: from above to below.
        command: what makes it anew.
        made_at: when it was made.
    """
    style, script = CHART_CSS + _file("page.css"), _file("page.js")
    # Only this style and this script, whatever else gets in; and nothing is fetched, framed or sent.
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    environment = Environment(autoescape=True, finalize=_seen, trim_blocks=True, keep_trailing_newline=True)
    environment.filters["trusted"] = _Trusted
    return environment.from_string(_file("page.html")).render(
        title=title,
        sections=list(sections),
        command=command,
        made_at=made_at,
        generator=f"{GENERATOR} {__version__}",
        policy=policy,
        style=_Trusted(style),
        script=_Trusted(script),
    )


def is_page(path: Path) -> bool:
    """Whether a file is a page of ours, which may be replaced.

    Args:
        path: of the file.
    """
    with path.open("rb") as file:
        return f'<meta name="generator" content="{GENERATOR} '.encode() in file.read(2000)


class _Trusted(str):
    """Text that is HTML already, and not of data."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def _seen(value: Any) -> Any:
    """What cannot be seen, or reorders other text, is escaped; jinja2 does the same to what means something in HTML."""
    return value if hasattr(value, "__html__") or not isinstance(value, str) else printable(value)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8").strip()
