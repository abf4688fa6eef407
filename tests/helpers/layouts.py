"""The same rows in the formats that Axolotl reads: each gives an entry of ``datasets:`` and writes its file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import pre_tokenizers

Row = tuple[str, str]
PREAMBLE = "What follows is one of the records of an archive; read it with care, since the answer depends on it. "
SYSTEM = (
    "You are a helpful, respectful and honest assistant.",
    "You answer as an expert would, clearly and at length.",
    "Think step by step, then give the final answer in one line.",
)


def _turns(row: Row, role: str, said: str, names: Sequence[str]) -> list[dict[str, str]]:
    return [{role: names[0], said: row[0]}, {role: names[1], said: row[1]}]


def _sharegpt(number: int, row: Row) -> dict[str, Any]:
    turns = _turns(row, "from", "value", ("human", "gpt"))
    return {
        "id": f"r{number}",
        "source": "web",
        "conversations": [{"from": "system", "value": SYSTEM[number % 3]}, *turns],
    }


def _tokens(text: str) -> list[int]:
    """As the tokenizer of `tests.helpers.tiny.write_model` has them: three special tokens, then the sorted alphabet."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    parts = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return [3 + alphabet.index(symbol) for part, _ in parts for symbol in part]


CHAT = {"type": "chat_template", "chat_template": "chatml", "field_messages": "messages"}
CUSTOM = {
    "field_instruction": "q",
    "field_output": "a",
    "format": PREAMBLE + "{instruction} {input} => ",
    "no_input_format": PREAMBLE + "{instruction} => ",
}
SHAREGPT = {
    "type": "chat_template",
    "chat_template": "llama3",
    "field_messages": "conversations",
    "message_property_mappings": {"role": "from", "content": "value"},
}
LAYOUTS: dict[str, tuple[dict[str, Any], Callable[[int, Row], dict[str, Any]]]] = {
    "alpaca": ({"type": "alpaca"}, lambda _, row: {"output": row[1], "instruction": row[0], "input": ""}),
    "chat": (CHAT, lambda _, row: {"messages": _turns(row, "role", "content", ("user", "assistant"))}),
    "completion": ({"type": "completion", "field": "body"}, lambda _, row: {"body": f"{row[0]}\n{row[1]}"}),
    "gemma": (
        CHAT | {"chat_template": "gemma"},
        lambda _, row: {"messages": _turns(row, "role", "content", ("user", "assistant"))},
    ),
    "sharegpt": (SHAREGPT, _sharegpt),
    "segments": (
        {"type": "input_output"},
        lambda _, row: {
            "segments": [
                {"label": False, "text": f"<s>[INST] {row[0]} [/INST] "},
                {"label": True, "text": f"{row[1]}</s>"},
            ]
        },
    ),
    "custom": ({"type": CUSTOM}, lambda number, row: {"q": row[0], "a": row[1], "lang": "en", "number": str(number)}),
    "preamble": ({"type": "completion"}, lambda _, row: {"text": f"{PREAMBLE}USER: {row[0]} ASSISTANT: {row[1]}"}),
    "tokens": (
        {"type": ""},
        lambda _, row: {
            "input_ids": (ids := _tokens(f"### Q:\n{row[0]}\n### A:\n{row[1]}")),
            "labels": ids,
            "attention_mask": [1] * len(ids),
        },
    ),
}


def entry(layout: str, domain: str, rows: Sequence[Row], folder: Path) -> dict[str, Any]:
    """An entry of ``datasets:``; its file is written into the folder."""
    settings, made = LAYOUTS[layout]
    path = folder / f"{domain}.{layout}.jsonl"
    path.write_text(
        "\n".join(json.dumps(made(number, row)) for number, row in enumerate(rows)) + "\n", encoding="utf-8"
    )
    return {"path": str(path), "ds_type": "json", "domain": domain, **settings}
