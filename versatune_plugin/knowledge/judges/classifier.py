"""The judge ``classifier``: words and pairs of words, learnt from the configuration's own rows.

It runs in seconds and needs no other model. What it knows of a domain is the user's own data of that domain: what the
rows say and not how they are laid out (`domain_rows`), so that a domain is recognised by its subject whatever format
its file has; every text is cut to the length of a generated one and its features have length 1, so
long rows are not distinguished from short ones.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from versatune_plugin.errors import DataError
from versatune_plugin.knowledge.correction import LabelledJudgements
from versatune_plugin.knowledge.judges.calibration import expected_calibration_error
from versatune_plugin.knowledge.judges.domain_rows import digest, labelled
from versatune_plugin.knowledge.judges.word_model import Unlike, WordModel, unlike_rows
from versatune_plugin.schema.wording import counted

if TYPE_CHECKING:
    from versatune_plugin.knowledge.judges.registry import JudgeContext

LOG = logging.getLogger("axolotl.versatune")
LEAST_ROWS = 15
# How far a domain's accuracy must stand above guessing, as a share of the way from guessing to 1.
LEAST_SKILL = 0.5


class ClassifierJudge:
    """A `WordModel` of the training rows' contents and its quality on rows that it has not seen.

    Domains weigh the same however many rows they have, so the judge's prior is uniform.

    Args:
        training: contents to learn from, by domain, as long as a generated text at most.
        test: contents to measure the judge on, by domain; none of them is learnt from.
        seed: of the folds of the calibration and of the clusters.

    Raises:
        DataError: fewer than two domains, or a domain with too few texts.
    """

    def __init__(
        self,
        training: Mapping[str, Sequence[str]],
        test: Mapping[str, Sequence[str]],
        *,
        seed: int,
    ) -> None:
        problems = [
            f"domain {name!r} has {counted(len(texts), 'training row')} that differ in content (what many rows of a "
            f"file repeat to the letter is none), but needs {LEAST_ROWS}: add rows, or use another --judge"
            for name, texts in training.items()
            if len(texts) < LEAST_ROWS
        ]
        if len(training) < 2:
            problems.append(
                f"there is only the domain {', '.join(training)}: its knowledge needs no detection, it is 1"
            )
        if problems:
            raise DataError.collected("the judge `classifier` cannot be trained", problems)
        self._domains = tuple(training)
        self._training = training
        self._test = test
        self._seed = seed

    @classmethod
    def from_context(cls, context: JudgeContext) -> ClassifierJudge:
        """The judge for a configuration, made from its rows.

        Args:
            context: with the rows.

        Raises:
            DataError: see `ClassifierJudge`.
        """
        rows = context.rows
        in_order = ({name: texts[name] for name in context.domains} for texts in (rows.training, rows.held_out))
        made = cls(*in_order, seed=context.options.seed)
        for warning in made.warnings:
            LOG.warning("%s", warning)
        return made

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Judge.probabilities`; a text without one known word gets the uniform distribution."""
        return self._model.probabilities(texts)

    def labelled(self) -> LabelledJudgements:
        """What it says of the rows that it was not trained on, and their domains."""
        texts, truth = labelled(self._test, self._domains)
        return LabelledJudgements(self._model.probabilities(texts), truth)

    def settings(self) -> dict[str, Any]:
        """The size and the hash of what is learnt from; see `Judge.settings`."""
        texts = [[name, *self._training[name]] for name in self._domains]
        return {
            "name": "classifier",
            "features": "words of the rows' contents",
            "training_rows": {name: len(texts) for name, texts in self._training.items()},
            "training_texts": digest(texts),
            "seed": self._seed,
        }

    def describe(self) -> dict[str, Any]:
        """The settings and the quality on the rows set aside: accuracy, log loss, calibration error and confusion.

        Every domain weighs the same in the first three. ``confusion[a][b]`` counts texts of a that b was most probable
        for. The expected calibration error has 15 bins of equal width over the highest probability of each text.
        ``accuracy_unlike`` is the accuracy on texts unlike the training rows and ``recall_unlike`` each domain's share
        in it, see `unlike_rows`. ``warnings`` are for a user to read.
        """
        from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
        from sklearn.utils.class_weight import compute_sample_weight

        texts, truth = labelled(self._test, self._domains)
        given = self._model.probabilities(texts)
        weights = compute_sample_weight("balanced", truth)
        columns = np.arange(len(self._domains))
        counts = confusion_matrix(truth, given.argmax(axis=1), labels=columns)
        return self.settings() | {
            "test_rows": {name: len(rows) for name, rows in self._test.items()},
            "accuracy": float(accuracy_score(truth, given.argmax(axis=1), sample_weight=weights)),
            "accuracy_unlike": self._unlike.accuracy,
            "recall_unlike": dict(zip(self._domains, self._unlike.recall, strict=True)),
            "log_loss": float(log_loss(truth, given, labels=columns, sample_weight=weights)),
            "calibration_error": expected_calibration_error(given, truth, weights),
            "confusion": {
                name: {other: int(counts[row, column]) for column, other in enumerate(self._domains)}
                for row, name in enumerate(self._domains)
            },
            "warnings": list(self.warnings),
        }

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """A sentence for each domain that its rows' contents do not distinguish from others."""
        guessed = 1 / len(self._domains)
        found = []
        for row, name in enumerate(self._domains):
            taken = self._model.confusion[row]
            if (taken[row] - guessed) / (1 - guessed) >= LEAST_SKILL:
                continue
            others = ", ".join(
                f"{self._domains[column]!r} ({taken[column]:.0%})"
                for column in np.argsort(-taken, kind="stable")
                if column != row and taken[column] >= (1 - taken[row]) / len(self._domains)
            )
            found.append(
                f"domain {name!r} is hardly told from others by what its rows say: of those that the judge was not "
                f"trained on it takes {taken[row]:.0%} for it and the others for {others}. Its share says little. "
                "A domain that is only a format has no knowledge of its own: give its rows the domain of their "
                "subject, join it with another, or write the prior by hand (`versatune.knowledge`)"
            )
        return tuple(found)

    @cached_property
    def _model(self) -> WordModel:
        try:
            return WordModel.fit(*labelled(self._training, self._domains), self._seed)
        except ValueError as error:
            raise DataError(
                f"the training rows share no words for the judge `classifier` to learn ({error})"
            ) from error

    @cached_property
    def _unlike(self) -> Unlike:
        return unlike_rows(*labelled(self._training, self._domains), self._seed)
