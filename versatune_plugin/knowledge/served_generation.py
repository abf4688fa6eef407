"""Texts written by the base model behind OpenAI-compatible servers, which share the work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.knowledge.generation import GeneratedText, StartToken, TextBatch
from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.knowledge.served.client import Refused, Servers
from versatune_plugin.knowledge.served.server import LLAMA_CPP, SENTENCE, Server, sampling, served_model, server_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Of this many texts or more, this share must differ: fewer do where a server passes over temperature or seed, or gives
# the texts of one request one seed.
LEAST_COMPARED, LEAST_DIFFERENT = 16, 0.6
# A shorter text may well come twice.
LEAST_TOKENS = 8
_SEEDS = 2**31
_FILTERED = "content_filter"
# Servers may count a token more or less.
_NEARLY = 0.75


@dataclass(frozen=True)
class _Request:
    first: int
    count: int


class ServedSampler:
    """Asks ``/completions`` for texts from the start token's id, every sampling parameter spelled out.

    Text i is drawn with the seed ``base + i``: a request for n texts from the i-th on has the seed ``base + i``, and
    servers give its texts the n seeds from there on. So no two texts share a seed, whatever n is.

    Args:
        servers: of the base model.
        server: what they are.
        tokenizer: the base model's own.
        options: of the detection.

    Raises:
        ConfigurationError: the server's tokenizer is not the base model's.
    """

    def __init__(
        self, servers: Servers, server: Server, tokenizer: PreTrainedTokenizerBase, options: DetectionOptions
    ) -> None:
        self._servers = servers
        self._server = server
        self._tokenizer = tokenizer
        self._options = options
        self._start = StartToken.of(tokenizer)
        # Of the texts so far, in all batches: servers may repeat themselves from one request to the next.
        self._long = 0
        self._different: set[str] = set()
        self._base = int(np.random.SeedSequence([options.seed, 0x5EED]).generate_state(1)[0]) % _SEEDS

    @classmethod
    def from_options(cls, tokenizer: PreTrainedTokenizerBase, options: DetectionOptions) -> ServedSampler:
        """The sampler for the servers that the options name; what they serve is asked.

        Args:
            tokenizer: the base model's own.
            options: with a ``server_url``.

        Raises:
            ConfigurationError: servers that cannot be used.
        """
        servers = Servers(options.server_url, options.server_key_env, options.server_concurrency)
        server = served_model(servers, options.server_model, "--server-model")
        made = cls(servers, server, tokenizer, options)
        made.check_tokenizer()
        return made

    def settings(self) -> dict[str, Any]:
        """What decides the texts, as plain JSON; addresses do not."""
        return {
            "kind": self._server.kind,
            "model": self._server.model,
            "weights": dict(self._server.weights),
            "request": self._body(0, self._options.texts_per_request),
        }

    def describe(self) -> dict[str, Any]:
        """What the servers are and serve."""
        return {"addresses": list(self._servers.urls), **self._server.facts}

    def check_tokenizer(self) -> None:
        """Compare the server's tokenizer with the base model's, where the server has a way to ask.

        Raises:
            ConfigurationError: they differ, so the id of the start token would be another token there.
        """
        ours = self._tokenizer(SENTENCE, add_special_tokens=False)["input_ids"]
        for url in self._servers.urls:
            theirs = server_tokens(self._servers, url, self._server, SENTENCE)
            if theirs is not None and theirs != list(ours):
                raise ConfigurationError(
                    f"{url} serves {self._server.model}, whose tokenizer is another than that of `base_model`: texts "
                    "would start from another token, and be those of another model. Serve the base model"
                )

    def write(self, batches: Sequence[TextBatch]) -> Iterator[list[GeneratedText]]:
        """See `versatune_plugin.knowledge.generation.TextSource`.

        Raises:
            ConfigurationError: the server refuses the request, gives fewer texts than asked for, or equal ones.
        """
        most = self._options.texts_per_request
        requests = [
            _Request(batch.first + start, min(most, batch.count - start))
            for batch in batches
            for start in range(0, batch.count, most)
        ]
        answers = self._servers.ask_each(requests, self._ask)
        for batch in batches:
            texts: list[str] = []
            while len(texts) < batch.count:
                texts += next(answers)
            made = [self._made(text) for text in texts]
            self._check_variety(made)
            yield made
        next(answers, None)

    def _ask(self, request: _Request) -> list[str]:
        try:
            answer = self._servers.ask("completions", self._body(request.first, request.count))
        except Refused as error:
            raise ConfigurationError(
                f"{error}. (The request starts from the token {self._start.id}, asks for {request.count} texts of "
                f"{self._options.max_new_tokens} tokens and spells out every sampling parameter: a server must take "
                "these. Should it be the number of texts, give --texts-per-request 1)"
            ) from None
        choices = [one for one in answer["choices"] if isinstance(one, dict) and isinstance(one.get("text"), str)]
        # Some servers give them as they are ready.
        if all(type(one.get("index")) is int for one in choices):
            choices.sort(key=lambda one: one["index"])
        self._check_request_was_taken(request, answer.get("usage"), choices)
        texts = [one["text"].encode("utf-8", "replace").decode("utf-8") for one in choices]
        if len(texts) != request.count:
            raise ConfigurationError(
                f"the server of {self._server.model} was asked for {request.count} texts and gave {len(texts)}: give "
                "--texts-per-request 1, or another server"
            )
        return texts

    def _check_request_was_taken(self, request: _Request, usage: Any, choices: Sequence[dict[str, Any]]) -> None:
        name = self._server.model
        if any(one.get("finish_reason") == _FILTERED for one in choices):
            raise ConfigurationError(
                f"the server of {name} leaves texts out for what they say ({_FILTERED}), so the others say nothing "
                "about the model: give another server"
            )
        counted = {key: value for key, value in usage.items() if type(value) is int} if isinstance(usage, dict) else {}
        # Of servers that count the start once for every text, too.
        read = counted.get("prompt_tokens", 0)
        if read > 1 and read != request.count:
            raise ConfigurationError(
                f"the server of {name} says that it read {read} tokens, where it was given the start token alone: it "
                "adds tokens of its own, or takes ids for text. Give another server (vLLM, SGLang, llama.cpp)"
            )
        most, wrote = self._options.max_new_tokens, counted.get("completion_tokens", 0)
        cut = all(one.get("finish_reason") == "length" for one in choices)
        # llama.cpp counts those of one text.
        least = _NEARLY * most * (1 if self._server.kind == LLAMA_CPP else request.count)
        if wrote * _NEARLY > most * request.count or (cut and 0 < wrote < least):
            raise ConfigurationError(
                f"the server of {name} says that it wrote {wrote:,} tokens for {request.count} texts cut at {most:,} "
                "tokens each: it has a limit of its own (its context, say). Give it more room, or another "
                "--max-new-tokens"
            )

    def _body(self, first: int, count: int) -> dict[str, Any]:
        return {
            "model": self._server.model,
            "prompt": [self._start.id],
            "max_tokens": self._options.max_new_tokens,
            "n": count,
            "seed": (self._base + first) % _SEEDS,
            "stream": False,
            "echo": False,
            **sampling(self._server, self._options.temperature),
        }

    def _made(self, text: str) -> GeneratedText:
        tokens = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return GeneratedText(text, len(tokens), max(Counter(tokens).values(), default=0))

    def _check_variety(self, made: Sequence[GeneratedText]) -> None:
        long = [one.text for one in made if one.tokens >= LEAST_TOKENS]
        self._long += len(long)
        self._different.update(long)
        different = len(self._different)
        if self._long >= LEAST_COMPARED and different < LEAST_DIFFERENT * self._long:
            raise ConfigurationError(
                f"of {self._long} texts with seeds of their own only {different} differ: the server of "
                f"{self._server.model} passes over `seed` or `temperature`, so its texts say nothing about the model"
            )
