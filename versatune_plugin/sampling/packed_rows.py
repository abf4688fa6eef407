"""The rows of a micro-batch as Axolotl's collators take them, packed or not."""

from __future__ import annotations

from typing import Any

from datasets import Dataset

from versatune_plugin.data.domains import IGNORED_LABEL


class SeparateRows:
    """Fetches rows, each a sequence of its own.

    Args:
        rows: the data set, with the columns that the model takes.
    """

    def __init__(self, rows: Dataset) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, bins: list[tuple[int, ...]]) -> list[dict[str, Any]]:
        """The rows, one of each bin."""
        rows: list[dict[str, Any]] = self._rows.__getitems__([row for (row,) in bins])
        return rows


class PackedRows:
    """Fetches bins of rows.

    A row's first token is predicted from no other: behind another row it would be predicted from that one's last token,
    so its label is masked. Rows are kept apart by ``position_ids`` that begin anew; beside an attention mask, models
    would not look at them.

    Args:
        rows: the data set, with ``position_ids`` of each row, as Axolotl adds them for packing.
        one_sequence: all bins of a micro-batch make one sequence, as flash attention takes packed rows; else each bin
            is a sequence of its own.
    """

    def __init__(self, rows: Dataset, one_sequence: bool) -> None:
        self._rows = rows.select_columns(["input_ids", "labels", "position_ids"])
        self._one_sequence = one_sequence

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, bins: list[tuple[int, ...]]) -> list[list[dict[str, Any]]]:
        """The rows of each bin."""
        fetched = iter(self._rows.__getitems__([row for one in bins for row in one]))
        if self._one_sequence:
            return [[_unpredicted(row) for row in fetched]]
        return [[_unpredicted(next(fetched)) for _ in one] for one in bins]


def _unpredicted(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"labels": [IGNORED_LABEL, *row["labels"][1:]]}
