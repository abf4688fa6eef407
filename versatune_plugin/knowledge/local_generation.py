"""Texts written by the base model in this process: many at once, and a finished one makes room for the next."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.knowledge.generation import GeneratedText, StartToken, TextBatch

# So many places of the cache that no text needs any more are cut off together.
_CUT = 32


class BaseModelSampler:
    """Samples from the model's own distribution: no top-k, no top-p, nothing of the model's generation settings.

    A batch of texts is written ``at_a_time`` texts at once. Where a text ends, the next of the batch begins in its
    place: its row of the cache is masked, so nothing of the text before is seen. A model whose state cannot be masked
    (state-space and hybrid models) writes ``at_a_time`` texts to the end of the longest instead.

    Args:
        model: a causal language model; it is put into evaluation mode and its generation settings are replaced.
        tokenizer: the model's own tokenizer.
        max_new_tokens: where a text without an end token is cut.
        temperature: 1 for the model's own distribution.
        at_a_time: texts in one forward pass.

    Raises:
        ConfigurationError: the model has fewer positions than a text needs.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_new_tokens: int,
        temperature: float,
        at_a_time: int,
    ) -> None:
        positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        if positions is not None and max_new_tokens + 1 > positions:
            raise ConfigurationError(
                f"--max-new-tokens is {max_new_tokens}, but the model has {positions} positions, one of them for the "
                f"start token: at most {positions - 1}"
            )
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._max_new_tokens = max_new_tokens
        self._temperature = temperature
        self._at_a_time = at_a_time
        self._start = StartToken.of(tokenizer).id
        self._ends = _end_tokens(model, tokenizer)
        self._takes_positions = "position_ids" in inspect.signature(model.forward).parameters
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

    @property
    def refills(self) -> bool:
        """Whether the next text begins where one ends, or only where all have ended."""
        return bool(self._model._supports_default_dynamic_cache()) and not self._model._is_stateful

    def write(self, batches: Sequence[TextBatch]) -> Iterator[list[GeneratedText]]:
        """See `versatune_plugin.knowledge.generation.TextSource`; a batch depends on nothing but itself."""
        for batch in batches:
            yield self.write_batch(batch)

    @torch.no_grad()
    def write_batch(self, batch: TextBatch) -> list[GeneratedText]:
        """The texts of one batch."""
        written = self._refilled(batch) if self.refills else self._together(batch)
        texts = self._tokenizer.batch_decode(written, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return [
            GeneratedText(text, len(tokens), max(Counter(tokens).values(), default=0))
            for text, tokens in zip(texts, written, strict=True)
        ]

    def _refilled(self, batch: TextBatch) -> list[list[int]]:
        """The tokens of each text; a row of the forward pass takes the next text as soon as its own has ended."""
        device = self._model.device
        draw = torch.Generator(device=device).manual_seed(batch.seed % 2**63)
        written: list[list[int]] = [[] for _ in range(batch.count)]
        rows = list(range(min(self._at_a_time, batch.count)))
        following = len(rows)
        cache = DynamicCache()
        tokens = torch.full((len(rows), 1), self._start, device=device)
        seen = torch.ones((len(rows), 1), dtype=torch.long, device=device)
        while rows:
            drawn = self._draw(tokens, seen, [len(written[text]) for text in rows], cache, draw)
            kept: list[int] = []
            begun: list[int] = []
            for row, token in enumerate(drawn):
                text = written[rows[row]]
                if token not in self._ends:
                    text.append(token)
                if token not in self._ends and len(text) < self._max_new_tokens:
                    kept.append(row)
                elif following < batch.count:
                    rows[row], following = following, following + 1
                    begun.append(row)
                    kept.append(row)
            tokens = torch.tensor(drawn, device=device)[:, None]
            tokens[begun] = self._start
            seen[begun] = 0
            if len(kept) < len(rows):
                stay = torch.tensor(kept, dtype=torch.long, device=device)
                rows = [rows[row] for row in kept]
                tokens, seen = tokens[stay], seen[stay]
                if rows:
                    cache.batch_select_indices(stay)
            seen = torch.cat([seen, torch.ones_like(tokens)], dim=1)
            seen = self._cut(cache, seen, max((len(written[text]) + 1 for text in rows), default=0))
        return written

    def _draw(
        self,
        tokens: torch.Tensor,
        seen: torch.Tensor,
        positions: Sequence[int],
        cache: DynamicCache,
        draw: torch.Generator,
    ) -> list[int]:
        """The next token of every row."""
        placed = (
            {"position_ids": torch.tensor(positions, device=tokens.device)[:, None]} if self._takes_positions else {}
        )
        logits = self._model(
            input_ids=tokens, attention_mask=seen, past_key_values=cache, use_cache=True, **placed
        ).logits[:, -1]
        shares = torch.softmax(logits.float() / self._temperature, dim=-1)
        drawn: list[int] = torch.multinomial(shares, 1, generator=draw)[:, 0].tolist()
        return drawn

    def _cut(self, cache: DynamicCache, seen: torch.Tensor, needed: int) -> torch.Tensor:
        """Leave out places of the cache that lie before the longest text's start."""
        unused = seen.shape[1] - needed
        if unused < _CUT:
            return seen
        for layer in cache.layers:
            layer.keys, layer.values = layer.keys[:, :, unused:], layer.values[:, :, unused:]
        return seen[:, unused:]

    def _together(self, batch: TextBatch) -> list[list[int]]:
        torch.manual_seed(batch.seed)
        written = []
        for first in range(0, batch.count, self._at_a_time):
            count = min(self._at_a_time, batch.count - first)
            prompt = torch.full((count, 1), self._start, device=self._model.device)
            sequences = self._model.generate(
                input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=self._config
            )
            written += [self._until_end(tokens) for tokens in sequences[:, 1:].tolist()]
        return written

    def _until_end(self, tokens: Sequence[int]) -> list[int]:
        end = next((place for place, token in enumerate(tokens) if token in self._ends), len(tokens))
        return list(tokens[:end])


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokenizer's end token and those of the model's generation settings (chat models have several)."""
    ends: Any = model.generation_config.eos_token_id if model.generation_config is not None else None
    numbers = ends if isinstance(ends, list) else [ends]
    return {int(number) for number in (*numbers, tokenizer.eos_token_id) if number is not None}
