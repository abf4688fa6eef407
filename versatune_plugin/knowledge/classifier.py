"""The judge ``classifier``: TF-IDF and logistic regression, trained on the configuration's own rows.

It runs in seconds and needs no other model. What it knows of a domain is the user's own data of that domain, and its
calibration holds for such texts; on texts unlike any of the rows its probabilities are no more than plausible.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge.calibration import Calibration, expected_calibration_error

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from transformers import PreTrainedTokenizerBase

    from versatune_plugin.knowledge.judges import JudgeContext

MOST_TEST_ROWS = 200
LEAST_ROWS = 15
# Words of two and more letters; Chinese and Japanese, which put no spaces between words, character by character.
TOKEN_PATTERN = r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]{2,}"
FEATURES = 50_000
# Inverse regularisation: of 1 and 10, the better log loss on held-out rows of six real domains (0.10 against 0.12).
INVERSE_REGULARISATION = 10.0
FOLDS = 3


class ClassifierJudge:
    """TF-IDF, multinomial logistic regression, and a calibration fitted on cross-validated logits.

    The calibration has k + 1 parameters, so few rows are enough; on held-out rows of six real domains a temperature
    gave a better log loss than isotonic regression or Platt scaling of one domain against the rest. Domains weigh the
    same however many rows they have, so the judge's prior is uniform.

    Args:
        training: texts to learn from, by domain.
        test: texts to measure the judge on, by domain; none of them is learnt from.
        seed: of the folds of the calibration.
        shorten: cuts a row's text to the length of a generated text, which the calibration depends on.

    Raises:
        VersaTuneError: fewer than two domains, or a domain with too few texts.
    """

    def __init__(
        self,
        training: Mapping[str, Sequence[str]],
        test: Mapping[str, Sequence[str]],
        *,
        seed: int,
        shorten: Callable[[str], str],
    ) -> None:
        problems = [
            f"domain {name!r} has {len(texts)} training rows, but needs {LEAST_ROWS}: add rows, or use another --judge"
            for name, texts in training.items()
            if len(texts) < LEAST_ROWS
        ]
        if len(training) < 2:
            problems.append(
                f"there is only the domain {', '.join(training)}: its knowledge needs no detection, it is 1"
            )
        if problems:
            raise VersaTuneError.collected("the judge `classifier` cannot be trained", problems)
        self._domains = tuple(training)
        self._template = template_lines(training)
        self._training = {name: [shorten(self._content(text)) for text in training[name]] for name in training}
        self._test = {name: [shorten(self._content(text)) for text in test[name]] for name in training}
        self._seed = seed

    @classmethod
    def from_context(cls, context: JudgeContext) -> ClassifierJudge:
        """The judge for a configuration: its rows, some of each domain set aside to measure the judge on.

        The rows set aside are the first in the order in which a run chooses its held-out rows, so a run's held-out
        rows are among them unless it holds out more.
        """
        from axolotl.loaders import load_tokenizer

        from versatune_plugin.loading import DEFAULT_SEED, load_rows

        options = context.options
        table = load_rows(context.cfg, context.dataset_domains)
        smallest = min(np.count_nonzero(table.supervised[d.first : d.first + d.size]) for d in table.domains)
        cfg_seed = context.cfg.seed if context.cfg.seed is not None else DEFAULT_SEED
        table = table.hold_out(min(MOST_TEST_ROWS, int(smallest) // 5), cfg_seed)
        tokenizer = load_tokenizer(context.cfg)
        training, test = {}, {}
        for number, name in enumerate(context.domains):
            rows = table.training_rows(name)
            generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([options.seed, number])))
            chosen = np.sort(generator.permutation(rows)[: options.training_rows])
            training[name] = table.texts(chosen, tokenizer)
            test[name] = table.texts(table.heldout_rows(name), tokenizer)
        return cls(training, test, seed=options.seed, shorten=shortener(context.tokenizer, options.max_new_tokens))

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Judge.probabilities`; a text without one known word gets about the uniform distribution."""
        return self._judge([self._content(text) for text in texts])

    def settings(self) -> dict[str, Any]:
        """The size and a hash of what is learnt from; see `Judge.settings`."""
        digest = hashlib.sha256()
        for name, texts in self._training.items():
            digest.update(f"{name}\0{len(texts)}\0".encode())
            for text in texts:
                digest.update(text.encode("utf-8") + b"\0")
        return {
            "name": "classifier",
            "training_rows": {name: len(texts) for name, texts in self._training.items()},
            "training_texts": digest.hexdigest()[:16],
            "seed": self._seed,
        }

    def describe(self) -> dict[str, Any]:
        """The settings and the quality on the rows set aside: accuracy, log loss, calibration error and confusion.

        Every domain weighs the same in the first three. ``confusion[a][b]`` counts texts of a that b was most probable
        for. The expected calibration error has 15 bins of equal width over the highest probability of each text.
        """
        from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
        from sklearn.utils.class_weight import compute_sample_weight

        texts, truth = _labelled(self._test, self._domains)
        given = self._judge(texts)
        weights = compute_sample_weight("balanced", truth)
        columns = np.arange(len(self._domains))
        counts = confusion_matrix(truth, given.argmax(axis=1), labels=columns)
        return self.settings() | {
            "test_rows": {name: len(rows) for name, rows in self._test.items()},
            "accuracy": float(accuracy_score(truth, given.argmax(axis=1), sample_weight=weights)),
            "log_loss": float(log_loss(truth, given, labels=columns, sample_weight=weights)),
            "calibration_error": expected_calibration_error(given, truth, weights),
            "confusion": {
                name: {other: int(counts[row, column]) for column, other in enumerate(self._domains)}
                for row, name in enumerate(self._domains)
            },
        }

    @cached_property
    def _fitted(self) -> tuple[TfidfVectorizer, LogisticRegression, Calibration]:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import StratifiedKFold, cross_val_predict
        from sklearn.utils.class_weight import compute_sample_weight

        texts, truth = _labelled(self._training, self._domains)
        vectorizer = TfidfVectorizer(
            sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_features=FEATURES, token_pattern=TOKEN_PATTERN
        )
        try:
            matrix = vectorizer.fit_transform(texts)
        except ValueError as error:
            raise VersaTuneError(
                f"the training rows share no words for the judge `classifier` to learn ({error})"
            ) from error
        weights = compute_sample_weight("balanced", truth)
        regression = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=1000)
        unseen = cross_val_predict(
            regression,
            matrix,
            truth,
            cv=StratifiedKFold(FOLDS, shuffle=True, random_state=self._seed),
            method="decision_function",
            params={"sample_weight": weights},
        )
        calibration = Calibration.fit(_columns(unseen), truth, weights)
        return vectorizer, regression.fit(matrix, truth, sample_weight=weights), calibration

    def _judge(self, contents: Sequence[str]) -> np.ndarray:
        vectorizer, regression, calibration = self._fitted
        return calibration.probabilities(_columns(regression.decision_function(vectorizer.transform(contents))))

    def _content(self, text: str) -> str:
        return "\n".join(line for line in text.split("\n") if line not in self._template).strip()


