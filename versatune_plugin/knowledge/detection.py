"""Algorithm 1, with any source of texts and any judge: write texts, judge them, estimate, until it is exact enough."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from versatune_plugin import __version__
from versatune_plugin.artifacts.knowledge import Knowledge, write_knowledge
from versatune_plugin.errors import ArtifactError
from versatune_plugin.knowledge.estimation import RESAMPLES, Estimate, estimate
from versatune_plugin.knowledge.generation import TextSource
from versatune_plugin.knowledge.judges import Judge
from versatune_plugin.knowledge.kept import KeptJudgements, KeptTexts
from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.schema.wording import counted

# With a single iteration nothing shows how far iterations differ, so detection does not end earlier than here.
LEAST_ITERATIONS = 2


@dataclass(frozen=True, kw_only=True)
class Detection:
    """One detection, given all that it needs once.

    Attributes:
        out: the knowledge file; texts and judgements are kept beside it.
        command: what a user would type, for the file.
        domains: the names, in the order of the judge's columns.
        options: how much to do and when to end; ``out`` in them is not read.
        origin: what decides the texts, as plain JSON; kept texts are used again only under an equal origin.
        load_source: loads what writes texts; called once, when the first text is missing.
        judge: judges texts.
    """

    out: Path
    command: str
    domains: tuple[str, ...]
    options: DetectionOptions
    origin: Mapping[str, Any]
    load_source: Callable[[], TextSource]
    judge: Judge

    def run(self) -> Knowledge:
        """Go on from what is kept, to the knowledge file.

        Returns:
            What the file holds.

        Raises:
            ArtifactError: kept files of another detection, too many texts without a usable judgement, or another
                process that works on the same file.
            ConfigurationError: a judge whose rows are no probabilities.
        """
        self.out.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.out.with_name(f".{self.out.name}.lock"), timeout=0):
                texts_file, judgements_file = beside(self.out, "texts"), beside(self.out, "judgements")
                texts = KeptTexts(texts_file, judgements_file.name, self.origin, self.options)
                judgements = KeptJudgements(judgements_file, texts, self.judge, self.domains, self.options)
                found, ended_by = self._iterate(texts, judgements)
                knowledge = self._knowledge(found, ended_by, texts.blank(found.texts))
                write_knowledge(self.out, knowledge)
        except Timeout as error:
            raise ArtifactError(
                f"{self.out}: another detection is writing this file; wait for it, or choose another --out"
            ) from error
        return knowledge

    def _iterate(self, texts: KeptTexts, judgements: KeptJudgements) -> tuple[Estimate, str]:
        """Until the tolerance is met or the iterations are done; says which of the two ended it."""
        options = self.options
        judged: list[np.ndarray] = []
        for iteration in range(1, options.iterations + 1):
            texts.write(iteration, self.load_source)
            judged.append(judgements.judge(iteration))
            self._check_unparsed(judged, texts, judgements)
            if options.tolerance and LEAST_ITERATIONS <= iteration < options.iterations:
                found = estimate(judged, options.seed)
                if found.half_widths.max() <= options.tolerance:
                    return found, "tolerance"
        return estimate(judged, options.seed), "iterations"

    def _check_unparsed(self, judged: Sequence[np.ndarray], texts: KeptTexts, judgements: KeptJudgements) -> None:
        count = sum(len(rows) for rows in judged)
        unparsed = sum(int(np.isnan(rows).any(axis=1).sum()) for rows in judged)
        if unparsed > self.options.max_unparsed * count:
            raise ArtifactError(
                f"{unparsed} of {counted(count, 'text')} ({unparsed / count:.1%}) have no usable judgement "
                f"({texts.blank(count)} of them are blank); --max-unparsed allows {self.options.max_unparsed:.1%}. "
                f"Everything is kept: look at {texts.path} and {judgements.path}, then run again with a higher "
                "--max-unparsed, or remove the judgements and choose another judge"
            )

    def _knowledge(self, found: Estimate, ended_by: str, blank: int) -> Knowledge:
        made_by = {
            "command": self.command,
            **self.origin,
            "judge": {"name": self.options.judge, **self.judge.describe()},
            "half_width": self._by_domain(found.half_widths),
            "spread": self._by_domain(found.spread),
            "blank": blank,
            "ended_by": ended_by,
            "tolerance": self.options.tolerance,
            "bootstrap_resamples": RESAMPLES,
            "texts_file": beside(self.out, "texts").name,
            "judgements_file": beside(self.out, "judgements").name,
            "versions": {
                "versatune": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("axolotl", "transformers", "torch", "scikit-learn")},
            },
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        return Knowledge(
            probabilities=self._by_domain(found.probabilities),
            interval95=self._by_domain(found.interval95),
            iterations=[self._by_domain(row) for row in found.iterations],
            texts=found.texts,
            unparsed=found.unparsed,
            made_by=made_by,
            path=self.out,
        )

    def _by_domain(self, values: np.ndarray) -> dict[str, Any]:
        return dict(zip(self.domains, values.tolist(), strict=True))


def beside(out: Path, what: str) -> Path:
    """The journal of ``what`` (texts or judgements) that is kept beside a knowledge file."""
    return out.with_name(f"{out.stem}.{what}.jsonl")
