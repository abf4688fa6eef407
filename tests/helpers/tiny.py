"""A language model and data small enough to train in a second, made on the spot."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WORDS = {
    "code": "def return lambda tuple list index slice yield import raise",
    "law": "court clause statute tort appeal plaintiff consent lien estate writ",
    "medicine": "fever dose lesion artery biopsy renal chronic tumour vaccine pulse",
}

LORA = {
    "adapter": "lora",
    "lora_r": 4,
    "lora_alpha": 8,
    "lora_dropout": 0.1,
    "lora_target_linear": True,
    **{f"lora_{part}_kernel": False for part in ("mlp", "qkv", "o")},  # these need CUDA
}


def write_model(
    path: Path, *, seed: int = 0, hidden: int = 32, dropout: float = 0.0, merges: Sequence[tuple[str, str]] = ()
) -> Path:
    """Save a two-layer Llama with random weights and a byte-level tokenizer; ``merges`` make it another tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {
        token: index for index, token in enumerate(["<s>", "</s>", "<pad>", *alphabet, *map("".join, merges)])
    }
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=512
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=2,
            attention_dropout=dropout,
        )
    )
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def write_rows(folder: Path, sizes: Mapping[str, int], *, seed: int = 0) -> dict[str, Path]:
    """Alpaca rows of the domains named, each from its own words; no two alike."""
    files = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in sizes.items():
        draw = random.Random(f"{seed} {name}")
        words = WORDS.get(name, name + " some words of it").split()
        lines = []
        for number in range(size):
            answer = " ".join(draw.choice(words) for _ in range(draw.randint(2, 8)))
            row = {"instruction": f"{name} question {number}", "input": "", "output": f"{number} {answer}"}
            lines.append(json.dumps(row))
        files[name] = folder / f"{name}.jsonl"
        files[name].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return files


def config(model: Path, files: Mapping[str, Path], out: Path, prepared: Path, **changes: Any) -> dict[str, Any]:
    """An Axolotl configuration that trains on a CPU; ``changes`` replace its keys."""
    return {
        "base_model": str(model),
        "plugins": ["versatune_plugin.VersaTunePlugin"],
        "datasets": [
            {"path": str(file), "ds_type": "json", "type": "alpaca", "domain": name} for name, file in files.items()
        ],
        "dataset_prepared_path": str(prepared),
        "output_dir": str(out),
        "sequence_len": 256,
        "micro_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "num_epochs": 1,
        "learning_rate": 1e-3,
        "lr_scheduler": "cosine",
        "optimizer": "adamw_torch",
        "bf16": False,
        "fp16": False,
        "tf32": False,
        "attn_implementation": "sdpa",
        "val_set_size": 0,
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_steps": 1,
        "seed": 7,
        **changes,
    }
