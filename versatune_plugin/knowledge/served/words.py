"""What a server's answer says besides what was asked: an error's message, when to ask again, a key that it repeats."""

from __future__ import annotations

import email.utils
import html
import json
from datetime import UTC, datetime
from urllib.parse import quote

import httpx


def retry_after(value: str | None) -> float | None:
    """Seconds that a header ``Retry-After`` asks for; None without a usable one.

    Args:
        value: of the header, a number or a date.
    """
    if value is None:
        return None
    try:
        return max(float(value), 0.0) if value.strip().replace(".", "", 1).isdigit() else _until(value)
    except (TypeError, ValueError):
        return None


def spellings(key: str) -> set[str]:
    """A key as it is, and as JSON, a page or an address would spell it.

    Args:
        key: in ASCII.
    """
    in_json = json.dumps(key)[1:-1]
    return {key, in_json, in_json.replace("/", "\\/"), html.escape(key), quote(key, safe="")}


def error_of(answer: httpx.Response) -> tuple[str, str]:
    """The message in an error of the usual forms, or else all of it; and its code, or "".

    Args:
        answer: of a server.
    """
    # Not in the encoding that the server names: some are none of text.
    text = answer.content.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text, ""
    error = found.get("error", found) if isinstance(found, dict) else found
    if not isinstance(error, dict):
        return text, ""
    said = next((error[name] for name in ("message", "detail") if isinstance(error.get(name), str)), text)
    return said, str(error.get("code") or "")


def _until(value: str) -> float:
    when = email.utils.parsedate_to_datetime(value)
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)
