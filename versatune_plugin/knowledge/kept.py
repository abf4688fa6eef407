"""Texts and judgements that are on the disk as soon as they are made, so that an interruption loses one batch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import field_validator

from versatune_plugin.artifacts.journal import Journal, Record
from versatune_plugin.errors import ArtifactError, ConfigurationError
from versatune_plugin.knowledge.generation import TextSource, batch_seed
from versatune_plugin.knowledge.judges import Judge
from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.progress import Progress
from versatune_plugin.schema.model import Count, Share

SUM_TOLERANCE = 1e-6


class TextRecord(Record):
    """A text; its length in tokens."""

    text: str
    tokens: Count


class JudgementRecord(Record):
    """The digest of a text, and its probabilities by domain; null without a usable judgement."""

    text: str
    probabilities: list[Share] | None

    @field_validator("probabilities")
    @classmethod
    def _sums_to_one(cls, shares: list[float] | None) -> list[float] | None:
        if shares is not None and abs(math.fsum(shares) - 1) > SUM_TOLERANCE:
            raise ValueError(f"sum to {math.fsum(shares):.6g}, not to 1")
        return shares


class KeptTexts:
    """The texts of a detection: what a base model wrote, iteration by iteration.

    Args:
        path: their file.
        judgements_file: the name of the file of their judgements, for messages.
        origin: what decides the texts, as plain JSON.
        options: of the detection.

    Raises:
        ArtifactError: the file is of another origin, damaged, or of another kind.
    """

    def __init__(self, path: Path, judgements_file: str, origin: Mapping[str, Any], options: DetectionOptions) -> None:
        self.path = path
        self._options = options
        self._source: TextSource | None = None
        self._journal = Journal(
            path,
            "versatune.knowledge_texts",
            origin,
            texts=options.texts,
            batch_size=options.batch_size,
            record=TextRecord,
            remedy=f"remove it and {judgements_file}, or choose another --out",
        )

    def write(self, iteration: int, load_source: Callable[[], TextSource]) -> None:
        """Have the texts written that an iteration (from 1) lacks.

        Args:
            iteration: its number.
            load_source: loads what writes texts; called when a text is missing for the first time.
        """
        missing = list(self._journal.missing(iteration))
        if missing and self._source is None:
            self._source = load_source()
        with _progress("texts", iteration, self._journal, self._options) as progress:
            for number, indices in missing:
                assert self._source is not None
                seed = batch_seed(self._options.seed, iteration, number)
                written = self._source.generate(len(indices), seed)
                self._journal.append(
                    [
                        {"iteration": iteration, "index": index, "text": one.text, "tokens": one.tokens}
                        for index, one in zip(indices, written, strict=True)
                    ]
                )
                progress.advance(len(indices))

    def of_iteration(self, iteration: int) -> list[str]:
        """The texts of an iteration (from 1) that are there."""
        return [record["text"] for record in self._journal.of_iteration(iteration)]

    def blank(self, count: int) -> int:
        """How many of the first ``count`` texts are blank."""
        return sum(not record["text"].strip() for record in self._journal.records[:count])


class KeptJudgements:
    """The judgements of a detection's texts.

    Args:
        path: their file.
        texts: what is judged.
        judge: judges it.
        domains: the names, in the order of the judge's columns.
        options: of the detection.

    Raises:
        ArtifactError: the file is of another judge or of other domains, damaged, or of another kind.
    """

    def __init__(
        self, path: Path, texts: KeptTexts, judge: Judge, domains: Sequence[str], options: DetectionOptions
    ) -> None:
        self.path = path
        self._texts = texts
        self._judge = judge
        self._domains = len(domains)
        self._options = options
        self._journal = Journal(
            path,
            "versatune.knowledge_judgements",
            {"domains": list(domains), "judge": judge.settings()},
            texts=options.texts,
            batch_size=options.batch_size,
            record=JudgementRecord,
            remedy="remove it (the texts can stay), or choose another --out",
        )

    def judge(self, iteration: int) -> np.ndarray:
        """Have the texts of an iteration (from 1) judged that are not yet.

        Returns:
            The probabilities of all its texts, float64, shape (texts, k); NaN throughout a row without a usable
            judgement.

        Raises:
            ArtifactError: a kept judgement is of another text.
            ConfigurationError: the judge's rows are no probabilities.
        """
        texts = self._texts.of_iteration(iteration)
        self._check_texts(iteration, texts)
        judged = [record["probabilities"] for record in self._journal.of_iteration(iteration)]
        unparsed, done = judged.count(None), len(judged)
        with _progress("judgements", iteration, self._journal, self._options) as progress:
            for _, indices in self._journal.missing(iteration):
                rows = self._judge_batch([texts[index] for index in indices])
                self._journal.append(
                    [
                        {
                            "iteration": iteration,
                            "index": index,
                            "text": _text_digest(texts[index]),
                            "probabilities": None if np.isnan(row).any() else row.tolist(),
                        }
                        for index, row in zip(indices, rows, strict=True)
                    ]
                )
                unparsed += int(np.isnan(rows).any(axis=1).sum())
                done += len(indices)
                progress.note(unparsed=f"{unparsed / done:.1%}")
                progress.advance(len(indices))
        without = [np.nan] * self._domains
        kept = [record["probabilities"] for record in self._journal.of_iteration(iteration)]
        return np.array([without if row is None else row for row in kept], dtype=np.float64)

    def _check_texts(self, iteration: int, texts: Sequence[str]) -> None:
        for text, kept in zip(texts, self._journal.of_iteration(iteration), strict=False):
            shares = kept["probabilities"]
            if shares is not None and len(shares) != self._domains:
                raise ArtifactError(
                    f"{self.path}: iteration {iteration}, index {kept['index']} has {len(shares)} probabilities for "
                    f"{self._domains} domains: remove {self.path.name}"
                )
            if kept["text"] != _text_digest(text):
                raise ArtifactError(
                    f"{self.path}: iteration {iteration}, index {kept['index']} judges another text than "
                    f"{self._texts.path.name} has there: remove {self.path.name}"
                )

    def _judge_batch(self, texts: Sequence[str]) -> np.ndarray:
        """Shape (texts, k). A blank text says nothing about any domain: it is not judged, and counts as unparsed."""
        rows = np.full((len(texts), self._domains), np.nan)
        asked = [place for place, text in enumerate(texts) if text.strip()]
        if asked:
            given = self._judge.probabilities([texts[place] for place in asked])
            totals = given.sum(axis=1, keepdims=True)
            if (
                given.shape != (len(asked), self._domains)
                or (given < 0).any()
                or (abs(totals - 1) > SUM_TOLERANCE).any()
            ):
                raise ConfigurationError(f"the judge {self._options.judge!r} gave rows that are no probabilities")
            rows[asked] = given / totals
        return rows


def _progress(what: str, iteration: int, journal: Journal, options: DetectionOptions) -> Progress:
    return Progress(
        f"iteration {iteration}/{options.iterations}: {what}",
        options.texts,
        "text",
        done=min(len(journal.of_iteration(iteration)), options.texts),
    )


def _text_digest(text: str) -> str:
    """Ties a judgement to its text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
