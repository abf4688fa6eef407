"""What ``mixture:`` may name: ours, and those of other installed packages."""

from __future__ import annotations

from typing import Any, TypeVar

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.extensions import extensions
from versatune_plugin.mixtures.base import Mixture, NamedMixture

GROUP = "versatune.mixtures"
# In the order in which they are listed.
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


def plain_mixtures() -> dict[str, type[Mixture[Any]]]:
    """Those that a stage may name: all but the ones that are made of stages."""
    return {name: mixture for name, mixture in MIXTURES.items() if issubclass(mixture, Mixture)}


def register_extensions() -> None:
    """Register the mixtures of other installed packages.

    Raises:
        VersaTuneError: one of them cannot be loaded, is none, or has a name that is taken.
    """
    taken = set(MIXTURES)
    for name, mixture in extensions(GROUP, taken).items():
        if not (isinstance(mixture, type) and issubclass(mixture, Mixture) and getattr(mixture, "name", None) == name):
            raise ConfigurationError(
                f"the entry point {name!r} of {GROUP} is {mixture!r}: it must be a subclass of "
                f"versatune_plugin.mixtures.base.Mixture with `name = {name!r}`"
            )
        register_mixture(mixture)
