"""Which domains exist, which rows are theirs, and which of those are held out.

Each domain's entries are loaded by Axolotl's own loading, so hashing, locks, tokenising, length filter and validation
split are Axolotl's. Their concatenation makes a domain a known range of rows: nothing is added to a row, and nothing
of the host is patched.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.permutation import Permutation

if TYPE_CHECKING:
    from datasets import Dataset

Rows = NDArray[np.int64]
SCAN_ROWS = 4096
IGNORED_LABEL = -100


@dataclass(frozen=True)
class Domain:
    """One domain's range of rows.

    Attributes:
        name: as in the configuration.
        first: its first row in the concatenated data set.
        size: its rows there.
        heldout: rows (of the concatenated data set) kept out of training.
        duplicates: further rows with the very tokens of a held-out row, kept out of training as well.
        digest: hash of all its tokens and labels.
    """

    name: str
    first: int
    size: int
    digest: str
    heldout: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    duplicates: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def training_size(self) -> int:
        """Rows that may be trained on."""
        return self.size - len(self.heldout) - len(self.duplicates)

    def dataset_rows(self, rows: Rows) -> Rows:
        """From numbers among the training rows (shape (n,), 0 .. training_size - 1) to rows of the data set."""
        # A gap shifts every training row that comes after it by one.
        return self.first + rows + np.searchsorted(self._before_gaps, rows, side="right")

    @cached_property
    def _before_gaps(self) -> Rows:
        """How many training rows lie before each row that is kept out, sorted."""
        gaps = np.sort(np.concatenate([self.heldout, self.duplicates])) - self.first
        return gaps - np.arange(len(gaps))


@dataclass(frozen=True)
class RowTokens:
    """Tokens of the training rows of one domain.

    Attributes:
        lengths: shape (training rows,), all tokens of each row.
        supervised: shape (training rows,), those that the loss is taken over.
    """

    lengths: NDArray[np.uint32]
    supervised: NDArray[np.uint32]


@dataclass(frozen=True)
class DomainTable:
    """All domains of a run.

    Attributes:
        domains: sorted by name.
        dataset: the tokenised rows of all domains (``input_ids``, ``labels``, ...), one domain after the other.
        lengths: shape (rows of the data set,), all tokens of each row.
        supervised: shape (rows of the data set,), those that the loss is taken over.
        validation: Axolotl's own validation rows (``val_set_size`` or ``test_datasets``), or None.
    """

    domains: tuple[Domain, ...]
    dataset: Dataset
    lengths: NDArray[np.uint32]
    supervised: NDArray[np.uint32]
    validation: Dataset | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The domains' names, sorted."""
        return tuple(domain.name for domain in self.domains)

    @property
    def training_sizes(self) -> NDArray[np.int64]:
        """Rows of each domain that may be trained on, shape (k,)."""
        return np.array([domain.training_size for domain in self.domains], dtype=np.int64)

    def domain(self, name: str) -> Domain:
        """The domain called ``name``."""
        return self.domains[self.names.index(name)]

    def training_rows(self, name: str) -> Rows:
        """The data set's rows of a domain that may be trained on, shape (training_size,)."""
        domain = self.domain(name)
        return domain.dataset_rows(np.arange(domain.training_size))

    def heldout_rows(self, name: str) -> Rows:
        """The data set's rows of a domain that are never trained on, shape (heldout,)."""
        return self.domain(name).heldout

    def mean_lengths(self) -> NDArray[np.float64]:
        """Mean tokens of a training row of each domain, shape (k,)."""
        return self._means(self.lengths)

    def mean_supervised(self) -> NDArray[np.float64]:
        """Mean supervised tokens of a training row of each domain, shape (k,)."""
        return self._means(self.supervised)

    def row_tokens(self) -> list[RowTokens]:
        """The tokens of the training rows of each domain."""
        rows = [self.training_rows(name) for name in self.names]
        return [RowTokens(self.lengths[own], self.supervised[own]) for own in rows]

    def _means(self, tokens: NDArray[np.uint32]) -> NDArray[np.float64]:
        means = []
        for domain in self.domains:
            own = slice(domain.first, domain.first + domain.size)
            out = np.concatenate([domain.heldout, domain.duplicates])
            means.append((tokens[own].sum(dtype=np.int64) - tokens[out].sum(dtype=np.int64)) / domain.training_size)
        return np.array(means, dtype=np.float64)

    def texts(self, rows: Rows, tokenizer: Any) -> list[str]:
        """The rows' texts without special tokens."""
        return list(tokenizer.batch_decode(self.dataset[rows.tolist()]["input_ids"], skip_special_tokens=True))

    def response_bytes(self, rows: Rows, tokenizer: Any) -> int:
        """UTF-8 bytes of the rows' supervised text, all together: what bits per byte divide by."""
        supervised = [
            [label for label in labels[1:] if label != IGNORED_LABEL]
            for labels in self.dataset[rows.tolist()]["labels"]
        ]
        texts = tokenizer.batch_decode(supervised, skip_special_tokens=True)
        return sum(len(text.encode("utf-8")) for text in texts)

    def hold_out(self, rows: int, seed: int) -> DomainTable:
        """A table in which ``rows`` rows of every domain are held out, chosen by (seed, domain) alone.

        Raises:
            VersaTuneError: a domain would keep no row to train on.
        """
        problems = []
        for domain in self.domains:
            own = self.supervised[domain.first : domain.first + domain.size]
            usable = int(np.count_nonzero(own))
            if usable <= rows:
                problems.append(
                    f"domain {domain.name!r} has {usable} rows with a token to learn, and `heldout` takes {rows} of "
                    "them: add rows, or set `versatune.heldout` lower"
                )
        if problems:
            raise VersaTuneError.collected("the held-out rows leave nothing to train on", problems)
        chosen = {}
        for domain in self.domains:
            usable_rows = domain.first + np.flatnonzero(self.supervised[domain.first : domain.first + domain.size])
            order = Permutation(len(usable_rows), seed, "heldout", domain.name)
            chosen[domain.name] = usable_rows[order.rows(np.arange(rows))]
        return self.with_heldout(chosen)

    def with_heldout(self, chosen: Mapping[str, Rows]) -> DomainTable:
        """A table in which the rows of ``chosen`` (domain -> rows of the data set) and their exact repeats are out.

        Raises:
            VersaTuneError: a domain would keep no row to train on.
        """
        domains = []
        for domain in self.domains:
            heldout = np.sort(chosen[domain.name])
            twins = self._duplicates(domain, heldout)
            if domain.size - len(heldout) - len(twins) < 1:
                raise VersaTuneError(
                    f"domain {domain.name!r}: every row that is not held out repeats a held-out row; "
                    "remove its duplicates or set `versatune.heldout` lower"
                )
            domains.append(Domain(domain.name, domain.first, domain.size, domain.digest, heldout, twins))
        return replace(self, domains=tuple(domains))

    def _duplicates(self, domain: Domain, heldout: Rows) -> Rows:
        if not len(heldout):
            return np.empty(0, dtype=np.int64)
        held = {tuple(tokens) for tokens in self.dataset[heldout.tolist()]["input_ids"]}
        lengths = {len(tokens) for tokens in held}
        found = []
        rows = self.dataset.select(range(domain.first, domain.first + domain.size)).select_columns(["input_ids"])
        for number, batch in enumerate(rows.with_format("arrow").iter(batch_size=SCAN_ROWS)):
            tokens = batch.column("input_ids").combine_chunks()
            for row in np.flatnonzero(np.isin(tokens.value_lengths().to_numpy(), list(lengths))):
                if tuple(tokens[int(row)].as_py()) in held:
                    found.append(domain.first + number * SCAN_ROWS + int(row))
        return np.setdiff1d(np.array(found, dtype=np.int64), heldout)


