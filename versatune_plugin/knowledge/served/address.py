"""Addresses of servers and keys to them, as a user gives them: checked before anything is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.schema.model import shown

# What is between two dots of a host's name, and an address in brackets.
_LABEL, _IPV6 = re.compile(r"[A-Za-z0-9_-]{1,63}"), re.compile(r"[0-9a-f]*:[0-9a-f:.]+(?:%.+)?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def address_problems(option: str, urls: Sequence[str]) -> list[str]:
    """What is wrong with base addresses, a sentence each; what could hold a secret is not repeated."""
    problems = []
    for url in urls:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # Not what Python says: it may repeat a password.
            problems.append(f"{option} is no address; give one like http://127.0.0.1:8000 or https://host/v1")
            continue
        if "@" in url or parts.query or parts.fragment:
            problems.append(
                f"{option}: an address has no user, password, query or fragment; a key belongs into an environment "
                f"variable, whose name {option.replace('url', 'key-env')} gives"
            )
        elif parts.scheme not in ("http", "https") or port == 0 or not _is_clean(url) or not _is_host(parts):
            problems.append(f"{option} is {shown(url)}, but should be like http://127.0.0.1:8000 or https://host/v1")
    if not problems and len({base_address(url) for url in urls}) < len(urls):
        problems.append(f"{option} names one server twice: name each once")
    return problems


def _is_clean(url: str) -> bool:
    return url.isprintable() and " " not in url


def _is_host(parts: SplitResult) -> bool:
    name = parts.hostname
    if name is None:
        return False
    if "[" in parts.netloc:
        return _IPV6.fullmatch(name) is not None
    labels = name.removesuffix(".").split(".")
    return all(_LABEL.fullmatch(label) for label in labels)


def base_address(url: str) -> str:
    """Where the API lies: ``/v1`` where only a host was given, and otherwise what was given."""
    bare = url.rstrip("/")
    return bare if urlsplit(bare).path else f"{bare}/v1"


def root_address(url: str) -> str:
    """Where what is not of the API lies (``/version``, ``/props``)."""
    return base_address(url).removesuffix("/v1")


def key_problems(option: str, variable: str | None) -> list[str]:
    """What is wrong with the name of a key's variable, a sentence each. The name is never repeated: it may be a key."""
    if variable is None:
        return []
    if not _NAME.fullmatch(variable):
        return [f"{option} should be the name of an environment variable, like OPENAI_API_KEY, and not the key itself"]
    key = os.environ.get(variable)
    if key is None:
        return [f"the environment variable that {option} names is not set: export it, with the key in it"]
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        return [f"the environment variable that {option} names is empty, or holds what no key has (white space, say)"]
    return []


def key_of(variable: str | None) -> str | None:
    """The key in an environment variable.

    Args:
        variable: its name, checked by `key_problems`; None for a server without a key.

    Raises:
        ConfigurationError: it is gone.
    """
    if variable is None:
        return None
    key = os.environ.get(variable)
    if key is None:
        raise ConfigurationError("the environment variable of the key is not set any more")
    return key
