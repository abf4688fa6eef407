"""Mixtures and judges that other installed packages bring, by entry points."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import entry_points
from typing import Any

from versatune_plugin.errors import ConfigurationError


def extensions(group: str, taken: Collection[str]) -> dict[str, Any]:
    """What installed packages register in a group of entry points, by name.

    A package that cannot be used ends the program, whether it is asked for or not: nobody should train without what
    they have installed.

    Args:
        group: ``versatune.mixtures`` or ``versatune.judges``.
        taken: names that are ours.

    Raises:
        ConfigurationError: an entry cannot be loaded, or its name is taken.
    """
    found: dict[str, Any] = {}
    for point in entry_points(group=group):
        package = f"the package {point.dist.name} {point.dist.version}" if point.dist else "a package"
        described = f"{package} registers {point.name!r} in {group} ({point.value})"
        if point.name in taken or point.name in found:
            raise ConfigurationError(f"{described}, a name that is taken: rename it there, or uninstall the package")
        try:
            found[point.name] = point.load()
        except Exception as error:
            raise ConfigurationError(
                f"{described}, which cannot be loaded ({type(error).__name__}: {error}): update it or "
                "uninstall the package"
            ) from error
    return found
