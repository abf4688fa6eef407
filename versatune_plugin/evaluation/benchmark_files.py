"""Where a benchmark's rows come from: the hub, or a local folder; and which rows they are."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, wraps
from itertools import islice
from pathlib import Path
from typing import Any

from datasets import Dataset

from versatune_plugin.errors import DataError

LOG = logging.getLogger("versatune.evaluation")
VARIABLE = "VERSATUNE_EVAL_DATA"
METADATA = "versatune_eval_data"
# Examples, of a split that is not scored: some have 180,000 rows.
MOST = 32


def _no_hint(record: logging.LogRecord) -> bool:
    return not re.match(r"(?:versatune|vt)\S*: Custom kwargs can be passed", record.getMessage())


# lm-eval warns of every task with rows of its own that it can be given arguments: 264 times a run.
logging.getLogger("lm_eval.api.task").addFilter(_no_hint)


# Rows by split.
Splits = Mapping[str, Sequence[Mapping[str, Any]]]


class BenchmarkFiles:
    """The files of one benchmark, from a local folder where one is named, else from its repository on the hub.

    Args:
        folder: the benchmark's folder below the local one, for example ``medmcqa``.
        repository: the hub's data set, for example ``openlifescienceai/medmcqa``.
        revision: the commit of that repository; None where none is known: then that of ``main``, as it is now.
        local: the local folder; None for what `VERSATUNE_EVAL_DATA` names, if anything.
        source: `datasets` writes into it where the rows came from. lm-eval hands the task's own ``dataset_kwargs`` on
            and writes them into its results at the end, so what is put there is written, too.
    """

    def __init__(
        self,
        folder: str,
        repository: str,
        revision: str | None = None,
        local: str | None = None,
        source: dict[str, str] | None = None,
    ) -> None:
        named = local or os.environ.get(VARIABLE)
        self._home = Path(named) if named else None
        self.local = self._home / folder if self._home else None
        self.folder = folder
        self.repository = repository
        self._revision = revision
        self._source = source

    @cached_property
    def revision(self) -> str:
        """The commit that rows are taken from; ``main`` where the hub cannot be asked what that is."""
        if self._revision is not None:
            return self._revision
        from huggingface_hub import HfApi

        try:
            return HfApi().dataset_info(self.repository).sha or "main"
        except Exception:  # without a network the cache of an earlier download may still serve
            return "main"

    def datasets(self, splits: Splits) -> dict[str, Dataset]:
        """The rows as lm-eval takes them, and a word on their source for its results.

        That is the folder, or repository and revision, and ``rows``: 16 hexadecimal digits, the same where all rows
        are, wherever they come from.

        Args:
            splits: rows by split.
        """
        if self._source is not None:
            text = json.dumps({name: list(rows) for name, rows in splits.items()}, ensure_ascii=False, sort_keys=True)
            where = {"repository": self.repository, "revision": self.revision}
            self._source |= {"folder": str(self._home.absolute())} if self._home is not None else where
            self._source["rows"] = hashlib.sha256(text.encode()).hexdigest()[:16]
        return {name: Dataset.from_list(list(rows)) for name, rows in splits.items()}

    def get(self, on_hub: str, local_path: str) -> Path:
        """One file.

        Args:
            on_hub: its path in the repository.
            local_path: its path below the local folder of the benchmark.

        Raises:
            VersaTuneError: it is not there, or cannot be downloaded; the remedy is named.
        """
        if self.local is not None:
            return self._local_file(local_path)
        from huggingface_hub import hf_hub_download

        try:
            return Path(hf_hub_download(self.repository, on_hub, repo_type="dataset", revision=self.revision))
        except Exception as error:
            raise self.unavailable(on_hub, local_path, error) from error

    def rows(
        self, split: str, local_path: str, configuration: str | None = None, most: int | None = None
    ) -> list[dict[str, Any]]:
        """The rows of a split.

        Args:
            split: on the hub.
            local_path: the JSON lines below the local folder of the benchmark that hold them.
            configuration: of the hub's data set, where it has several.
            most: how many, from the first; all by default.

        Raises:
            VersaTuneError: as `get`.
        """
        if self.local is not None:
            with self._local_file(local_path).open(encoding="utf-8") as lines:
                return [json.loads(line) for line in islice(lines, most)]
        from datasets import load_dataset

        try:
            found = load_dataset(self.repository, configuration, split=split, revision=self.revision)
            return list(islice(found, most))
        except Exception as error:
            raise self.unavailable(f"split {split!r}", local_path, error) from error

    def examples(self, split: str, local_path: str, configuration: str | None = None) -> list[dict[str, Any]]:
        """The first rows (`MOST`) of a split that is not scored; none where a local folder has no such file.

        Args:
            split: on the hub.
            local_path: as for `rows`.
            configuration: as for `rows`.

        Raises:
            VersaTuneError: as `get`.
        """
        if self.local is not None and not (self.local / local_path).is_file():
            return []
        return self.rows(split, local_path, configuration, MOST)

    def shots_and_rows(
        self, shots: tuple[str, str], rows: tuple[str, str]
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The rows to show as examples, and those to score, of a benchmark that shows one by default.

        A local folder may lack the split that examples come from. Then the first row to score is the example and is
        not scored, which is logged.

        Args:
            shots: split on the hub and local file of the rows that are shown.
            rows: the same of those that are scored.
        """
        scored = self.rows(*rows)
        if shown := self.examples(*shots):
            return shown, scored
        LOG.warning("%s has no %s: the first row of %s is the example and is not scored", self.local, shots[1], rows[1])
        return scored[:1], scored[1:]

    def _local_file(self, local_path: str) -> Path:
        assert self.local is not None
        path = self.local / local_path
        if not path.is_file():
            raise DataError(
                f"{path} is missing: {VARIABLE} (or --metadata) names a local folder, so nothing is downloaded. Put "
                f"the file there, or unset {VARIABLE} to take it from the hub ({self.repository})"
            )
        return path

    def unavailable(self, what: str, local_path: str, error: Exception) -> DataError:
        """The error of a download that failed, with the remedy.

        Args:
            what: was wanted of the repository.
            local_path: where it is looked for below the local folder of the benchmark.
            error: of the download.
        """
        return DataError(
            f"cannot download {what} of {self.repository} ({type(error).__name__}: {error}). "
            f"Download it where there is a network, put it into FOLDER as {self.folder}/{local_path}, and name FOLDER: "
            f'{VARIABLE}=FOLDER, or --metadata \'{{"{METADATA}": "FOLDER"}}\''
        )


