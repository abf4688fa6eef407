"""The corpus of the quickstart: facts of every domain, near-duplicates removed, each used in one place only."""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from versatune_plugin.artifacts.io import write_json_lines
from versatune_plugin.errors import DataError
from versatune_plugin.quickstart.corpus.fact import Fact
from versatune_plugin.schema.wording import counted

DOMAINS = ("code", "finance", "general", "law", "medicine", "science")
NEAR = 0.8
"""Two rows are near-duplicates from this Jaccard similarity of their words and pairs of words on."""


LONGEST_ROW = 250
"""Characters of a row: with its prompt about 128 tokens, so that a batch holds little padding."""


@dataclass(frozen=True)
class Sizes:
    """How much of each domain to take: so many rows, and at most so many documents."""

    rows: int
    documents: int


@dataclass(frozen=True)
class DomainCorpus:
    """One domain. A fact is in one row or in one document and nowhere else.

    So a row that is held out is about something that neither another row nor the pretraining has.

    Attributes:
        rows: for fine-tuning, alpaca format.
        documents: plain texts for pretraining.
    """

    rows: list[dict[str, str]]
    documents: list[str]


def build_corpus(seed: int, sizes: Sizes) -> dict[str, DomainCorpus]:
    """Build all domains.

    Args:
        seed: decides wordings, which facts are taken and where each goes. The same seed gives the same corpus.
        sizes: how much of each domain to take.

    Raises:
        DataError: a package is missing, or holds fewer facts than ``sizes`` asks for.
    """
    return {name: _build_domain(name, seed, sizes) for name in DOMAINS}


def write_corpus(corpus: dict[str, DomainCorpus], directory: Path) -> None:
    """Write ``finetuning/<domain>.jsonl`` (alpaca) and ``pretraining/<domain>.jsonl`` (plain text)."""
    for name, domain in corpus.items():
        write_json_lines(directory / "finetuning" / f"{name}.jsonl", domain.rows)
        write_json_lines(directory / "pretraining" / f"{name}.jsonl", [{"text": text} for text in domain.documents])


def _build_domain(name: str, seed: int, sizes: Sizes) -> DomainCorpus:
    rng = random.Random(f"{seed}:{name}")
    try:
        source = importlib.import_module(f"versatune_plugin.quickstart.corpus.{name}")
    except ModuleNotFoundError as error:
        raise DataError(
            f"the quickstart needs the package {error.name!r}: pip install 'versatune[quickstart]'"
        ) from error
    facts: list[Fact] = source.facts(rng)
    rng.shuffle(facts)
    # A third more than needed, to make up for the duplicates; the rest of the facts is for pretraining.
    candidates = [entry for entry in facts if len(_as_text(entry)) <= LONGEST_ROW][: sizes.rows * 4 // 3]
    taken = {id(entry) for entry in candidates}
    rest = [entry for entry in facts if id(entry) not in taken]
    chosen = [candidates[index] for index in distinct([_as_text(entry) for entry in candidates])][: sizes.rows]
    # A function may stand in two modules of the library: not one of them in a row and the other in a document.
    used = {entry.document for entry in candidates}
    documents = list(dict.fromkeys(entry.document for entry in rest if entry.document not in used))[: sizes.documents]
    if len(chosen) < sizes.rows or not documents:
        raise DataError(
            f"the packages of {name!r} hold {counted(len(facts), 'fact')}: too few for {counted(sizes.rows, 'row')}"
        )
    rows = [{"instruction": entry.instruction, "input": entry.input, "output": entry.output} for entry in chosen]
    return DomainCorpus(rows, documents)


def distinct(texts: Sequence[str]) -> list[int]:
    """The numbers of the texts that are no near-duplicate of a kept earlier one, in order."""
    vectorizer = HashingVectorizer(
        token_pattern=r"[^\W_]+", ngram_range=(1, 2), binary=True, norm=None, alternate_sign=False, dtype=np.float32
    )
    features = vectorizer.transform(texts)
    lengths = np.asarray(features.sum(axis=1)).ravel()
    columns = features.T.tocsr()
    kept = np.ones(len(texts), dtype=bool)
    for start in range(0, len(texts), 512):
        shared = (features[start : start + 512] @ columns).tocoo()
        rows = shared.row + start
        similarity = shared.data / np.maximum(lengths[rows] + lengths[shared.col] - shared.data, 1)
        near = (shared.col < rows) & (similarity >= NEAR)
        # In the order of the rows: a text that was dropped itself must not make a later one drop out.
        for later, earlier in sorted(zip(rows[near].tolist(), shared.col[near].tolist(), strict=True)):
            if kept[earlier]:
                kept[later] = False
    return np.flatnonzero(kept).tolist()


def _as_text(entry: Fact) -> str:
    return f"{entry.instruction}\n{entry.input}\n{entry.output}"
