"""Algorithm 1, with any source of texts and any judge: write texts, judge them, estimate, until it is exact enough."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
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
from versatune_plugin.knowledge.correction import LabelledJudgements, estimate_shares
from versatune_plugin.knowledge.estimation import RESAMPLES, Estimate, estimate
from versatune_plugin.knowledge.forecast import Pace, forecast
from versatune_plugin.knowledge.kept import JudgeBatches, KeptJudgements, KeptTexts, Read, Write
from versatune_plugin.knowledge.options import DetectionOptions

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
        about_source: more about what writes them, for the file.
        write: writes batches of texts.
        read: what a text says, without markup and layout.
        judging: what decides the judgements beside the texts, as plain JSON.
        judge: judges batches of what is read.
        describe_judge: more about the judge, for the file; called when all is judged.
        tokens: tokens that the judge's server has read and written so far.
        labelled: what the judge says of rows whose domain is known, or None.
        tell: says a line to the user.
    """

    out: Path
    command: str
    domains: tuple[str, ...]
    options: DetectionOptions
    origin: Mapping[str, Any]
    about_source: Mapping[str, Any]
    write: Write
    read: Read
    judging: Mapping[str, Any]
    judge: JudgeBatches
    describe_judge: Callable[[], Mapping[str, Any]]
    tokens: Callable[[], tuple[int, int]]
    labelled: LabelledJudgements | None
    tell: Callable[[str], None]

    def run(self) -> Knowledge | None:
        """Go on from what is kept, to the knowledge file.

        Returns:
            What the file holds; None where nothing but an estimate of the work was asked for.

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
                judgements = KeptJudgements(
                    judgements_file, texts, self.judging, self.read, self.judge, self.domains, self.options
                )
                self._first_batch(texts, judgements)
                if self.options.only_estimate:
                    return None
                knowledge = self._knowledge(texts, *self._iterate(texts, judgements))
                write_knowledge(self.out, knowledge)
        except Timeout as error:
            raise ArtifactError(
                f"{self.out}: another detection is writing this file; wait for it, or choose another --out"
            ) from error
        return knowledge

    def _first_batch(self, texts: KeptTexts, judgements: KeptJudgements) -> None:
        """Do what shows how long everything takes; it is part of the work."""
        before, began = self.tokens(), time.perf_counter()
        written = texts.write(1, self.write, most=1)
        middle = time.perf_counter()
        known = len(judgements.of_iteration(1))
        judged = len(judgements.judge(1, most=1)) - known
        ended, after = time.perf_counter(), self.tokens()
        if written or judged:
            read, answered = after[0] - before[0], after[1] - before[1]
            pace = Pace(written, middle - began, judged, ended - middle, read, answered)
            self.tell(forecast(pace, self.options))
        elif self.options.only_estimate:
            self.tell(
                "nothing of the first batch is left to do, so there is nothing to measure: run without --only-estimate"
            )

    def _iterate(self, texts: KeptTexts, judgements: KeptJudgements) -> tuple[list[np.ndarray], str]:
        """Until the tolerance is met or the iterations are done; says which of the two ended it."""
        options = self.options
        judged: list[np.ndarray] = []
        for iteration in range(1, options.iterations + 1):
            texts.write(iteration, self.write)
            judged.append(judgements.judge(iteration))
            if options.tolerance and LEAST_ITERATIONS <= iteration < options.iterations:
                found = estimate(judged, options.seed)
                if found.half_widths.max() <= options.tolerance:
                    return judged, "tolerance"
        return judged, "iterations"

    def _knowledge(self, texts: KeptTexts, judged: list[np.ndarray], ended_by: str) -> Knowledge:
        found: Estimate = estimate(judged, self.options.seed)
        shares = estimate_shares(judged, self.labelled, self.options.seed)
        chosen = shares[self.options.estimator]
        degenerate = texts.degenerate(found.texts, self.read)
        half_widths = (chosen.interval95[:, 1] - chosen.interval95[:, 0]) / 2
        made_by = {
            "command": self.command,
            **self.origin,
            "source": dict(self.about_source),
            "judge": {"name": self.options.judge, **self.describe_judge()},
            "estimator": self.options.estimator,
            "estimates": {
                name: {
                    "probabilities": self._by_domain(one.probabilities),
                    "interval95": self._by_domain(one.interval95),
                }
                for name, one in shares.items()
            },
            "covariance": chosen.covariance.tolist(),
            "labelled_rows": 0 if self.labelled is None else len(self.labelled.truth),
            "half_width": self._by_domain(half_widths),
            "spread": self._by_domain(found.spread),
            "blank": degenerate["blank"],
            "degenerate": degenerate,
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
            probabilities=self._by_domain(chosen.probabilities),
            interval95=self._by_domain(chosen.interval95),
            iterations=[self._by_domain(row) for row in found.iterations],
            texts=found.texts,
            unparsed=found.unparsed,
            made_by=made_by,
            path=self.out,
        )

    def _by_domain(self, values: np.ndarray) -> dict[str, Any]:
        return dict(zip(self.domains, values.tolist(), strict=True))


def beside(out: Path, what: str) -> Path:
    """The journal of ``what`` (texts, judgements or answers) that is kept beside a knowledge file."""
    return out.with_name(f"{out.stem}.{what}.jsonl")


def check_file(out: Path) -> Path:
    """The file of the judge's check, beside a knowledge file."""
    return out.with_name(f"{out.stem}.judge.json")
