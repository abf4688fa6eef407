"""Every mixture as a table: what it does, what it costs, its options, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.table import Table
from rich.text import Text

from versatune_plugin.console.tables import add_row, new_console, say
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.mixtures.base import NamedMixture
from versatune_plugin.mixtures.observations import BatchObservation, HeldoutObservation, Observation, ProbeObservation
from versatune_plugin.mixtures.registry import known_mixtures
from versatune_plugin.mixtures.stages import StagedMixture

COSTS: dict[type[Observation] | None, str] = {
    None: "nothing",
    HeldoutObservation: "a forward pass of the held-out rows at each update",
    ProbeObservation: "a forward pass of the held-out rows at each update",
    BatchObservation: "nothing: it reads the losses of training batches",
}


def show_mixtures(name: str | None = None) -> None:
    """Print all mixtures, or one.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name is not None and name not in known_mixtures():
        raise ConfigurationError(f"unknown mixture {name!r}; choose one of {', '.join(known_mixtures())}")
    console = new_console()
    for mixture in known_mixtures().values() if name is None else [known_mixtures()[name]]:
        console.print(Text.assemble((mixture.name, "bold"), f"  {mixture.summary}"))
        say(console, f"  source   {mixture.source}")
        say(console, f"  costs    {cost(mixture)}")
        say(console, f"  needs    {needs(mixture)}")
        if rows := list(options_of(mixture.Options)):
            table = Table(box=None, show_header=False, padding=(0, 2))
            for row in rows:
                add_row(table, *row)
            console.print(table)
        console.print()


def cost(mixture: type[NamedMixture]) -> str:
    """What the updates of a mixture cost."""
    if issubclass(mixture, StagedMixture):
        return "that of the mixtures of its stages, and a measurement between two stages"
    return COSTS[mixture.requirements(mixture.Options.model_construct()).observes]


def needs(mixture: type[NamedMixture]) -> str:
    """What has to be configured beside the mixture."""
    if issubclass(mixture, StagedMixture):
        return "what the mixtures of its stages need"
    required = mixture.requirements(mixture.Options.model_construct())
    asked = (("knowledge", required.prior), ("reference", required.reference))
    return " and ".join(f"`{name}:`" for name, used in asked if used) or "nothing else"


def options_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Name, default and description of each option, those of nested ones behind a dot."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", _default(field), field.description or ""
        for inner in _models(field.annotation):
            yield from options_of(inner, f"{prefix}{name}.")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required" if field.default_factory is None else "-"
    return "-" if field.default is None else str(field.default)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
