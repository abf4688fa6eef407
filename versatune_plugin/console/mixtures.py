"""Every mixture as a table: what it does, what it costs, its options, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.table import Table

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.mixtures.base import Policy
from versatune_plugin.mixtures.registry import POLICIES
from versatune_plugin.mixtures.stages import StagedOptions

COSTS = {
    "nothing": "nothing",
    "held-out losses": "a forward pass of the held-out rows at each update",
    "probes": "a forward pass of the held-out rows at each update",
    "training losses": "nothing: it reads the losses of training batches",
}


def show_mixtures(name: str | None = None) -> None:
    """Print all mixtures, or one.

    Raises:
        VersaTuneError: there is none of that name.
    """
    if name is not None and name not in POLICIES:
        raise VersaTuneError(f"unknown mixture {name!r}; choose one of {', '.join(POLICIES)}")
    console = Console(width=120, highlight=False)
    for policy in POLICIES.values() if name is None else [POLICIES[name]]:
        console.print(f"[bold]{policy.name}[/bold]  {policy.summary}")
        console.print(f"  source   {policy.paper}")
        console.print(f"  costs    {cost(policy)}")
        console.print(f"  needs    {needs(policy)}")
        if rows := list(options_of(policy.Options)):
            table = Table(box=None, show_header=False, padding=(0, 2))
            for row in rows:
                table.add_row(*row)
            console.print(table)
        console.print()


def cost(policy: type[Policy]) -> str:
    """What the updates of a mixture cost."""
    if issubclass(policy.Options, StagedOptions):
        return "that of the mixtures of its stages, and a measurement between two stages"
    return COSTS[policy.reads]


def needs(policy: type[Policy]) -> str:
    """What has to be configured beside the mixture."""
    if issubclass(policy.Options, StagedOptions):
        return "what the mixtures of its stages need"
    asked = (("knowledge", policy.uses_prior), ("reference", policy.uses_reference))
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
