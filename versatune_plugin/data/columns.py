"""The columns of prepared rows: alike in all domains, and such that a model can take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from versatune_plugin.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

READ_ROWS = 4096
# What a model is given: a domain that has one of these when another has not would be trained differently.
GIVEN_TO_MODELS = frozenset({"input_ids", "labels", "attention_mask", "position_ids", "token_type_ids", "length"})
BESIDE_TOKENS = ("labels", "attention_mask", "position_ids", "token_type_ids")


def aligned(parts: Mapping[str, Dataset]) -> list[Dataset]:
    """The parts with the same columns of the same types.

    Args:
        parts: the rows of each domain.

    Raises:
        DataError: a column that models are given is missing in some domain, or is of another kind there.
    """
    from datasets import List, Value

    common = set.intersection(*(set(part.column_names) for part in parts.values()))
    problems = []
    for column in sorted(set().union(*(part.column_names for part in parts.values()))):
        kinds = {name: part.features[column] for name, part in parts.items() if column in part.column_names}
        if column not in common:
            if column in GIVEN_TO_MODELS:
                lacking = ", ".join(repr(name) for name in parts if name not in kinds)
                having = ", ".join(f"{name!r} ({kind})" for name, kind in kinds.items())
                problems.append(
                    f"column {column!r}: domain {having} has it and {lacking} has not; add it there, or remove it here"
                )
        elif not all(_integers(kind) for kind in kinds.values()) and len({str(kind) for kind in kinds.values()}) > 1:
            shown = ", ".join(f"{kind} in {name!r}" for name, kind in kinds.items())
            problems.append(f"column {column!r}: it is {shown}; write the files alike, or leave the column out")
    if problems:
        raise DataError.collected("the rows of the domains cannot be joined", problems)
    made = []
    for part in parts.values():
        own = part.select_columns([column for column in part.column_names if column in common])
        wide = {
            column: List(Value("int64"))
            for column, kind in own.features.items()
            if _integers(kind) and len({str(other.features[column]) for other in parts.values()}) > 1
        }
        for column, kind in wide.items():
            own = own.cast_column(column, kind)
        made.append(own)
    return made


def check_tokens(parts: Mapping[str, Dataset], vocabulary: int) -> None:
    """See that every row's columns have a value for each of its tokens, and that every token is one of the model's.

    Args:
        parts: the rows of each domain, with the column ``input_ids``.
        vocabulary: how many tokens the model knows.

    Raises:
        DataError: the first row of each domain of which that is not true.
    """
    problems = [f"domain {name!r}, {fault}" for name, part in parts.items() if (fault := _fault(part, vocabulary))]
    if problems:
        raise DataError.collected("these rows are no tokens that the model can take", problems)


def _fault(part: Dataset, vocabulary: int) -> str | None:
    given = [column for column in ("input_ids", *BESIDE_TOKENS) if column in part.column_names]
    if odd := [column for column in given if not _integers(part.features[column])]:
        return f"column {odd[0]!r}: it is {part.features[odd[0]]}, but should be a list of integers"
    before = 0
    for batch in part.select_columns(given).with_format("arrow").iter(batch_size=READ_ROWS):
        columns = {column: batch.column(column).combine_chunks() for column in given}
        lengths = {column: values.value_lengths().to_numpy(zero_copy_only=False) for column, values in columns.items()}
        for column in given[1:]:
            if len(unlike := np.flatnonzero(lengths[column] != lengths["input_ids"])):
                row = int(unlike[0])
                return (
                    f"row {before + row + 1}: {int(lengths['input_ids'][row])} tokens in 'input_ids', but "
                    f"{int(lengths[column][row])} values in {column!r}; give every token one"
                )
        tokens = columns["input_ids"].flatten().to_numpy(zero_copy_only=False)
        if len(tokens) and (tokens.min() < 0 or tokens.max() >= vocabulary):
            place = int(np.flatnonzero((tokens < 0) | (tokens >= vocabulary))[0])
            row = int(np.searchsorted(np.cumsum(lengths["input_ids"]), place, side="right"))
            return (
                f"row {before + row + 1}: {int(tokens[place])} in 'input_ids' is no token of the model, which has "
                f"{vocabulary:,}; tokenise the rows with the model's own tokenizer"
            )
        before += batch.num_rows
    return None


def _integers(kind: Any) -> bool:
    """Whether a feature is a list of integers, of any width."""
    inner = getattr(kind, "feature", None)
    return str(getattr(inner, "dtype", "")).startswith(("int", "uint"))
