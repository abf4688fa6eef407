"""Texts and judgements that are on the disk as soon as they are made, so that an interruption loses one batch."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import field_validator

from versatune_plugin.artifacts.journal import Journal, Record
from versatune_plugin.errors import ArtifactError, ConfigurationError
from versatune_plugin.knowledge.generation import GeneratedText, TextBatch, batch_seed
from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.progress import Progress
from versatune_plugin.schema.model import Count, Share
from versatune_plugin.schema.wording import counted

SUM_TOLERANCE = 1e-6
# Texts are written, kept and shared by processes so many batches at once: the more, the longer no row stands empty.
BATCHES_AT_ONCE = 4
LEAST_TOKENS = 8
REPEATED_SHARE = 0.8
Read = Callable[[str], str]
Write = Callable[[Sequence[TextBatch]], Iterator[list[GeneratedText]]]
JudgeBatches = Callable[[Sequence[Sequence[str]]], Iterator[np.ndarray]]


class TextRecord(Record):
    """A text; its length in tokens; how often its most common token occurs."""

    text: str
    tokens: Count
    most_common: Count


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
        self._journal = Journal(
            path,
            "versatune.knowledge_texts",
            origin,
            texts=options.texts,
            batch_size=BATCHES_AT_ONCE * options.batch_size,
            record=TextRecord,
            remedy=f"remove it and {judgements_file}, or choose another --out",
        )

    def write(self, iteration: int, write: Write, most: int | None = None) -> int:
        """Have the texts written that an iteration (from 1) lacks.

        Args:
            iteration: its number.
            write: writes batches; called when a text is missing.
            most: write so many batches at most.

        Returns:
            How many were written.
        """
        missing = list(islice(self._journal.missing(iteration), most))
        if not missing:
            return 0
        seed, before = self._options.seed, (iteration - 1) * self._options.texts
        batches = [
            TextBatch(before + indices.start, len(indices), batch_seed(seed, iteration, number))
            for number, indices in missing
        ]
        with _progress("texts", iteration, self._journal, self._options) as progress:
            for (_, indices), written in zip(missing, write(batches), strict=True):
                self._journal.append(
                    [
                        {"iteration": iteration, "index": index, **asdict(one)}
                        for index, one in zip(indices, written, strict=True)
                    ]
                )
                progress.advance(len(indices))
        return sum(len(indices) for _, indices in missing)

    def of_iteration(self, iteration: int) -> list[str]:
        """The texts of an iteration (from 1) that are there."""
        return [record["text"] for record in self._journal.of_iteration(iteration)]

    def degenerate(self, count: int, read: Read) -> dict[str, int]:
        """How many of the first texts hardly are texts, by what they are.

        ``blank``: nothing but special tokens, white space or what is not read; ``short``: under `LEAST_TOKENS` tokens;
        ``repeated``: one token makes up `REPEATED_SHARE` of it; ``equal``: another text before it is the same.

        Args:
            count: how many texts, from the first on.
            read: what a text says, without markup and layout.
        """
        found = dict.fromkeys(("blank", "short", "repeated", "equal"), 0)
        seen = set()
        for record in self._journal.records[:count]:
            text, tokens = record["text"], record["tokens"]
            if not read(text):
                found["blank"] += 1
            elif tokens < LEAST_TOKENS:
                found["short"] += 1
            elif record["most_common"] >= REPEATED_SHARE * tokens:
                found["repeated"] += 1
            elif text in seen:
                found["equal"] += 1
            seen.add(text)
        return found


class KeptJudgements:
    """The judgements of a detection's texts.

    Args:
        path: their file.
        texts: what is judged.
        settings: what decides the judgements beside the texts, as plain JSON.
        read: what a text says, without markup and layout: what is judged.
        judge: judges batches of what is read.
        domains: the names, in the order of the judge's columns.
        options: of the detection.

    Raises:
        ArtifactError: the file is of another judge or of other domains, damaged, or of another kind.
    """

    def __init__(
        self,
        path: Path,
        texts: KeptTexts,
        settings: Mapping[str, Any],
        read: Read,
        judge: JudgeBatches,
        domains: Sequence[str],
        options: DetectionOptions,
    ) -> None:
        self.path = path
        self._texts = texts
        self._read = read
        self._judge = judge
        self._domains = len(domains)
        self._options = options
        # Of the judgements counted so far.
        self._counted = self._unparsed = 0
        self._journal = Journal(
            path,
            "versatune.knowledge_judgements",
            {"domains": list(domains), **settings},
            texts=options.texts,
            batch_size=options.batch_size,
            record=JudgementRecord,
            remedy="remove it (the texts can stay), or choose another --out",
        )

    def judge(self, iteration: int, most: int | None = None) -> np.ndarray:
        """Have the texts of an iteration (from 1) judged that are not yet.

        Args:
            iteration: its number.
            most: judge so many batches at most.

        Returns:
            The probabilities of its judged texts, float64, shape (texts, k); NaN throughout a row without a usable
            judgement.

        Raises:
            ArtifactError: a kept judgement is of another text; more texts without a usable judgement than the options
                allow, as soon as that is certain.
            ConfigurationError: the judge's rows are no probabilities.
        """
        texts = self._texts.of_iteration(iteration)
        self._check_texts(iteration, texts)
        missing = [indices for _, indices in islice(self._journal.missing(iteration), most)]
        with _progress("judgements", iteration, self._journal, self._options) as progress:
            judged = self._judged([[texts[index] for index in indices] for indices in missing])
            for indices, rows in zip(missing, judged, strict=True):
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
                unparsed = self._check_unparsed(iteration)
                progress.note(unparsed=f"{unparsed:.1%}")
                progress.advance(len(indices))
        self._check_unparsed(iteration)
        without = [np.nan] * self._domains
        kept = [record["probabilities"] for record in self._journal.of_iteration(iteration)]
        return np.array([without if row is None else row for row in kept], dtype=np.float64)

    def of_iteration(self, iteration: int) -> list[dict[str, Any]]:
        """The judgements of an iteration (from 1) that are there."""
        return self._journal.of_iteration(iteration)

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

    def _check_unparsed(self, iteration: int) -> float:
        """The share of the texts judged so far that has no usable judgement."""
        count = iteration * self._options.texts
        records = self._journal.records
        self._unparsed += sum(record["probabilities"] is None for record in records[self._counted : count])
        self._counted = max(self._counted, min(count, len(records)))
        unparsed = self._unparsed
        if unparsed > self._options.max_unparsed * count:
            blank = self._texts.degenerate(count, self._read)["blank"]
            raise ArtifactError(
                f"{unparsed} of {counted(self._counted, 'text')} ({unparsed / self._counted:.1%}) have no usable "
                f"judgement ({blank} of them are blank); --max-unparsed allows {self._options.max_unparsed:.1%} of "
                f"{count:,}. Everything is kept: look at {self._texts.path} and {self.path}, then run again with a "
                "higher --max-unparsed, or remove the judgements and choose another judge (for --judge http: another model, "
                "or another --judge-answers)"
            )
        return unparsed / max(self._counted, 1)

    def _judged(self, batches: Sequence[Sequence[str]]) -> Iterator[np.ndarray]:
        """Of each batch, shape (texts, k). A blank text says nothing about any domain: it is not judged."""
        read = [[self._read(text) for text in batch] for batch in batches]
        asked = [[text for text in batch if text] for batch in read]
        given = self._judge([batch for batch in asked if batch])
        for batch, of_batch in zip(read, asked, strict=True):
            rows = np.full((len(batch), self._domains), np.nan)
            if of_batch:
                rows[[bool(text) for text in batch]] = self._probabilities(next(given), len(of_batch))
            yield rows

    def _probabilities(self, given: np.ndarray, count: int) -> np.ndarray:
        totals = given.sum(axis=1, keepdims=True)
        if given.shape != (count, self._domains) or (given < 0).any() or (abs(totals - 1) > SUM_TOLERANCE).any():
            raise ConfigurationError(f"the judge {self._options.judge!r} gave rows that are no probabilities")
        return np.asarray(given / totals)


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
