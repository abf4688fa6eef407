"""Texts that a base model writes from nothing but its start token (VersaTune, Algorithm 1, line 3), by any means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from versatune_plugin.errors import ConfigurationError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class GeneratedText:
    """A text and its length in tokens of the base model, the end token not counted.

    Attributes:
        text: without special tokens.
        tokens: its length.
        most_common: how often its most common token occurs.
    """

    text: str
    tokens: int
    most_common: int


@dataclass(frozen=True)
class TextBatch:
    """Texts that are written together.

    Attributes:
        first: the number of the first of them among all texts of the detection, from 0.
        count: how many.
        seed: of what is drawn for this batch, see `batch_seed`.
    """

    first: int
    count: int
    seed: int


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
    """Writes texts; equal batches give equal texts."""

    def write(self, batches: Sequence[TextBatch]) -> Iterator[list[GeneratedText]]:
        """The texts of each batch, in the order of the batches, as soon as they are there.

        Args:
            batches: what to write.
        """
        ...


def batch_seed(seed: int, iteration: int, batch: int) -> int:
    """The seed of one batch of texts, so that a batch does not depend on those before it.

    Args:
        seed: of the detection.
        iteration: from 1.
        batch: its number within the iteration, from 0.
    """
    return int(np.random.SeedSequence([seed, iteration, batch]).generate_state(1, np.uint64)[0])
