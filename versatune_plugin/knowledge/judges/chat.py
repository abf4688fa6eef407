"""The judge ``http``: a chat model behind OpenAI-compatible servers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from versatune_plugin.errors import ArtifactError, ConfigurationError
from versatune_plugin.knowledge.judges.answers import REMEDY, AnswerRecord, KeptAnswers, Key
from versatune_plugin.knowledge.judges.question import (
    MOST_LISTED,
    QUESTION,
    UNPARSED,
    Questions,
    Reading,
    key_of_text,
    mean_over_orders,
    request,
)
from versatune_plugin.knowledge.served.client import Refused, Servers
from versatune_plugin.knowledge.served.server import OTHER, Server, sampling, served_model
from versatune_plugin.schema.wording import counted

if TYPE_CHECKING:
    from versatune_plugin.knowledge.judges.registry import JudgeContext

# Shows whether a server gives log-probabilities; any text would do.
TRIAL = "The court dismissed the appeal."
LOGPROBS, JSON = "logprobs", "json"
# What hosted servers call a question that they do not take, or an answer that they do not give, for what it says.
FILTERED = "content_filter"
# Of the probability of an answer's first token, a judge that understood puts more than this on letters.
SURE_OF_LABELS = 0.5
# Tokens of a number with its key, and of what a model that thinks aloud may write before.
_TOKENS_OF_A_LABEL, _TOKENS_OF_THOUGHT = 16, 64
# What a server may say that one answer took.
_MOST_TOKENS = 1_000_000_000


class ChatJudge:
    """Asks for the letter of a text's domain, under each cyclic order of the options, and averages.

    Where a server lists log-probabilities, they are renormalised over the letters; elsewhere the model writes down
    probabilities as JSON ("verbalised", which are rounded and over-confident: arXiv 2510.17727).

    Args:
        servers: of one chat model.
        server: what they are.
        questions: about texts, as JSON or not.
        rotations: over so many orders of the options a text is judged.
        answers: what was answered before, and is from now on.
    """

    def __init__(
        self, servers: Servers, server: Server, questions: Questions, rotations: int, answers: KeptAnswers
    ) -> None:
        self._servers = servers
        self._server = server
        self._questions = questions
        self._rotations = rotations
        self._answers = answers

    @classmethod
    def from_context(cls, context: JudgeContext) -> ChatJudge:
        """The judge for a configuration; what the servers are and can do is asked.

        Args:
            context: whose options have a ``judge_url``.

        Raises:
            ConfigurationError: servers that cannot be used, or too many domains for log-probabilities.
        """
        options = context.options
        k = len(context.domains)
        rotations = k if options.judge_rotations is None else options.judge_rotations
        if rotations > k:
            raise ConfigurationError(
                f"--judge-rotations is {rotations}, but {k} domains have {k} cyclic orders: give at most {k}"
            )
        if options.judge_answers == LOGPROBS and k > MOST_LISTED:
            raise ConfigurationError(
                f"--judge-answers logprobs: servers list {MOST_LISTED} tokens at most, but there are {k} domains: give "
                "--judge-answers json"
            )
        answers = KeptAnswers(context.answers)
        servers = Servers(options.judge_url, options.judge_key_env, options.judge_concurrency)
        server = served_model(servers, options.judge_model, "--judge-model")
        made = {
            name: cls(servers, server, Questions(context.domains, context.descriptions, as_json), rotations, answers)
            for name, as_json in ((LOGPROBS, False), (JSON, True))
        }
        if options.judge_answers == "auto":
            return made[LOGPROBS if k <= MOST_LISTED and made[LOGPROBS].lists_tokens() else JSON]
        return made[options.judge_answers]

    def lists_tokens(self) -> bool:
        """Whether the server lists log-probabilities: one text is judged to see."""
        key = self._key(TRIAL, 0)
        if self._answers.get(key) is not None:
            return True
        try:
            self._ask((TRIAL, 0))
        except (Refused, _NotListed):
            return False
        return True

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Judge.probabilities`; a text with an answer that cannot be used gets a row of NaN.

        Raises:
            ConfigurationError: no answer, see `Servers`; those that came are kept.
            ArtifactError: a kept answer is not of these domains.
        """
        wanted = [(text, rotation) for text in dict.fromkeys(texts) for rotation in range(self._rotations)]
        missing = [one for one in wanted if self._answers.get(self._key(*one)) is None]
        try:
            for _ in self._servers.ask_each(missing, self._ask):
                pass
        except (Refused, _NotListed) as error:
            raise ConfigurationError(f"the judge {self._server.model!r}: {error}") from None
        rows = []
        for text in texts:
            keys = [self._key(text, rotation) for rotation in range(self._rotations)]
            found = [answer.probabilities for key in keys if (answer := self._answers.get(key)) is not None]
            k = len(self._questions.domains)
            if any(row is not None and len(row) != k for row in found):
                raise ArtifactError(f"{self._answers.path} has an answer that is not of {k} domains; {REMEDY}")
            rows.append(mean_over_orders(found, k))
        return np.array(rows, dtype=np.float64)

    def settings(self) -> dict[str, Any]:
        """Model, its weights, question and orders; addresses decide nothing. See `Judge.settings`."""
        return {
            "name": "http",
            "model": self._server.model,
            "weights": dict(self._server.weights),
            "question": self._questions.hash,
            "answers": JSON if self._questions.as_json else LOGPROBS,
            "rotations": self._rotations,
        }

    def describe(self) -> dict[str, Any]:
        """The settings, what the servers are, and how many of the answers that are kept could not be used."""
        trial = key_of_text(TRIAL)
        found = [one for one in self._answers.of(self._questions.hash, self._server.identity) if one.text != trial]
        problems = Counter(one.problem for one in found if one.problem)
        read, written = self.tokens()
        on_labels = [one.total for one in found if one.problem is None and not self._questions.as_json]
        warnings = []
        if on_labels and np.mean(on_labels) < SURE_OF_LABELS:
            warnings.append(
                f"the judge {self._server.model!r} answers with a letter in {np.mean(on_labels):.0%} of its "
                "probability, and would often sooner say something else: another model, or --judge-answers json, may "
                "judge better (`axolotl versatune judge-check` measures it)"
            )
        return self.settings() | {
            "verbalised": self._questions.as_json,
            "question_text": QUESTION,
            "addresses": list(self._servers.urls),
            "server": dict(self._server.facts),
            "answers_off_list": problems["off-list"],
            "answers_unparsed": problems["unparsed"],
            "answers_renormalised": sum(
                self._questions.as_json and one.problem is None and abs(one.total - 1) > 0.01 for one in found
            ),
            # Summed exactly: the order in which answers came must not show.
            "on_labels": math.fsum(on_labels) / len(on_labels) if on_labels else None,
            "warnings": warnings,
            "tokens_read": read,
            "tokens_written": written,
        }

    def tokens(self) -> tuple[int, int]:
        """Tokens read and written so far, those of earlier calls too."""
        found = self._answers.of(self._questions.hash, self._server.identity)
        return sum(one.read for one in found), sum(one.written for one in found)

    def _key(self, text: str, rotation: int) -> Key:
        return key_of_text(text), self._questions.hash, self._server.identity, rotation

    def _ask(self, asked: tuple[str, int]) -> None:
        text, rotation = asked
        try:
            answer = self._servers.ask("chat/completions", self._body(text, rotation))
        except Refused as error:
            if error.code != FILTERED:
                raise
            answer = {"choices": [{"finish_reason": FILTERED}]}
        choice = answer["choices"][0] if isinstance(answer["choices"][0], Mapping) else {}
        # What a hosted model may not read or say is one text's, and says nothing about the server.
        filtered = choice.get("finish_reason") == FILTERED
        reading = Reading(None, UNPARSED) if filtered else self._read(choice, rotation)
        usage = answer.get("usage")
        key = self._key(text, rotation)
        self._answers.add(
            AnswerRecord(
                text=key[0],
                question=key[1],
                model=key[2],
                rotation=rotation,
                probabilities=reading.probabilities,
                problem=reading.problem,  # type: ignore[arg-type]
                total=reading.total,
                read=_count(usage, "prompt_tokens"),
                written=_count(usage, "completion_tokens"),
            )
        )

    def _read(self, choice: Mapping[str, Any], rotation: int) -> Reading:
        if self._questions.as_json:
            message = choice.get("message")
            words = message.get("content") if isinstance(message, Mapping) else None
            return self._questions.read_json(words, rotation) if isinstance(words, str) else Reading(None, UNPARSED)
        listed = _listed(choice)
        if listed is None:
            raise _NotListed(
                "it lists no log-probabilities: give --judge-answers json, or a server that lists them (`logprobs`)"
            )
        if len(listed) < len(self._questions.labels):
            raise _NotListed(
                f"it lists the log-probabilities of {counted(len(listed), 'token')}, and there are "
                f"{len(self._questions.labels)} domains: give --judge-answers json, or a server that lists more "
                "(`top_logprobs`)"
            )
        return self._questions.read_listed(listed, rotation)

    def _body(self, text: str, rotation: int) -> dict[str, Any]:
        as_json = self._questions.as_json
        most = len(self._questions.labels) * _TOKENS_OF_A_LABEL + _TOKENS_OF_THOUGHT if as_json else 1
        # A penalty of the model's own generation settings would be taken off its figures.
        drawn = {} if self._server.kind == OTHER else sampling(self._server, 0)
        # A hosted model that thinks before it answers needs room for that, and knows the limit by another name.
        own = self._server.kind == OTHER
        return {
            **request(self._questions, self._server.model, text, rotation),
            **drawn,
            **({"max_completion_tokens": 4096} if own and as_json else {"max_tokens": most}),
            # Models that can think aloud first are asked not to; other templates know no such name and pass it over.
            **({} if own else {"chat_template_kwargs": {"enable_thinking": False}}),
        }


class _NotListed(ConfigurationError):
    """A server gave an answer without log-probabilities."""


def _listed(choice: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The most probable tokens at the first place of an answer, in the form of chat endpoints."""
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    first = content[0] if isinstance(content, list) and content and isinstance(content[0], Mapping) else {}
    listed = first.get("top_logprobs")
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) and listed else None


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) if isinstance(usage, Mapping) else None
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else 0
