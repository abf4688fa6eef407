"""From an Axolotl configuration to the rows of each domain, and what of them may be trained on.

Each domain's entries are prepared by Axolotl's own loading, so hashing, locks, tokenising and the length filter are
Axolotl's. Its options that speak of the whole data set (deduplication, sharding, the validation split, estimates of
packing) would mean something else there: they are taken from a domain's configuration and applied here, over all.
The concatenation of what is left makes a domain a known range of rows.
"""

from __future__ import annotations

import copy
import hashlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from versatune_plugin.data.columns import aligned, check_tokens
from versatune_plugin.data.domains import IGNORED_LABEL, Domain, DomainTable, Keys, LeftOut, Rows
from versatune_plugin.data.permutation import Permutation
from versatune_plugin.errors import DataError, VersaTuneError
from versatune_plugin.host.data_files import check_data_files, unreadable

if TYPE_CHECKING:
    from datasets import Dataset

SCAN_ROWS = 4096


def load_rows(cfg: Any, labels: Sequence[str], split_seed: int) -> DomainTable:
    """Load the rows of every domain, nothing held out yet.

    Rows without a token to learn are left out first; then come, over all domains, ``dataset_exact_deduplication`` (the
    first entry of ``datasets`` that has a row keeps it), ``dataset_shard_num`` and ``val_set_size``.

    Args:
        cfg: Axolotl's validated configuration.
        labels: the domain of each entry of ``cfg.datasets``, in their order.
        split_seed: of the choice of validation rows.

    Raises:
        DataError: a domain has no rows, or domains have columns that cannot be joined.
    """
    from datasets import concatenate_datasets

    check_data_files(cfg.datasets, labels)
    in_order = list(dict.fromkeys(labels))
    parts, tests = {}, None
    for number, name in enumerate(in_order):
        # Axolotl's test sets belong to no domain of ours: they are loaded once.
        parts[name], found = _prepared(cfg, labels, name, with_tests=number == 0)
        tests = tests if found is None else found
    if empty := [name for name, part in parts.items() if not len(part)]:
        # Nothing is known of their columns.
        problems = [f"domain {name!r} has no rows left: look at its files and at `sequence_len`" for name in empty]
        raise DataError.collected("there is nothing to train on", problems)
    names = sorted(parts)
    check_tokens({name: parts[name] for name in names}, _vocabulary(cfg))
    joined = dict(zip(names, aligned({name: parts[name] for name in names}), strict=True))
    chosen, left_out = _chosen(cfg, {name: joined[name] for name in in_order})
    held_back = validation_rows(cfg.val_set_size, {name: len(chosen[name]) for name in names}, split_seed)
    kept, validation = [], []
    for name in names:
        back = chosen[name][held_back[name]]
        left_out[name]["validation"] = len(back)
        kept.append(_selected(joined[name], np.setdiff1d(chosen[name], back)))
        if len(back):
            validation.append(_selected(joined[name], back))
    domains, lengths, supervised, keys, first = [], [], [], [], 0
    for name, part in zip(names, kept, strict=True):
        digest, all_tokens, learnt = _scan(part)
        domains.append(Domain(name, first, len(part), digest, left_out=LeftOut(**left_out[name])))
        lengths.append(all_tokens)
        supervised.append(learnt)
        keys.append(row_keys(part, ["input_ids"]))
        first += len(part)
    split = concatenate_datasets(validation) if validation else None
    _check_evaluation_packs(cfg, split)
    return DomainTable(
        tuple(domains),
        concatenate_datasets(kept),
        np.concatenate(lengths),
        np.concatenate(supervised),
        np.concatenate(keys),
        tests if split is None else split,
        np.empty(0, dtype=np.uint64) if split is None else row_keys(split, ["input_ids"]),
    )


