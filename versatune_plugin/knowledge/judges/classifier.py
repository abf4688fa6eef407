"""The judge ``classifier``: words and pairs of words, learnt from the configuration's own rows.

It runs in seconds and needs no other model. What it knows of a domain is the user's own data of that domain. It reads
what the rows say and not how they are laid out (`fields`, `content`), so that a domain is recognised by its subject
whatever format its file has; every text is cut to the length of a generated one and its features have length 1, so
long rows are not distinguished from short ones.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from versatune_plugin.errors import DataError
from versatune_plugin.knowledge.correction import LabelledJudgements
from versatune_plugin.knowledge.judges.calibration import expected_calibration_error
from versatune_plugin.knowledge.judges.content import NOTHING, Repeated, content, repeated, without_markup
from versatune_plugin.knowledge.judges.row_texts import row_texts
from versatune_plugin.knowledge.judges.word_model import Unlike, WordModel, unlike_rows
from versatune_plugin.schema.wording import counted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from versatune_plugin.knowledge.judges.registry import JudgeContext

LOG = logging.getLogger("axolotl.versatune")
MOST_TEST_ROWS = 200
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
        without: what the judge does not read in a text.
        special_tokens: nor these.

    Raises:
        DataError: fewer than two domains, or a domain with too few texts.
    """

    def __init__(
        self,
        training: Mapping[str, Sequence[str]],
        test: Mapping[str, Sequence[str]],
        *,
        seed: int,
        without: Repeated = NOTHING,
        special_tokens: Sequence[str] = (),
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
        self._without = without
        self._special_tokens = tuple(special_tokens)

    @classmethod
    def from_context(cls, context: JudgeContext) -> ClassifierJudge:
        """The judge for a configuration: its rows, a fifth of each domain's set aside to measure the judge on.

        Args:
            context: its data sets' rows are read, up to ``training_rows`` and `MOST_TEST_ROWS` of each domain.

        Raises:
            DataError: see `ClassifierJudge`.
        """
        from axolotl.loaders import load_tokenizer

        tokenizer = load_tokenizer(context.cfg)
        special_tokens = sorted({*tokenizer.all_special_tokens, *context.tokenizer.all_special_tokens} - {""})
        most = context.training_rows + MOST_TEST_ROWS
        texts = {
            name: [[without_markup(text, special_tokens) for text in file] for file in files]
            for name, files in row_texts(
                context.cfg, context.dataset_domains, tokenizer, most=most, seed=context.seed
            ).items()
        }
        without = repeated(file for files in texts.values() for file in files)
        shorten = shortener(context.tokenizer, context.max_new_tokens)
        training, test = {}, {}
        for number, name in enumerate(context.domains):
            contents = (content(text, without) for file in texts[name] for text in file)
            distinct = [text for text in dict.fromkeys(map(shorten, contents)) if text]
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([context.seed, number, 1])))
            order = generator.permutation(len(distinct))
            held = min(MOST_TEST_ROWS, len(distinct) // 5)
            test[name] = [distinct[row] for row in order[:held]]
            training[name] = [distinct[row] for row in order[held : held + context.training_rows]]
        made = cls(training, test, seed=context.seed, without=without, special_tokens=special_tokens)
        for warning in made.warnings:
            LOG.warning("%s", warning)
        return made

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Judge.probabilities`; a text without one known word gets the uniform distribution."""
        return self._model.probabilities(
            [content(without_markup(text, self._special_tokens), self._without) for text in texts]
        )

    def labelled(self) -> LabelledJudgements:
        """What it says of the rows set aside, whose domains are known."""
        texts, truth = _labelled(self._test, self._domains)
        return LabelledJudgements(self._model.probabilities(texts), truth)

    def settings(self) -> dict[str, Any]:
        """The size and hashes of what is learnt from and of what is not read; see `Judge.settings`."""
        texts = [[name, *self._training[name]] for name in self._domains]
        passed_over = [
            sorted(self._without.lines),
            [sorted(runs) for runs in self._without.runs.values()],
            self._special_tokens,
        ]
        return {
            "name": "classifier",
            "features": "words of the rows' contents",
            "training_rows": {name: len(texts) for name, texts in self._training.items()},
            "training_texts": _digest(texts),
            "not_read": _digest(passed_over),
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

        labelled = self.labelled()
        given, truth = labelled.given, labelled.truth
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
            return WordModel.fit(*_labelled(self._training, self._domains), self._seed)
        except ValueError as error:
            raise DataError(
                f"the training rows share no words for the judge `classifier` to learn ({error})"
            ) from error

    @cached_property
    def _unlike(self) -> Unlike:
        return unlike_rows(*_labelled(self._training, self._domains), self._seed)


def shortener(tokenizer: PreTrainedTokenizerBase, tokens: int) -> Callable[[str], str]:
    """What cuts a text.

    Args:
        tokenizer: measures its length.
        tokens: that are left at most.
    """

    def shorten(text: str) -> str:
        numbers = tokenizer(text, add_special_tokens=False, truncation=True, max_length=tokens)["input_ids"]
        return str(tokenizer.decode(numbers, skip_special_tokens=True, clean_up_tokenization_spaces=False)).strip()

    return shorten


def _labelled(texts: Mapping[str, Sequence[str]], domains: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """All texts in one list and the column number of each text's domain, shape (n,)."""
    truth = np.repeat(np.arange(len(domains)), [len(texts[name]) for name in domains])
    return [text for name in domains for text in texts[name]], truth


def _digest(value: Any) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]
