"""Configurations as people have them, at random: formats, options, splits, packing, LoRA, duplicates, masked rows."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

from tests.helpers.tiny import LORA, WORDS

DOMAINS = ("law", "code", "medicine", "general")
# The host's ways to say one thing.
FORMATS: dict[str, dict[str, Any]] = {
    "alpaca": {"type": "alpaca"},
    "completion": {"type": "completion", "field": "body"},
    "chat": {"type": "chat_template", "roles_to_train": ["assistant"]},
    "sharegpt": {
        "type": "chat_template",
        "field_messages": "conversations",
        "message_property_mappings": {"role": "from", "content": "value"},
    },
    "segments": {"type": "input_output"},
    "own": {
        "type": {
            "field_instruction": "q",
            "field_output": "a",
            "format": "[Q] {instruction} [A] ",
            "no_input_format": "[Q] {instruction} [A] ",
        }
    },
}
CHAT_TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}{{ eos_token }}{% endfor %}"
)


def row(style: str, question: str, answer: str, masked: bool) -> dict[str, Any]:
    """A row in one of the formats; a masked one has no token to learn, where the format can say so."""
    if style == "alpaca":
        return {"instruction": question, "input": "", "output": answer}
    if style == "completion":
        return {"body": f"{question} {answer}"}
    if style == "segments":
        return {"segments": [{"label": False, "text": question}, {"label": not masked, "text": f" {answer}</s>"}]}
    if style == "own":
        return {"q": question, "a": answer}
    names = ("from", "value") if style == "sharegpt" else ("role", "content")
    turns = [("user", question), ("critic" if masked else "assistant", answer)]
    return {
        "conversations" if style == "sharegpt" else "messages": [dict(zip(names, turn, strict=True)) for turn in turns]
    }


def configuration(seed: int, model: Path, folder: Path) -> dict[str, Any]:
    """A configuration and its files in ``folder``, decided by ``seed`` alone."""
    draw = random.Random(seed)
    names = draw.sample(DOMAINS, draw.choice((2, 2, 3, 4)))
    letters = iter(string.ascii_uppercase)
    entries, contents = [], []
    for name in names:
        for _ in range(draw.choice((1, 1, 1, 2))):
            style, letter = draw.choice(list(FORMATS)), next(letters)
            words = WORDS.get(name, "some words about all and any of it").split()
            rows = []
            for number in range(draw.choice((6, 12, 25, 40, 60))):
                answer = " ".join(draw.choice(words) for _ in range(draw.choice((1, 3, 8, 20))))
                rows.append((f"Q{letter}{number:04}Q {name}", answer, draw.random() < 0.15))
            contents.append((style, rows))
            file = folder / f"{name}.{letter}.jsonl"
            entries.append({"path": str(file), "ds_type": "json", "domain": name, **FORMATS[style]})
    if draw.random() < 0.5 and len(contents) > 1:
        # The same rows in the same format under another label.
        (style, rows), (other, more) = draw.sample(contents, 2)
        if style == other:
            more += draw.sample(rows, len(rows) // 3)
    for entry, (style, rows) in zip(entries, contents, strict=True):
        if draw.random() < 0.3:
            rows += draw.sample(rows, len(rows) // 4)
        lines = [json.dumps(row(style, *one)) for one in rows]
        Path(entry["path"]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    packed = draw.random() < 0.35
    cfg: dict[str, Any] = {
        "base_model": str(model),
        "plugins": ["versatune_plugin.VersaTunePlugin", "tests.helpers.campaign_spy.CampaignSpyPlugin"],
        "datasets": entries,
        "chat_template": "jinja",
        "chat_template_jinja": CHAT_TEMPLATE,
        "dataset_prepared_path": str(folder / "prepared"),
        "output_dir": str(folder / "out"),
        "sequence_len": draw.choice((128, 256, 512)),
        "micro_batch_size": draw.choice((1, 2, 3)),
        "gradient_accumulation_steps": draw.choice((1, 2, 3)),
        "learning_rate": 1e-3,
        "optimizer": "adamw_torch",
        "lr_scheduler": draw.choice(("cosine", "linear", "constant")),
        "bf16": False,
        "fp16": False,
        "tf32": False,
        "attn_implementation": "sdpa",
        "save_strategy": "no",
        "eval_strategy": "no",
        "logging_steps": 1,
        "seed": draw.randint(0, 99),
    }
    cfg |= draw.choice(
        ({"max_steps": draw.randint(1, 12)}, {"num_epochs": draw.choice((0.5, 1, 2))}, {"max_steps": -1})
    )
    cfg |= draw.choice(({}, {}, {"warmup_steps": 2}, {"warmup_ratio": 0.2}))
    if packed:
        cfg |= {"sample_packing": True} | draw.choice(({}, {"eval_sample_packing": False}))
    if draw.random() < 0.5:
        cfg |= {"val_set_size": draw.choice((0.05, 0.2, 1, 3, 10, 40)), "eval_strategy": draw.choice(("epoch", "no"))}
    if draw.random() < 0.25:
        cfg |= LORA
    for option, values, chance in (
        ("excess_length_strategy", ("truncate", "drop"), 0.4),
        ("dataset_exact_deduplication", (True,), 0.25),
        ("train_on_inputs", (True,), 0.2),
        ("gradient_checkpointing", (True,), 0.15),
        ("weight_decay", (0.1,), 0.2),
        ("max_grad_norm", (0.5,), 0.2),
        ("min_sample_len", (40,), 0.15),
        ("dataloader_num_workers", (2,), 0.1),
        ("pad_to_sequence_len", (True,), 0.15),
        ("dataset_num_proc", (1,), 0.2),
        ("group_by_length", (False,), 0.1),
        ("shuffle_merged_datasets", (True,), 0.2),
    ):
        if draw.random() < chance:
            cfg[option] = draw.choice(values)
    if draw.random() < 0.1:
        cfg |= {"dataset_shard_num": 2, "dataset_shard_idx": draw.choice((0, 1))}
    losses = {name: draw.uniform(0.5, 4) for name in names}
    section: dict[str, Any] = draw.choice(
        (
            {"mixture": "uniform"},
            {"mixture": "proportional"},
            {"mixture": "temperature", "tau": 3},
            {"mixture": "constant", "knowledge": {name: draw.uniform(0.1, 1) for name in names}},
            {"mixture": "versatune", "knowledge": "uniform", "reference": losses, "update_steps": 2},
            {"mixture": "odm", "update_steps": 1},
            {"mixture": "skills", "reward": draw.choice(("cossim", "diff")), "update_steps": 3, "batches": "mixed"},
        )
    )
    section["heldout"] = draw.choice((1, 2, 4)) if section["mixture"] != "uniform" else draw.choice((0, 2, 4))
    if not packed and draw.random() < 0.3:
        section["unit"] = "tokens"
    if draw.random() < 0.2:
        section["samples_per_epoch"] = draw.choice((10, 40))
    return {**cfg, "versatune": section}


def of_the_host(cfg: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same configuration for Axolotl alone."""
    plain = {key: value for key, value in cfg.items() if key != "versatune"}
    plain["plugins"] = ["tests.helpers.campaign_spy.CampaignSpyPlugin"]
    plain["datasets"] = [{key: value for key, value in one.items() if key != "domain"} for one in cfg["datasets"]]
    return plain | {"output_dir": str(folder / "host"), "dataset_prepared_path": str(folder / "host-prepared")}
