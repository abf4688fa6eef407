"""Texts from nothing but the start token, by a small random Llama."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    MambaConfig,
    MambaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from tests.conftest import Tiny
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge.generation import StartToken, TextBatch, batch_seed
from versatune_plugin.knowledge.local_generation import BaseModelSampler

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]


@pytest.fixture
def loaded(tiny: Tiny) -> Loaded:
    model = AutoModelForCausalLM.from_pretrained(tiny.model)
    with torch.no_grad():
        # A sharper distribution than that of fresh weights, and a likely end token.
        model.lm_head.weight.mul_(60)
        model.lm_head.weight[1].add_(0.3)
    return model, AutoTokenizer.from_pretrained(tiny.model)


def first_token_shares(model: PreTrainedModel, temperature: float) -> np.ndarray:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[0]])).logits[0, -1].double()
    return torch.softmax(logits / temperature, dim=-1).numpy()


def sample(loaded: Loaded, max_new_tokens: int = 20, temperature: float = 1.0, at_a_time: int = 8) -> BaseModelSampler:
    return BaseModelSampler(*loaded, max_new_tokens, temperature, at_a_time)


def test_equal_seeds_give_equal_texts_and_a_text_depends_on_its_batch_alone(loaded: Loaded) -> None:
    sampler = sample(loaded)
    first, other, again = sampler.write([TextBatch(0, 30, 1), TextBatch(30, 30, 2), TextBatch(60, 30, 1)])
    assert again == first
    assert other != first
    assert len({text.text for text in first}) > 1


class Watched(BaseModelSampler):
    """Remembers which texts' tokens went through the model, and what it said of the next one."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.widths: list[int] = []
        self.rows: list[int] = []
        self.logits: list[torch.Tensor] = []
        self._model.register_forward_hook(lambda module, given, answer: self.logits.append(answer.logits[:, -1]))

    def _draw(self, tokens: torch.Tensor, seen: torch.Tensor, *rest: Any) -> list[int]:
        self.widths.append(seen.shape[1])
        self.rows.append(len(tokens))
        return super()._draw(tokens, seen, *rest)


