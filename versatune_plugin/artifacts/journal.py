"""A file of JSON lines that survives a kill at any moment: what was written is used again, once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from versatune_plugin.artifacts.fingerprint import settings_differences
from versatune_plugin.artifacts.io import append_json_lines, checked, read_json_lines, write_json_lines
from versatune_plugin.errors import ArtifactError
from versatune_plugin.schema.model import Count, StrictModel

SCHEMA = 1


class Record(StrictModel):
    """What every record has.

    Attributes:
        iteration: from 1.
        index: from 0, within its iteration.
    """

    iteration: Count
    index: Count


class Journal:
    """Records in the order (iteration, index), appended a whole batch at a time.

    The first line holds the settings that decide the records. The others hold one record each, with the keys
    ``iteration`` (from 1) and ``index`` (from 0). Opening an existing file drops an incomplete last line and an
    unfinished batch, so that every batch is computed as a whole, whether a run was interrupted or not.

    Args:
        path: the file.
        kind: its kind, for the first line.
        settings: what decides the records, as plain JSON.
        texts: records per iteration.
        batch_size: records per batch; the last batch of an iteration may be smaller.
        record: the model of a record.
        remedy: what a user should do about a file that cannot be continued.

    Raises:
        ArtifactError: an existing file has other settings, is damaged, or is of another kind.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        settings: Mapping[str, Any],
        *,
        texts: int,
        batch_size: int,
        record: type[Record],
        remedy: str,
    ) -> None:
        self.path = path
        self._remedy = remedy
        self._kind = kind
        self._texts = texts
        self._batch_size = batch_size
        self.records: list[dict[str, Any]] = []
        header = {"kind": kind, "schema": SCHEMA, "settings": dict(settings)}
        lines = read_json_lines(path, may_be_cut=True) if path.exists() else []
        if lines:
            self._check_header(lines[0], settings)
            for number, line in enumerate(lines[1:], start=2):
                checked(line, record, f"{path}, line {number}", remedy)
            self.records = self._whole_batches(lines[1:])
        if len(lines) != 1 + len(self.records) or not path.read_bytes().endswith(b"\n"):
            write_json_lines(path, [header, *self.records])

    def missing(self, iteration: int) -> Iterator[tuple[int, range]]:
        """The batches of an iteration that are not there yet.

        Args:
            iteration: from 1.

        Returns:
            The number of each batch (from 0), and the indices of its records (from 0).
        """
        done = len(self.records) - (iteration - 1) * self._texts
        for start in range(max(done, 0), self._texts, self._batch_size):
            yield start // self._batch_size, range(start, min(start + self._batch_size, self._texts))

    def of_iteration(self, iteration: int) -> list[dict[str, Any]]:
        """The records of an iteration that are there."""
        return self.records[(iteration - 1) * self._texts : iteration * self._texts]

    def append(self, records: Sequence[dict[str, Any]]) -> None:
        """Append a batch and flush it to the disk.

        Args:
            records: the next ones, in their order.

        Raises:
            ArtifactError: they could not be written.
        """
        # Not line by line: a flush for each would cost more than a small model's generation.
        append_json_lines(self.path, records)
        self.records.extend(records)

    def _check_header(self, header: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        known = header.get("kind") == self._kind and header.get("schema") == SCHEMA
        if not known or not isinstance(header.get("settings"), Mapping):
            raise ArtifactError(f"{self.path}: no file of {self._kind}, schema {SCHEMA}; {self._remedy}")
        differences = settings_differences(header["settings"], json.loads(json.dumps(settings)), "in the file")
        if differences:
            raise ArtifactError.collected(
                f"{self.path} was made with other settings; {self._remedy}", list(differences.values())
            )

    def _whole_batches(self, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for number, record in enumerate(records):
            place = (number // self._texts + 1, number % self._texts)
            if (record.get("iteration"), record.get("index")) != place:
                raise ArtifactError(
                    f"{self.path}, line {number + 2}: iteration {place[0]}, index {place[1]} is expected here, but "
                    f"{record.get('iteration')}, {record.get('index')} was found; {self._remedy}"
                )
        iterations, rest = divmod(len(records), self._texts)
        return records[: iterations * self._texts + rest // self._batch_size * self._batch_size]
