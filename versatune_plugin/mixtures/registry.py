"""What ``mixture:`` may name: ours, and those of other installed packages."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.extensions import extensions
from versatune_plugin.mixtures.base import Mixture, NamedMixture

GROUP = "versatune.mixtures"
# What is registered so far, in the order in which it is listed; `known_mixtures` has those of other packages, too.
MIXTURES: dict[str, type[NamedMixture]] = {}
Named = TypeVar("Named", bound=type[NamedMixture])


def register_mixture(mixture: Named) -> Named:
    """A decorator: let ``mixture:`` name this class.

    A package of its own also names the class in an entry point of the group `GROUP`, so that it is imported.

    Raises:
        ValueError: the name is taken.
    """
    if MIXTURES.setdefault(mixture.name, mixture) is not mixture:
        raise ValueError(f"a mixture called {mixture.name!r} is registered already: {MIXTURES[mixture.name]}")
    return mixture


def known_mixtures() -> Mapping[str, type[NamedMixture]]:
    """All that ``mixture:`` may name.

    Raises:
        ConfigurationError: a mixture of another package cannot be loaded, is none, or has a name that is taken.
    """
    _register_extensions()
    return MIXTURES


def plain_mixtures() -> dict[str, type[Mixture[Any]]]:
    """Those that a stage may name: all but the ones that are made of stages."""
    return {name: mixture for name, mixture in known_mixtures().items() if issubclass(mixture, Mixture)}


@functools.cache
def _register_extensions() -> None:
    # Not when this is imported: the other package may be what imports it.
    for name, mixture in extensions(GROUP, set(MIXTURES)).items():
        if not (isinstance(mixture, type) and issubclass(mixture, Mixture) and getattr(mixture, "name", None) == name):
            raise ConfigurationError(
                f"the entry point {name!r} of {GROUP} is {mixture!r}: it must be a subclass of "
                f"versatune_plugin.mixtures.base.Mixture with `name = {name!r}`"
            )
        register_mixture(mixture)