def validation_rows(size: float | None, rows: Mapping[str, int], seed: int) -> dict[str, Rows]:
    """Which rows of each domain ``val_set_size`` holds back: of all domains together as many as Axolotl would take.

    Every domain gives in proportion to its rows (largest remainders; ties go to the earlier name), but never all.

    Args:
        size: ``val_set_size``: a share of all rows under 1, rounded up, else a number of rows.
        rows: rows of each domain.
        seed: of the choice within a domain.

    Returns:
        Of each domain, numbers among its rows, sorted.

    Raises:
        DataError: some domain would keep no row to train on.
    """
    total = sum(rows.values())
    if size and size < 0:
        raise DataError(f"val_set_size: {size} is no number of rows and no share of them; set it to 0 or more")
    wanted = 0 if not size else int(size) if size > 1 else int(np.ceil(float(size) * total))
    if wanted > total - len(rows):
        raise DataError(
            f"val_set_size: {size} takes {wanted} of {total} rows, and each of {len(rows)} domains needs one to train "
            "on; set it lower"
        )
    counts = np.array(list(rows.values()), dtype=np.int64)
    share = wanted * counts / total if total else np.zeros(len(counts))
    taken = np.minimum(np.floor(share).astype(np.int64), counts - 1)
    while taken.sum() < wanted:
        room = taken < counts - 1
        taken[np.argmax(np.where(room, share - taken, -np.inf))] += 1
    return {
        name: np.sort(Permutation(int(count), seed, "validation", name).rows(np.arange(back)))
        for (name, count), back in zip(rows.items(), taken.tolist(), strict=True)
    }


def _prepared(cfg: Any, labels: Sequence[str], name: str, with_tests: bool) -> tuple[Dataset, Dataset | None]:
    """The rows of a domain as Axolotl prepares them, in the order of the files, and the test sets."""
    from axolotl.common.datasets import load_datasets
    from axolotl.loaders import load_tokenizer

    from versatune_plugin.host.prepared_rows import PreparedRows

    one = copy.deepcopy(cfg)
    one.datasets = [entry for entry, label in zip(cfg.datasets, labels, strict=True) if label == name]
    for option in ("dataset_exact_deduplication", "dataset_shard_num", "dataset_shard_idx"):
        one[option] = None
    one.val_set_size = 0.0
    one.shuffle_merged_datasets = one.shuffle_before_merging_datasets = False
    if not with_tests:
        one.test_datasets = None
    if not one.test_datasets:
        # Else Axolotl packs all rows to count optimizer steps that are never trained.
        one.sample_packing_eff_est = one.sample_packing_eff_est or 1.0
    place = PreparedRows(cfg, [*one.datasets, *(one.test_datasets or [])], load_tokenizer(cfg))
    try:
        with place.prepared(one) as ready:
            loaded = load_datasets(cfg=ready)
    except VersaTuneError:
        raise
    except Exception as error:
        raise unreadable(one.datasets, name, error) from error
    return loaded.train_dataset, loaded.eval_dataset


def _vocabulary(cfg: Any) -> int:
    """How many tokens the model knows: its own, and those that Axolotl adds; without end where it does not say."""
    from axolotl.loaders import load_tokenizer
    from axolotl.loaders.utils import load_model_config
    from transformers import PretrainedConfig

    config = load_model_config(cfg)
    known = getattr(config.get_text_config(), "vocab_size", None) if isinstance(config, PretrainedConfig) else None
    return sys.maxsize if known is None else max(int(known), len(load_tokenizer(cfg)))


def _chosen(cfg: Any, parts: Mapping[str, Dataset]) -> tuple[dict[str, Rows], dict[str, dict[str, int]]]:
    """The rows of each domain that may be trained or evaluated on, and how many are left out, and why."""
    chosen, left_out, problems, seen = {}, {}, [], np.empty(0, dtype=np.uint64)
    for name, part in parts.items():
        rows = np.flatnonzero(_scan(part)[2])
        counts = {"without_labels": len(part) - len(rows)}
        if cfg.dataset_exact_deduplication:
            own = row_keys(part, ["input_ids", "labels"])[rows]
            fresh = np.sort(np.unique(own, return_index=True)[1])
            fresh = fresh[~np.isin(own[fresh], seen)]
            seen = np.union1d(seen, own)
            counts["repeats"] = len(rows) - len(fresh)
            rows = rows[fresh]
        if cfg.dataset_shard_num and cfg.dataset_shard_idx is not None:
            mine = np.array_split(rows, cfg.dataset_shard_num)[cfg.dataset_shard_idx]
            counts["other_shards"] = len(rows) - len(mine)
            rows = mine
        if not len(rows):
            problems.append(f"domain {name!r} has no rows left: {_why_none(len(part), counts)}")
        chosen[name], left_out[name] = rows, counts
    if problems:
        raise DataError.collected("there is nothing to train on", problems)
    return chosen, left_out


