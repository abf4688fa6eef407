"""Reading a configuration's YAML before Axolotl does, which takes the last of two equal keys without a word."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.schema.json_text import is_utf_16
from versatune_plugin.schema.model import shown

MOST_LEVELS = 64


class _Loader(yaml.SafeLoader):
    """Safe, with no key twice and not nested without end."""

    levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.levels += 1
        if self.levels > MOST_LEVELS:
            raise yaml.constructor.ConstructorError(problem=f"it is nested more than {MOST_LEVELS} deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self.levels -= 1

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key, _ in node.value:
            # What `<<` merges in is meant to be written over.
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        problem=f"the key {shown(key.value)} is there twice; keep one of them",
                        problem_mark=key.start_mark,
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """What a YAML holds.

    Args:
        path: of an Axolotl configuration.

    Raises:
        ConfigurationError: it cannot be read, is no YAML in UTF-8, holds no mapping, or a key twice; with the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    if is_utf_16(data):
        raise ConfigurationError(f"{path}: is UTF-16; save it as UTF-8")
    try:
        found = yaml.load(data.decode("utf-8-sig"), _Loader)  # noqa: S506 - a safe loader
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{path}, line {line}: is not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line_of = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        raise ConfigurationError(f"{path}{line_of}: no YAML of a configuration: {problem}") from error
    if not isinstance(found, dict):
        held = "nothing" if found is None else shown(found)
        raise ConfigurationError(f"{path}: holds {held}, but should hold the keys of an Axolotl configuration")
    return found