def template_lines(training: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Lines of the prompt template, such as "### Response:", found by how often rows repeat them to the letter.

    A base model does not write them, so a classifier must not lean on them: some domains' rows have, say, an input and
    the template says so. A line counts as the template's when a fifth of the rows of two domains, or nine tenths of
    the rows of one, have it.
    """
    domains_with: Counter[str] = Counter()
    found: set[str] = set()
    for texts in training.values():
        rows_with = Counter(line for text in texts for line in set(text.split("\n")))
        domains_with.update(line for line, rows in rows_with.items() if rows >= 0.2 * len(texts))
        found.update(line for line, rows in rows_with.items() if rows >= 0.9 * len(texts))
    return frozenset(found | {line for line, domains in domains_with.items() if domains >= 2})


def shortener(tokenizer: PreTrainedTokenizerBase, tokens: int) -> Callable[[str], str]:
    """Cuts a text to so many tokens."""

    def shorten(text: str) -> str:
        numbers = tokenizer(text, add_special_tokens=False, truncation=True, max_length=tokens)["input_ids"]
        return str(tokenizer.decode(numbers, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    return shorten


def _labelled(texts: Mapping[str, Sequence[str]], domains: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """All texts in one list and the column number of each text's domain, shape (n,)."""
    truth = np.repeat(np.arange(len(domains)), [len(texts[name]) for name in domains])
    return [text for name in domains for text in texts[name]], truth


def _columns(decisions: np.ndarray) -> np.ndarray:
    """Logits of shape (n, k); for two domains scikit-learn gives the second one's alone, shape (n,)."""
    return decisions if decisions.ndim == 2 else np.stack([-decisions / 2, decisions / 2], axis=1)
