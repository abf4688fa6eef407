"""The rows of a configuration's data sets before a format makes prompts of them, and what a format makes of some.

Tested with axolotl 0.19.0.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from axolotl.utils.data.sft import _parse_dataset_type, get_dataset_wrapper
from axolotl.utils.data.shared import datasets_with_name_generator, load_dataset_with_config

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.host.prepared_rows import local_files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# Nothing is cut to `sequence_len` here: a field that stands behind a long one is content too.
UNCUT = 1 << 20


@dataclass(frozen=True)
class RawRows:
    """The rows of one entry of ``datasets:``, for one of its names or shards.

    Attributes:
        entry: the entry, as Axolotl reads it.
        rows: as its file or hub data set has them.
    """

    entry: Any
    rows: Dataset

    def made(self, numbers: Sequence[int], cfg: Any, tokenizer: PreTrainedTokenizerBase) -> list[str]:
        """What the entry's format makes of some rows, special tokens included. A format may drop or split rows."""
        uncut = copy.copy(cfg)
        uncut.sequence_len, uncut.dataset_num_proc, uncut.skip_prepare_dataset = UNCUT, None, False
        base, style = _parse_dataset_type(self.entry.type)
        made, _ = get_dataset_wrapper(
            dataset_config=self.entry,
            tokenizer=tokenizer,
            cfg=uncut,
            dataset_base_type=base,
            dataset=self.rows.select(numbers),
            dataset_prompt_style=style,
        )
        return list(tokenizer.batch_decode(list(made["input_ids"])))


def rows_in_files(cfg: Any, labels: Sequence[str]) -> dict[str, int]:
    """How many rows the files of each domain hold, before a format makes prompts of them.

    Domains with an entry that is not on this machine are left out: counting would mean fetching it.

    Args:
        cfg: Axolotl's validated configuration.
        labels: the domain of each entry of ``cfg.datasets``, in their order.
    """
    counts: dict[str, int] = {}
    elsewhere = {label for entry, label in zip(cfg.datasets, labels, strict=True) if not local_files(entry)}
    for entry, label in zip(cfg.datasets, labels, strict=True):
        if label not in elsewhere:
            rows = sum(len(raw.rows) for raw in load_raw_rows(entry, cfg))
            counts[label] = counts.get(label, 0) + rows
    return counts


def load_raw_rows(entry: Any, cfg: Any) -> list[RawRows]:
    """The rows of an entry of ``datasets:`` as Axolotl loads them: its split, files, names and shards.

    Args:
        entry: one of ``cfg.datasets``.
        cfg: Axolotl's validated configuration.

    Raises:
        ConfigurationError: the entry names none of its splits, and none is called ``train``.
    """
    from datasets import DatasetDict

    found = []
    for one in datasets_with_name_generator([entry]):
        rows = load_dataset_with_config(one, cfg.hf_use_auth_token, streaming=False)
        if isinstance(rows, DatasetDict):
            split = one.split if one.split in rows else "train"
            if split not in rows:
                raise ConfigurationError(
                    f"{one.path}: no split `train` among {', '.join(rows)}: name one with `split:`"
                )
            rows = rows[split]
        if one.shards:
            rows = rows.shuffle(seed=cfg.seed).shard(num_shards=one.shards, index=one.get("shards_idx", 0))
        found.append(RawRows(one, rows))
    return found
