"""Texts from nothing but the start token, by a small random Llama."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from tests.conftest import Tiny
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge.generation import BaseModelSampler, StartToken, batch_seed

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


def test_equal_seeds_give_equal_texts_and_a_text_depends_on_its_batch_alone(loaded: Loaded) -> None:
    sampler = BaseModelSampler(*loaded, max_new_tokens=20, temperature=1.0)
    first = sampler.generate(8, seed=1)
    other = sampler.generate(8, seed=2)
    assert sampler.generate(8, seed=1) == first
    assert other != first
    assert len({text.text for text in first}) > 1


def test_a_text_ends_before_its_end_token(loaded: Loaded) -> None:
    model, tokenizer = loaded
    sampler = BaseModelSampler(model, tokenizer, max_new_tokens=30, temperature=1.0)
    texts = sampler.generate(64, seed=3)
    lengths = {text.tokens for text in texts}
    assert min(lengths) < max(lengths) <= 30
    assert not any("</s>" in text.text or "<s>" in text.text for text in texts)
    # The same draws without any end token: what was cut off is what follows the first end token.
    torch.manual_seed(3)
    prompt = torch.zeros((64, 1), dtype=torch.long)
    raw = model.generate(
        input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=model.generation_config
    )
    for text, row in zip(texts, raw[:, 1:].tolist(), strict=True):
        expected = row[: row.index(1)] if 1 in row else row
        assert text.tokens == len(expected)
        assert text.text == tokenizer.decode(expected, skip_special_tokens=True)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_first_token_follows_the_models_own_distribution(loaded: Loaded, temperature: float) -> None:
    model, tokenizer = loaded
    # What a chat model's files may ask for must not show.
    model.generation_config.update(top_k=1, top_p=0.1, repetition_penalty=5.0, temperature=9.0, do_sample=True)
    shares = first_token_shares(model, temperature)
    sampler = BaseModelSampler(model, tokenizer, max_new_tokens=1, temperature=temperature)
    drawn = torch.cat([_drawn(sampler, seed) for seed in range(4)])
    counts = np.bincount(drawn.numpy(), minlength=len(shares))
    often = shares * len(drawn) >= 5
    observed = np.append(counts[often], counts[~often].sum())
    expected = np.append(shares[often], shares[~often].sum()) * len(drawn)
    assert chisquare(observed, expected).pvalue > 1e-3
    wrong = first_token_shares(model, 0.75)
    wrong = np.append(wrong[often], wrong[~often].sum()) * len(drawn)
    assert chisquare(observed, wrong).pvalue < 1e-6


def _drawn(sampler: BaseModelSampler, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    prompt = torch.zeros((2000, 1), dtype=torch.long)
    given = sampler._model.generate(
        input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=sampler._config
    )
    return given[:, 1]


def test_several_end_tokens_of_the_models_settings_count(loaded: Loaded) -> None:
    model, tokenizer = loaded
    common = int(first_token_shares(model, 1.0).argsort()[-2:].max())
    model.generation_config.eos_token_id = [1, common]
    sampler = BaseModelSampler(model, tokenizer, max_new_tokens=12, temperature=1.0)
    byte = tokenizer.decode([common])
    texts = sampler.generate(64, seed=0)
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
    BaseModelSampler(*loaded, max_new_tokens=511, temperature=1.0)
    with pytest.raises(VersaTuneError, match="has 512 positions.*at most 511"):
        BaseModelSampler(*loaded, max_new_tokens=512, temperature=1.0)


def test_every_batch_has_a_seed_of_its_own() -> None:
    seeds = {batch_seed(seed, iteration, batch) for seed in range(5) for iteration in range(5) for batch in range(40)}
    assert len(seeds) == 5 * 5 * 40


def test_the_model_is_put_into_evaluation_mode(loaded: Loaded) -> None:
    model, tokenizer = loaded
    model.train()
    BaseModelSampler(model, tokenizer, max_new_tokens=2, temperature=1.0)
    assert not model.training
