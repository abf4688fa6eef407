"""Reading a configuration's YAML before Axolotl does, which takes the last of two equal keys without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.schema.json_text import is_utf_16
from versatune_plugin.schema.model import shown

MOST_LEVELS = 64
MERGE = "tag:yaml.org,2002:merge"


class _Composer(yaml.SafeLoader):
    """Not nested without end."""

    levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.levels += 1
        if self.levels > MOST_LEVELS:
            raise yaml.YAMLError(f"it is nested more than {MOST_LEVELS} deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self.levels -= 1


def check_keys(path: Path) -> None:
    """See that no key of a YAML is there twice.

    Nothing is constructed, so whatever tags stand in the file.

    Args:
        path: of an Axolotl configuration.

    Raises:
        ConfigurationError: a key is; or the file is no YAML in UTF-8; with the line.
    """
    text = _text(path)
    try:
        node = yaml.compose(text, _Composer)
    except yaml.YAMLError as error:
        raise _no_yaml(path, error) from error
    _check(path, node, set())


def read_yaml(path: Path) -> dict[str, Any]:
    """What a YAML holds.

    Args:
        path: of an Axolotl configuration.

    Raises:
        ConfigurationError: it cannot be read, is no YAML in UTF-8, holds no mapping, or a key twice; with the line.
    """
    check_keys(path)
    try:
        found = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise _no_yaml(path, error) from error
    if not isinstance(found, dict):
        held = "nothing" if found is None else shown(found)
        raise ConfigurationError(f"{path}: holds {held}, but should hold the keys of an Axolotl configuration")
    return found


def _check(path: Path, node: yaml.Node | None, seen: set[int]) -> None:
    # An alias is the very node that it stands for.
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[tuple[str, str]] = set()
        for key, value in node.value:
            # What `<<` merges in is meant to be written over.
            if isinstance(key, yaml.ScalarNode) and key.tag != MERGE:
                if (key.tag, key.value) in keys:
                    raise ConfigurationError(
                        f"{path}, line {key.start_mark.line + 1}: the key {shown(key.value)} is there twice, and "
                        "Axolotl would take the last one; keep one of them"
                    )
                keys.add((key.tag, key.value))
            _check(path, value, seen)
    else:
        for inner in node.value:
            _check(path, inner, seen)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    if is_utf_16(data):
        raise ConfigurationError(f"{path}: is UTF-16; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{path}, line {line}: is not UTF-8 (byte 0x{data[error.start]:02x}); save the file as UTF-8"
        ) from error


def _no_yaml(path: Path, error: yaml.YAMLError) -> ConfigurationError:
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return ConfigurationError(f"{path}{line}: no YAML of a configuration: {problem}")