def _why_none(rows: int, counts: Mapping[str, int]) -> str:
    if counts["without_labels"] == rows:
        return f"none of its {rows} rows has a token that the loss is taken over; look at its `type:` and its roles"
    reasons = {
        "without_labels": "have no token to learn",
        "repeats": "repeat a row of an earlier data set (`dataset_exact_deduplication`)",
        "other_shards": "are of other shards (`dataset_shard_num`)",
    }
    return ", ".join(f"{count} rows {reasons[name]}" for name, count in counts.items() if count)


def _check_evaluation_packs(cfg: Any, split: Dataset | None) -> None:
    """Axolotl's own check of a validation split under packing, over all domains.

    Raises:
        DataError: the split is too small to be packed.
    """
    from axolotl.utils.trainer import calculate_total_num_steps

    packs = cfg.sample_packing and cfg.eval_sample_packing is not False and not cfg.sample_packing_eff_est
    if split is None or not packs or cfg.is_preprocess:
        return
    if calculate_total_num_steps(cfg, split, update=False) == 0:
        raise DataError(
            f"val_set_size: {cfg.val_set_size} holds back {len(split)} rows, too few to pack an evaluation batch of "
            "them: set `eval_sample_packing: false`, or hold back more"
        )


def _selected(part: Dataset, rows: Rows) -> Dataset:
    return part if len(rows) == len(part) else part.select(rows)


def row_keys(rows: Dataset, columns: Sequence[str]) -> Keys:
    """A hash of what each row has in ``columns`` (lists of integers), shape (rows,): equal rows have equal keys.

    Of a thousand million different rows, two have the same key with a probability of 3 %.

    Args:
        rows: tokenised.
        columns: those that are compared.
    """
    keys = np.empty(len(rows), dtype="<u8")
    place = 0
    for batch in rows.select_columns(list(columns)).with_format("arrow").iter(batch_size=SCAN_ROWS):
        contents = [_flat(batch, column) for column in columns]
        for row in range(batch.num_rows):
            digest = hashlib.blake2b(digest_size=8)
            for values, ends in contents:
                digest.update(values[ends[row] : ends[row + 1]].tobytes())
                digest.update(b"|")
            keys[place] = int.from_bytes(digest.digest(), "little")
            place += 1
    return keys.astype(np.uint64)


def _flat(batch: Any, column: str) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The integers of all rows one after the other, and where each row begins and the last one ends."""
    lists = batch.column(column).combine_chunks()
    ends = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy(), dtype=np.int64)])
    return lists.flatten().to_numpy(zero_copy_only=False).astype("<i4"), ends


def _scan(rows: Dataset) -> tuple[str, NDArray[np.uint32], NDArray[np.uint32]]:
    """A hash of all tokens and labels; each row's tokens; those supervised: its first token is never predicted."""
    digest = hashlib.blake2b(digest_size=16)
    lengths, supervised = [], []
    for batch in rows.select_columns(["input_ids", "labels"]).with_format("arrow").iter(batch_size=SCAN_ROWS):
        for column in ("input_ids", "labels"):
            values, ends = _flat(batch, column)
            digest.update(np.diff(ends).astype("<i4").tobytes())
            digest.update(values.tobytes())
        starts, ends = ends[:-1], ends[1:]
        lengths.append((ends - starts).astype(np.uint32))
        taken = values != IGNORED_LABEL
        before = np.concatenate([[0], np.cumsum(taken)])
        leading = np.where(ends > starts, taken[np.minimum(starts, len(taken) - 1)], False)
        supervised.append((before[ends] - before[starts] - leading).astype(np.uint32))
    return digest.hexdigest(), np.concatenate(lengths), np.concatenate(supervised)
