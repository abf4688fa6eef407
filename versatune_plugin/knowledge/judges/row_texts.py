"""The texts of a configuration's rows by domain, before any format made prompts of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge.judges.fields import text_of, text_paths

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from versatune_plugin.host.raw_rows import RawRows

# So many rows of a file show which of its fields are text.
COMPARED_ROWS = 24


def row_texts(
    cfg: Any,
    labels: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    most: int,
    seed: int,
) -> dict[str, list[list[str]]]:
    """Texts of rows of every domain, a list per file.

    Args:
        cfg: Axolotl's validated configuration.
        labels: the domain of each entry of ``cfg.datasets``, in their order.
        tokenizer: the run's, which the formats use.
        most: rows of each domain, at most; with more, a random choice.
        seed: of that choice.

    Raises:
        DataError: a file is not there, or cannot be read as rows.
    """
    from versatune_plugin.host.data_files import check_data_files, unreadable
    from versatune_plugin.host.raw_rows import load_raw_rows

    check_data_files(cfg.datasets, labels)
    found: dict[str, list[list[str]]] = {}
    for number, name in enumerate(sorted(set(labels))):
        entries = [entry for entry, label in zip(cfg.datasets, labels, strict=True) if label == name]
        try:
            files = [raw for entry in entries for raw in load_raw_rows(entry, cfg)]
            ends = np.cumsum([len(file.rows) for file in files])
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, number])))
            chosen = np.sort(generator.permutation(ends[-1])[:most])
            parts = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
            starts = [0, *ends[:-1]]
            found[name] = [
                _texts(file, (part - start).tolist(), cfg, tokenizer)
                for file, part, start in zip(files, parts, starts, strict=True)
            ]
        except VersaTuneError:
            raise
        except Exception as error:
            raise unreadable(entries, name, error) from error
    return found


def _texts(file: RawRows, numbers: Sequence[int], cfg: Any, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    if not numbers:
        return []
    shown = numbers[:COMPARED_ROWS]
    made = file.made(shown, cfg, tokenizer)
    if len(made) != len(shown):
        made = ["\n".join(made)] * len(shown)
    paths = text_paths(file.rows.select(shown).to_list(), made)
    if not paths:
        # Tokens, say, or an encoding that the format unpacks: its prompts are all there is.
        return file.made(numbers, cfg, tokenizer)
    return [text_of(row, paths) for row in file.rows.select(numbers).to_list()]