def load_rows(cfg: Any, labels: Sequence[str]) -> DomainTable:
    """Load the rows of every domain, nothing held out yet.

    Args:
        cfg: Axolotl's validated configuration.
        labels: the domain of each entry of ``cfg.datasets``, in their order.

    Raises:
        VersaTuneError: a domain has no rows.
    """
    from axolotl.common.datasets import load_datasets
    from datasets import concatenate_datasets

    from versatune_plugin.host.prepared_rows import remove_unfinished_rows

    remove_unfinished_rows(cfg)
    parts: list[Dataset] = []
    validation: list[Dataset] = []
    names = sorted(set(labels))
    for number, name in enumerate(names):
        one = copy.deepcopy(cfg)
        one.datasets = [entry for entry, label in zip(cfg.datasets, labels, strict=True) if label == name]
        if number:
            # Axolotl's test sets belong to no domain of ours: they are loaded once.
            one.test_datasets = None
        if not (one.test_datasets or one.val_set_size):
            # Else Axolotl packs all rows to count optimizer steps that are never trained.
            one.sample_packing_eff_est = one.sample_packing_eff_est or 1.0
        try:
            loaded = load_datasets(cfg=one)
        except Exception as error:
            error.add_note(f"while the rows of domain {name!r} were loaded")
            raise
        parts.append(loaded.train_dataset)
        if loaded.eval_dataset is not None:
            validation.append(loaded.eval_dataset)
    empty = [name for name, part in zip(names, parts, strict=True) if len(part) == 0]
    if empty:
        raise VersaTuneError.collected(
            "there is nothing to train on",
            [f"domain {name!r} has no rows left: look at its files and at `sequence_len`" for name in empty],
        )
    domains, lengths, supervised, first = [], [], [], 0
    for name, part in zip(names, parts, strict=True):
        digest, all_tokens, learnt = _scan(part)
        domains.append(Domain(name, first, len(part), digest))
        lengths.append(all_tokens)
        supervised.append(learnt)
        first += len(part)
    return DomainTable(
        tuple(domains),
        concatenate_datasets(parts),
        np.concatenate(lengths),
        np.concatenate(supervised),
        concatenate_datasets(validation) if validation else None,
    )


def _scan(rows: Dataset) -> tuple[str, NDArray[np.uint32], NDArray[np.uint32]]:
    """A hash of all tokens and labels; each row's tokens; those supervised: its first token is never predicted."""
    digest = hashlib.blake2b(digest_size=16)
    lengths, supervised = [], []
    for batch in rows.select_columns(["input_ids", "labels"]).with_format("arrow").iter(batch_size=SCAN_ROWS):
        for column in ("input_ids", "labels"):
            lists = batch.column(column).combine_chunks()
            values = lists.flatten().to_numpy(zero_copy_only=False)
            digest.update(lists.value_lengths().to_numpy().astype("<i4").tobytes())
            digest.update(values.astype("<i4").tobytes())
        lengths.append(lists.value_lengths().to_numpy().astype(np.uint32))
        ends = np.cumsum(lengths[-1], dtype=np.int64)
        starts = np.concatenate([[0], ends[:-1]])
        taken = values != IGNORED_LABEL
        before = np.concatenate([[0], np.cumsum(taken)])
        leading = np.where(ends > starts, taken[np.minimum(starts, len(taken) - 1)], False)
        supervised.append((before[ends] - before[starts] - leading).astype(np.uint32))
    return digest.hexdigest(), np.concatenate(lengths), np.concatenate(supervised)
