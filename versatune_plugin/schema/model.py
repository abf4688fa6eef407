"""Strict models of what users and files say, and what is wrong with it in their words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

LONGEST_SHOWN = 60
# More optimizer steps, rows or passes than any run trains.
MOST_STEPS = 10**8
MOST_ROWS = 10**11
MOST_PASSES = 10**5
# YAML 1.1 reads 1e-3 as text: to it, a number has a point.
_SCIENTIFIC = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d{1,3}")
# Of pydantic's errors, those whose message alone says what is wrong.
_WITHOUT_VALUE = ("missing", "value_error", "extra_forbidden")


class StrictModel(BaseModel):
    """A model whose types are taken at their word: text is no number, a boolean neither, and nothing is unknown."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def scientific(value: object) -> object:
    """What YAML 1.1 takes for text although it is a number, like 1e-3, as that number; all else as it is."""
    return float(value) if isinstance(value, str) and _SCIENTIFIC.fullmatch(value) else value


def _file_path(value: object) -> object:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"is {shown(value)}, but should be the path of a file")
    return Path(value)


Real = Annotated[float, BeforeValidator(scientific)]
FilePath = Annotated[Path, BeforeValidator(_file_path)]
Count = Annotated[int, Field(ge=0, lt=2**62)]
Share = Annotated[float, Field(ge=0, le=1)]


def shown(value: object) -> str:
    """A value as its file has it, in one line of `LONGEST_SHOWN` characters; everything that cannot be seen escaped."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    # No more of a large value is written out than will be seen.
    if isinstance(value, str):
        text = repr(value[:LONGEST_SHOWN])
    elif isinstance(value, Mapping | list | tuple) and len(value) > LONGEST_SHOWN:
        text = f"a {'mapping' if isinstance(value, Mapping) else 'list'} of {len(value)} entries"
    else:
        text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def number_hint(value: object) -> str:
    """How a text that was meant as a number is written, as the end of a sentence; empty where that is not known."""
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"[+-]?\d+(\.\d+)? ?%", text):
        return f"; write {float(text.rstrip('% ')) / 100:.6g}"
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        return f"; write {text.replace(',', '.')}, with a point"
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", text):
        return f"; write {text} without quotes"
    return ""


def problems_of(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[str]:
    """One sentence for each place that is wrong: place, value, what it should be, what it is for.

    Args:
        error: of the model.
        model: that refused.
        prefix: before each place, for example ``"versatune."``.
    """
    deepest: dict[tuple[int | str, ...], Any] = {}
    for detail in error.errors(include_url=False, include_context=False):
        # Of a union, every member reports a problem; the one that got furthest is what the user meant.
        place = detail["loc"][:2]
        if place not in deepest or len(detail["loc"]) > len(deepest[place]["loc"]):
            deepest[place] = detail
    return [f"{prefix}{_sentence(detail, model)}" for detail in deepest.values()]


def _sentence(detail: Mapping[str, Any], model: type[BaseModel]) -> str:
    parts: Sequence[int | str] = detail["loc"]
    if not parts:
        return str(detail["msg"]).removeprefix("Value error, ")
    field = model.model_fields.get(str(parts[0]))
    description = f" ({field.description})" if field is not None and field.description else ""
    message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    if detail["type"] == "missing":
        message = "must be given"
    elif detail["type"] == "extra_forbidden":
        message = f"is not known here{_meant(str(parts[-1]), _inner_names(model, parts[:-1]))}"
    elif detail["type"] not in _WITHOUT_VALUE:
        hint = number_hint(detail["input"]) if detail["type"].startswith(("int", "float")) else ""
        message = f"is {shown(detail['input'])}, but should be {message}{hint}"
    return f"{_place(parts)}: {message}{description}"


def _meant(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(known)}" if known else "; remove it"


def _inner_names(model: type[BaseModel], parts: Sequence[int | str]) -> list[str]:
    """The names of the fields of the model that stands at a place within another."""
    inner: type[BaseModel] | None = model
    for part in parts:
        if inner is None or part not in inner.model_fields:
            continue
        inner = next(iter(_models(inner.model_fields[str(part)].annotation)), None)
    return list(inner.model_fields) if inner is not None else []


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in get_args(annotation) for found in _models(inner)]


def _place(parts: Sequence[int | str]) -> str:
    # Pydantic names the members of a union, too, by their types.
    named = [part for part in parts if isinstance(part, int) or not re.search(r"[\[(]|^(str|Path|float|int)$", part)]
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in named).removeprefix(".")