def test_a_finished_text_makes_room_for_the_next_and_no_text_sees_another(loaded: Loaded) -> None:
    model, tokenizer = loaded
    sampler = Watched(model, tokenizer, 40, 1.0, 4)
    assert sampler.refills
    drawn: list[torch.Tensor] = []
    multinomial = torch.multinomial

    def watched(shares: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        drawn.append(shares)
        return multinomial(shares, *given, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "multinomial", watched)
        tokens = sampler._refilled(TextBatch(0, 50, 3))
    steps = [len(text) + (len(text) < 40) for text in tokens]
    # No row of a forward pass was spent on a finished text, and all four were in use until the last texts.
    assert sum(sampler.rows) == sum(steps)
    assert sampler.rows[:-40].count(4) == len(sampler.rows[:-40])
    # The cache does not grow with the number of texts.
    assert max(sampler.widths) <= 40 + 32
    # Each distribution that was drawn from is the model's own, given the text alone.
    rows = [row for shares in drawn for row in shares]
    for text in (0, 5, 20, 49):
        alone = model(input_ids=torch.tensor([[0, *tokens[text]]])).logits[0].softmax(dim=-1)
        for place in (0, len(tokens[text]) // 2, steps[text] - 1):
            assert min(float((row - alone[place]).abs().max()) for row in rows) < 1e-5


def test_texts_follow_the_models_distribution_wherever_they_begin(loaded: Loaded) -> None:
    """The second token's shares, given the most common first one, for texts that began in others' places."""
    model, tokenizer = loaded
    sampler = BaseModelSampler(model, tokenizer, 3, 1.0, 16)
    tokens = [text for seed in range(12) for text in sampler._refilled(TextBatch(0, 400, seed))[16:]]
    first = Counter(text[0] for text in tokens if text).most_common(1)[0][0]
    with torch.no_grad():
        shares = torch.softmax(model(input_ids=torch.tensor([[0, first]])).logits[0, -1].double(), dim=-1).numpy()
    following = [text[1] if len(text) > 1 else 1 for text in tokens if text and text[0] == first]
    counts = np.bincount(following, minlength=len(shares))
    often = shares * len(following) >= 5
    observed = np.append(counts[often], counts[~often].sum())
    expected = np.append(shares[often], shares[~often].sum()) * len(following)
    assert chisquare(observed, expected).pvalue > 1e-3


def test_a_model_whose_state_cannot_be_masked_writes_batch_by_batch() -> None:
    config = MambaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, state_size=4, eos_token_id=1)
    torch.manual_seed(0)
    model = MambaForCausalLM(config)
    sampler = BaseModelSampler(model, Letters(), 12, 1.0, 4)  # type: ignore[arg-type]
    assert not sampler.refills
    texts = sampler.write_batch(TextBatch(0, 10, 5))
    assert len(texts) == 10
    assert sampler.write_batch(TextBatch(0, 10, 5)) == texts
    assert max(text.tokens for text in texts) <= 12


class Letters:
    """A tokenizer of 40 letters."""

    bos_token, bos_token_id, eos_token, eos_token_id = "<s>", 0, "</s>", 1

    def batch_decode(self, rows: list[list[int]], **_: Any) -> list[str]:
        return ["".join(chr(64 + token) for token in row) for row in rows]


def test_a_text_ends_before_its_end_token(loaded: Loaded) -> None:
    model, tokenizer = loaded
    sampler = BaseModelSampler(model, tokenizer, 30, 1.0, 16)
    texts = sampler.write_batch(TextBatch(0, 64, 3))
    lengths = {text.tokens for text in texts}
    assert min(lengths) < max(lengths) <= 30
    assert not any("</s>" in text.text or "<s>" in text.text for text in texts)
    for text, row in zip(texts, sampler._refilled(TextBatch(0, 64, 3)), strict=True):
        assert 1 not in row
        assert (text.tokens, text.most_common) == (len(row), max(Counter(row).values(), default=0))
        assert text.text == tokenizer.decode(row, skip_special_tokens=True)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_first_token_follows_the_models_own_distribution(loaded: Loaded, temperature: float) -> None:
    model, tokenizer = loaded
    # What a chat model's files may ask for must not show.
    model.generation_config.update(top_k=1, top_p=0.1, repetition_penalty=5.0, temperature=9.0, do_sample=True)
    shares = first_token_shares(model, temperature)
    sampler = BaseModelSampler(model, tokenizer, 1, temperature, 500)
    # A text that is nothing but its end token is empty.
    drawn = [(text or [1])[0] for seed in range(4) for text in sampler._refilled(TextBatch(0, 2000, seed))]
    counts = np.bincount(drawn, minlength=len(shares))
    often = shares * len(drawn) >= 5
    observed = np.append(counts[often], counts[~often].sum())
    expected = np.append(shares[often], shares[~often].sum()) * len(drawn)
    assert chisquare(observed, expected).pvalue > 1e-3
    wrong = first_token_shares(model, 0.75)
    wrong = np.append(wrong[often], wrong[~often].sum()) * len(drawn)
    assert chisquare(observed, wrong).pvalue < 1e-6


def test_several_end_tokens_of_the_models_settings_count(loaded: Loaded) -> None:
    model, tokenizer = loaded
    common = int(first_token_shares(model, 1.0).argsort()[-2:].max())
    model.generation_config.eos_token_id = [1, common]
    sampler = BaseModelSampler(model, tokenizer, 12, 1.0, 16)
    byte = tokenizer.decode([common])
    texts = sampler.write_batch(TextBatch(0, 64, 0))
    assert not any(byte in text.text for text in texts)
    assert any(text.tokens < 12 for text in texts)


def test_starts_from_bos_or_else_from_eos_or_says_so(tiny: Tiny) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny.model)
    assert StartToken.of(tokenizer) == StartToken("bos", "<s>", 0)
    tokenizer.bos_token = None
    assert StartToken.of(tokenizer) == StartToken("eos", "</s>", 1)
    tokenizer.eos_token = None
    with pytest.raises(VersaTuneError, match="neither a BOS nor an EOS token"):
        StartToken.of(tokenizer)


def test_refuses_texts_longer_than_the_models_positions(loaded: Loaded) -> None:
    sample(loaded, 511)
    with pytest.raises(VersaTuneError, match="has 512 positions.*at most 511"):
        sample(loaded, 512)


def test_every_batch_has_a_seed_of_its_own() -> None:
    seeds = {batch_seed(seed, iteration, batch) for seed in range(5) for iteration in range(5) for batch in range(40)}
    assert len(seeds) == 5 * 5 * 40


def test_the_model_is_put_into_evaluation_mode(loaded: Loaded) -> None:
    model, tokenizer = loaded
    model.train()
    sample((model, tokenizer), 2)
    assert not model.training
