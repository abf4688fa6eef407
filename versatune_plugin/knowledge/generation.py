"""Texts that a base model writes from nothing but its start token (VersaTune, Algorithm 1, line 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from versatune_plugin.errors import ConfigurationError


@dataclass(frozen=True)
class GeneratedText:
    """A text and its length in tokens, the end token not counted."""

    text: str
    tokens: int


@dataclass(frozen=True)
class StartToken:
    """The one token a text starts from.

    Attributes:
        role: ``bos``, or ``eos`` for a tokenizer without a BOS token (Qwen, for example).
    """

    role: str
    token: str
    id: int

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> StartToken:
        """The token of a tokenizer: BOS, else EOS.

        Args:
            tokenizer: the base model's.

        Raises:
            ConfigurationError: it has neither.
        """
        for role, token, number in (
            ("bos", tokenizer.bos_token, tokenizer.bos_token_id),
            ("eos", tokenizer.eos_token, tokenizer.eos_token_id),
        ):
            if number is not None:
                return cls(role, str(token), int(number))
        raise ConfigurationError(
            "the base model's tokenizer has neither a BOS nor an EOS token, so there is nothing to start a text from: "
            "name one that is in its vocabulary under `special_tokens:`"
        )


class TextSource(Protocol):
    """Writes texts; equal arguments give equal texts."""

    def generate(self, count: int, seed: int) -> list[GeneratedText]:
        """Write texts.

        Args:
            count: how many.
            seed: of what is drawn.
        """
        ...


class BaseModelSampler:
    """Samples from the model's own distribution: no top-k, no top-p, nothing of the model's generation settings.

    Args:
        model: a causal language model; it is put into evaluation mode and its generation settings are replaced.
        tokenizer: the model's own tokenizer.
        max_new_tokens: where a text without an end token is cut.
        temperature: 1 for the model's own distribution.

    Raises:
        ConfigurationError: the model has fewer positions than a text needs.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_new_tokens: int, temperature: float
    ) -> None:
        positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        if positions is not None and max_new_tokens + 1 > positions:
            raise ConfigurationError(
                f"--max-new-tokens is {max_new_tokens}, but the model has {positions} positions, one of them for the "
                f"start token: at most {positions - 1}"
            )
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._start = StartToken.of(tokenizer).id
        self._ends = _end_tokens(model, tokenizer)
        # `generate` fills what a call leaves open from the model's own settings (often top-k, top-p or a penalty).
        self._config = model.generation_config = GenerationConfig(
            do_sample=True,
            temperature=temperature,
            top_k=0,
            top_p=1.0,
            max_new_tokens=max_new_tokens,
            bos_token_id=self._start,
            eos_token_id=sorted(self._ends) or None,
            pad_token_id=min(self._ends, default=self._start),
        )

    @torch.no_grad()
    def generate(self, count: int, seed: int) -> list[GeneratedText]:
        """Write texts in one batch.

        Args:
            count: how many.
            seed: torch's global random state is seeded with it.
        """
        torch.manual_seed(seed)
        prompt = torch.full((count, 1), self._start, device=self._model.device)
        sequences = self._model.generate(
            input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=self._config
        )
        written = [self._until_end(tokens) for tokens in sequences[:, 1:].tolist()]
        texts = self._tokenizer.batch_decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return [GeneratedText(text, len(tokens)) for text, tokens in zip(texts, written, strict=True)]

    def _until_end(self, tokens: Sequence[int]) -> list[int]:
        end = next((place for place, token in enumerate(tokens) if token in self._ends), len(tokens))
        return list(tokens[:end])


def batch_seed(seed: int, iteration: int, batch: int) -> int:
    """The seed of one batch of texts, so that a batch does not depend on those before it.

    Args:
        seed: of the detection.
        iteration: from 1.
        batch: its number within the iteration, from 0.
    """
    return int(np.random.SeedSequence([seed, iteration, batch]).generate_state(1, np.uint64)[0])


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokenizer's end token and those of the model's generation settings (chat models have several)."""
    ends: Any = model.generation_config.eos_token_id if model.generation_config is not None else None
    numbers = ends if isinstance(ends, list) else [ends]
    return {int(number) for number in (*numbers, tokenizer.eos_token_id) if number is not None}