def loader(
    folder: str, repository: str, revision: str | Mapping[str, str] | None = None
) -> Callable[[Callable[..., Splits]], Callable[..., dict[str, Dataset]]]:
    """Makes of a function that reads a benchmark's rows what lm-eval takes for ``custom_dataset``.

    The function decorated has the arguments ``files``, a `BenchmarkFiles`, and ``subtask``, if its benchmark has any;
    it returns rows by split. What comes of it has the arguments of ``dataset_kwargs`` and of ``--metadata``:
    ``subtask``, ``versatune_eval_data`` (the local folder, if any) and ``source`` (as of `BenchmarkFiles`).

    Args:
        folder: as of `BenchmarkFiles`.
        repository: likewise; ``{subtask}`` stands for the name of the sub-task.
        revision: likewise; by sub-task, where each has a repository of its own.
    """

    def decorate(read: Callable[..., Splits]) -> Callable[..., dict[str, Dataset]]:
        @wraps(read)
        def load(
            subtask: str | None = None,
            versatune_eval_data: str | None = None,
            source: dict[str, str] | None = None,
            **_: Any,
        ) -> dict[str, Dataset]:
            commit = revision.get(subtask or "") if isinstance(revision, Mapping) else revision
            place = repository.format(subtask=subtask)
            files = BenchmarkFiles(folder, place, commit, versatune_eval_data, source)
            return files.datasets(read(files) if subtask is None else read(files, subtask))

        return load

    return decorate
