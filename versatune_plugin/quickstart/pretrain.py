"""The base model of the quickstart: a small Llama, pretrained from scratch on a mixture that is known.

It stands for a model that somebody else pretrained. Since its mixture is known, what `versatune detect` finds can
be put beside the truth.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from axolotl.prompters import AlpacaPrompter
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    get_cosine_schedule_with_warmup,
)

from versatune_plugin.progress import Progress

USUAL = {"code": 0.30, "finance": 0.05, "general": 0.20, "law": 0.10, "medicine": 0.20, "science": 0.15}
"""The mixture around which a seed draws its own: uneven, as that of a base model is."""
CONCENTRATION = 30.0
LEAST = 0.02
NO_LABEL = -100


@dataclass(frozen=True)
class PretrainSettings:
    """A model of 1.1 million parameters; ``passes`` over the texts, ``batch`` rows of ``length`` tokens a step."""

    batch: int = 4
    length: int = 256
    vocabulary: int = 2048
    width: int = 128
    layers: int = 4
    heads: int = 4
    learning_rate: float = 4e-3
    warmup: int = 50
    passes: int = 1


def draw_mixture(seed: int) -> dict[str, float]:
    """A mixture for this seed: Dirichlet around `USUAL`, every domain at least `LEAST`. The shares sum to one."""
    names = sorted(USUAL)
    drawn = np.random.default_rng(seed).dirichlet([CONCENTRATION * USUAL[name] for name in names])
    return {name: LEAST + (1 - LEAST * len(names)) * float(share) for name, share in zip(names, drawn, strict=True)}


def draw_documents(
    documents: Mapping[str, Sequence[str]], mixture: Mapping[str, float], total: int, seed: int
) -> tuple[list[str], dict[str, float]]:
    """Draw ``total`` documents; a domain that is drawn more often than it has documents repeats them.

    Returns:
        The texts in random order, and the exact share of each domain **among the documents** (not the tokens): the
        truth for detection, which samples documents from the beginning-of-sequence token.
    """
    exact = {name: mixture[name] * total for name in sorted(mixture)}
    counts = {name: int(share) for name, share in exact.items()}
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[: total - sum(counts.values())]:
        counts[name] += 1
    rng = random.Random(f"{seed}:documents")
    drawn: list[str] = []
    for name, count in counts.items():
        passes, rest = divmod(count, len(documents[name]))
        drawn += [*documents[name]] * passes + rng.sample(documents[name], rest)
    rng.shuffle(drawn)
    return drawn, {name: count / total for name, count in counts.items()}


def prompts(rows: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """Fine-tuning rows as Axolotl's type ``alpaca`` puts them to a model."""
    prompter = AlpacaPrompter()
    for row in rows:
        yield from prompter.build_prompt(row["instruction"], row["input"], row["output"])


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE that puts a beginning-of-sequence token before every text, as Llama's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def pretrain(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, settings: PretrainSettings, seed: int, out: Path
) -> list[float]:
    """Pretrain on ``texts`` in their order, and save a Hugging Face directory with model and tokenizer.

    A row holds whole documents, each BOS, its tokens, EOS, and none sees another. So every document counts the same in
    what the model learns to write after BOS, which is what detection asks it. Everything is float32: a CPU without
    bfloat16 instructions is ten times slower in bfloat16. A GPU is used where one is visible.

    Returns:
        The mean loss of every step, in nats per token.
    """
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.width,
            intermediate_size=settings.width * 11 // 4,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.heads,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    ).to(device)
    documents = [[*ids[: settings.length - 1], tokenizer.eos_token_id] for ids in tokenizer(list(texts)).input_ids]
    rows = pack(documents, settings.length)
    once = [rows[first : first + settings.batch] for first in range(0, len(rows), settings.batch)]
    batches = once * settings.passes
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.1)
    warmup = min(settings.warmup, len(batches) // 4)
    schedule = get_cosine_schedule_with_warmup(optimizer, warmup, len(batches))
    losses: list[float] = []
    model.train()
    with Progress("pretraining", len(batches), "step") as progress:
        for batch in batches:
            tokens, positions, labels = (values.to(device) for values in _tensors(batch, settings.length))
            # Without an attention mask, positions that start anew show Transformers where one document ends.
            logits = model(input_ids=tokens, position_ids=positions, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            progress.note(loss=f"{losses[-1]:.2f}")
            progress.advance()
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return losses


def pack(documents: Sequence[list[int]], length: int) -> list[list[list[int]]]:
    """Put documents whole into rows of at most ``length`` tokens, about in their order: first fit among eight rows."""
    full: list[list[list[int]]] = []
    opened: list[list[list[int]]] = []
    for document in documents:
        row = next((row for row in opened if sum(map(len, row)) + len(document) <= length), None)
        if row is None:
            if len(opened) == 8:
                full.append(opened.pop(0))
            row = []
            opened.append(row)
        row.append(document)
    return full + opened


def _tensors(rows: Sequence[list[list[int]]], length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, positions and labels, each of shape (rows, length); a document's last token predicts nothing."""
    tokens = torch.zeros((len(rows), length), dtype=torch.long)
    positions, labels = torch.zeros_like(tokens), torch.full_like(tokens, NO_LABEL)
    for number, row in enumerate(rows):
        first = 0
        for document in row:
            ids, end = torch.tensor(document), first + len(document)
            tokens[number, first:end] = ids
            positions[number, first:end] = torch.arange(len(document))
            labels[number, first : end - 1] = ids[1:]
            first = end
        positions[number, first:] = torch.arange(length - first)
    return tokens, positions, labels
