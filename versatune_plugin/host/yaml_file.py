"""Reading a configuration's YAML before Axolotl does, which takes the last of two equal keys without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.schema.model import shown
from versatune_plugin.schema.plain_text import TextError, decoded

MOST_LEVELS = 64
MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
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
        node = yaml.compose(text, _Loader)
    except yaml.YAMLError as error:
        raise _no_yaml(path, error) from error
    _check(path, node, set())


def read_yaml(path: Path) -> dict[str, Any]:
    """What a YAML holds; `check_keys` sees that no key is there twice.

    Args:
        path: of an Axolotl configuration.

    Raises:
        ConfigurationError: it cannot be read, is no YAML in UTF-8, or holds no mapping; with the line if known.
    """
    try:
        found = yaml.load(_text(path), _Loader)  # noqa: S506 - a safe one
    # Of what looks like a date or a number, and is none, only a ValueError tells.
    except (yaml.YAMLError, ValueError) as error:
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
        return decoded(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    except TextError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _no_yaml(path: Path, error: yaml.YAMLError | ValueError) -> ConfigurationError:
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return ConfigurationError(f"{path}{line}: no YAML of a configuration: {problem}")
