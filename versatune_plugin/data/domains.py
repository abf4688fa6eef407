"""Which domains exist, which rows are theirs, and which of those are held out (`loading` reads them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.data.permutation import Permutation
from versatune_plugin.errors import DataError
from versatune_plugin.schema.wording import counted

if TYPE_CHECKING:
    from datasets import Dataset

Rows = NDArray[np.int64]
Keys = NDArray[np.uint64]
IGNORED_LABEL = -100


@dataclass(frozen=True)
class LeftOut:
    """Rows of a domain's files that are not in the table at all.

    Attributes:
        without_labels: rows without a token that the loss is taken over.
        repeats: rows that ``dataset_exact_deduplication`` removed.
        other_shards: rows of other shards (``dataset_shard_num``).
        validation: rows that ``val_set_size`` holds back.
    """

    without_labels: int = 0
    repeats: int = 0
    other_shards: int = 0
    validation: int = 0


@dataclass(frozen=True)
class Domain:
    """One domain's range of rows.

    Attributes:
        name: as in the configuration.
        first: its first row in the concatenated data set.
        size: its rows there.
        heldout: rows (of the concatenated data set) kept out of training, which steer the mixture.
        test: rows kept out of training that steer nothing, for reports.
        duplicates: further rows with the very tokens of a held-out, test or validation row of any domain, kept out of
            training as well.
        digest: hash of all its tokens and labels.
        left_out: rows that its files have beside these.
    """

    name: str
    first: int
    size: int
    digest: str
    heldout: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    test: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    duplicates: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    left_out: LeftOut = LeftOut()

    @property
    def training_size(self) -> int:
        """Rows that may be trained on."""
        return self.size - len(self.kept_out)

    @property
    def kept_out(self) -> Rows:
        """Rows of the data set that are never trained on, sorted."""
        return np.sort(np.concatenate([self.heldout, self.test, self.duplicates]))

    def dataset_rows(self, rows: Rows) -> Rows:
        """From numbers among the training rows to rows of the data set.

        Args:
            rows: shape (n,), 0 .. training_size - 1.

        Returns:
            Shape (n,).
        """
        # A gap shifts every training row that comes after it by one.
        return self.first + rows + np.searchsorted(self._before_gaps, rows, side="right")

    @cached_property
    def _before_gaps(self) -> Rows:
        """How many training rows lie before each row that is kept out, sorted."""
        gaps = self.kept_out - self.first
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
        supervised: shape (rows of the data set,), those that the loss is taken over; none is zero.
        keys: shape (rows of the data set,), a hash of each row's tokens: equal for rows that repeat one another.
        validation: Axolotl's own validation rows (``val_set_size`` or ``test_datasets``), or None.
        validation_keys: the keys of the rows that ``val_set_size`` holds back, which are never trained on either.
    """

    domains: tuple[Domain, ...]
    dataset: Dataset
    lengths: NDArray[np.uint32]
    supervised: NDArray[np.uint32]
    keys: Keys
    validation: Dataset | None = None
    validation_keys: Keys = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

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

    @property
    def heldout(self) -> tuple[Rows, ...]:
        """The data set's rows that steer the mixture, by domain."""
        return tuple(domain.heldout for domain in self.domains)

    @property
    def test(self) -> tuple[Rows, ...]:
        """The data set's rows that are for reports alone, by domain."""
        return tuple(domain.test for domain in self.domains)

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
            out = domain.kept_out
            means.append((tokens[own].sum(dtype=np.int64) - tokens[out].sum(dtype=np.int64)) / domain.training_size)
        return np.array(means, dtype=np.float64)

    def response_bytes(self, rows: Rows, tokenizer: Any) -> int:
        """UTF-8 bytes of the rows' supervised text, all together: what bits per byte divide by.

        Args:
            rows: of the data set, shape (n,).
            tokenizer: of the data set's tokens.
        """
        supervised = [
            [label for label in labels[1:] if label != IGNORED_LABEL]
            for labels in self.dataset[rows.tolist()]["labels"]
        ]
        texts = tokenizer.batch_decode(supervised, skip_special_tokens=True)
        return sum(len(text.encode("utf-8")) for text in texts)

    def hold_out(self, rows: int, seed: int, test: int = 0) -> DomainTable:
        """A table in which rows of every domain are held out, chosen by (seed, domain) alone.

        A test row has the tokens of no held-out row of any domain: it is to be new to whoever chose by those. How many
        test rows there are does not change which rows are held out.

        Args:
            rows: of each domain, to steer the mixture.
            seed: of the choice.
            test: of each domain, further ones, for reports.

        Raises:
            DataError: a domain would keep no row to train on.
        """
        names = "`heldout` takes" if not test else f"`heldout` ({rows}) and `test_rows` ({test}) take"
        problems = [
            f"domain {domain.name!r} has {counted(domain.size, 'row')} with a token to learn, and {names} "
            f"{rows + test} of them: add rows, or set `versatune.heldout` lower"
            for domain in self.domains
            if domain.size <= rows + test
        ]
        if problems:
            raise DataError.collected("the held-out rows leave nothing to train on", problems)
        in_order = {
            domain.name: domain.first
            + Permutation(domain.size, seed, "heldout", domain.name).rows(np.arange(domain.size if test else rows))
            for domain in self.domains
        }
        heldout = {name: order[:rows] for name, order in in_order.items()}
        if not test:
            return self.with_heldout(heldout)
        known = np.concatenate([self.validation_keys, *(self.keys[own] for own in heldout.values())])
        new = {name: order[rows:][~np.isin(self.keys[order[rows:]], known)] for name, order in in_order.items()}
        problems = [
            f"domain {name!r}: {counted(len(own), 'row')} that repeat no held-out row are left, and `test_rows` takes "
            f"{test}: remove its duplicates or set `versatune.test_rows` lower"
            for name, own in new.items()
            if len(own) < test
        ]
        if problems:
            raise DataError.collected("there are not enough rows for `versatune.test_rows`", problems)
        return self.with_heldout(heldout, test={name: own[:test] for name, own in new.items()})

    def with_heldout(
        self, chosen: Mapping[str, Rows], excluded: Rows | None = None, test: Mapping[str, Rows] | None = None
    ) -> DomainTable:
        """A table in which the rows of ``chosen`` are held out, and their exact repeats in all domains left out.

        Args:
            chosen: rows of the data set by domain.
            excluded: further rows of the data set that are never trained on.
            test: rows of the data set by domain, for reports; None: there are none.

        Raises:
            DataError: a domain would keep no row to train on.
        """
        tests = test if test is not None else {name: np.empty(0, dtype=np.int64) for name in self.names}
        kept = np.concatenate([*chosen.values(), *tests.values()])
        unseen = np.concatenate([self.keys[kept], self.validation_keys])
        out = np.flatnonzero(np.isin(self.keys, unseen))
        if excluded is not None:
            out = np.union1d(out, excluded)
        out = np.setdiff1d(out, kept)
        domains, problems = [], []
        for domain in self.domains:
            own = out[np.searchsorted(out, domain.first) : np.searchsorted(out, domain.first + domain.size)]
            updated = replace(
                domain, heldout=np.sort(chosen[domain.name]), test=np.sort(tests[domain.name]), duplicates=own
            )
            if updated.training_size < 1:
                problems.append(
                    f"domain {domain.name!r}: every row that is not held out repeats a held-out row or a validation "
                    "row; remove its duplicates or set `versatune.heldout` lower"
                )
            domains.append(updated)
        if problems:
            raise DataError.collected("the held-out rows leave nothing to train on", problems)
        return replace(self, domains=tuple(domains))

    def only(self, name: str) -> DomainTable:
        """The table of one domain, with its held-out rows and what is left out; no validation rows."""
        domain = self.domain(name)
        own = slice(domain.first, domain.first + domain.size)
        alone = replace(
            domain,
            first=0,
            heldout=domain.heldout - domain.first,
            test=domain.test - domain.first,
            duplicates=domain.duplicates - domain.first,
        )
        rows = self.dataset.select(range(own.start, own.stop))
        return DomainTable((alone,), rows, self.lengths[own], self.supervised[own], self.keys[own])
