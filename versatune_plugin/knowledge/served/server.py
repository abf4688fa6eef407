"""What a server is and serves, and how sampling is asked of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from versatune_plugin.errors import ConfigurationError, printable
from versatune_plugin.knowledge.served.client import Servers
from versatune_plugin.schema.json_text import parse_json
from versatune_plugin.schema.wording import counted

VLLM, SGLANG, LLAMA_CPP, OTHER = "vLLM", "SGLang", "llama.cpp", "other"
_OWNERS = {"vllm": VLLM, "sglang": SGLANG, "llamacpp": LLAMA_CPP}
MOST_NAMES = 8
# Where weights come from (vLLM; SGLang), and what they are like (llama.cpp).
_PATHS, _TRAITS = ("root", "model_path"), ("n_params", "n_vocab", "size", "ftype")
# What decides how tokens are drawn, beside temperature and top-p. Servers fill what a request leaves open from the
# model's own generation settings (vLLM, SGLang) or from their own defaults (llama.cpp: top-k 40, top-p .95, min-p .05).
PLAIN_SAMPLING: Mapping[str, Mapping[str, float]] = {
    VLLM: {"top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0},
    SGLANG: {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
    LLAMA_CPP: {
        "top_k": 0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "typical_p": 1.0,
        "top_n_sigma": -1.0,
        "xtc_probability": 0.0,
        "dry_multiplier": 0.0,
        "dynatemp_range": 0.0,
        "mirostat": 0,
    },
    OTHER: {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0},
}
# A text whose tokens tell vocabularies apart.
SENTENCE = "Der Käufer (§ 433 BGB) zahlt 1,234.50 EUR; def f(x): return x**2 — 東京"


@dataclass(frozen=True)
class Server:
    """A served model.

    Attributes:
        kind: of the server: ``vLLM``, ``SGLang``, ``llama.cpp`` or ``other``.
        model: the name under which the model is asked for.
        facts: what the server says about itself and the model, as plain JSON.
        weights: of them, what tells weights apart that are served under one name; wherever they lie.
    """

    kind: str
    model: str
    facts: Mapping[str, Any]
    weights: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """What it is known by where answers are kept: the name, and what tells weights of that name apart."""
        return " ".join([self.model, *(f"{name}={value}" for name, value in self.weights.items())])

    def shown(self) -> str:
        """What it serves, for messages."""
        about = [self.kind, *(f"{name}: {value}" for name, value in self.weights.items())]
        return printable(f"{self.model} ({', '.join(about)})")


def served_model(servers: Servers, model: str | None, option: str) -> Server:
    """What all the servers serve.

    Args:
        servers: of one model.
        model: its name there, or None for the only one that they have.
        option: what names the model on the command line, for messages.

    Raises:
        ConfigurationError: no such model, several to choose from, or servers that serve different things.
    """
    found = [_served(servers, url, model, option) for url in servers.urls]
    for url, other in zip(servers.urls[1:], found[1:], strict=True):
        if (other.kind, other.model, other.weights) != (found[0].kind, found[0].model, found[0].weights):
            raise ConfigurationError(
                f"{servers.urls[0]} serves {found[0].shown()}, but {url} serves {other.shown()}: servers that share "
                "the work serve one model, alike"
            )
    return found[0]


def sampling(server: Server, temperature: float) -> dict[str, Any]:
    """Every parameter of the sampling, so that none is filled in by the server.

    Args:
        server: what it is decides the names.
        temperature: 1 for the model's own distribution.
    """
    return {
        "temperature": temperature,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        **PLAIN_SAMPLING[server.kind],
    }


def server_tokens(servers: Servers, url: str, server: Server, text: str) -> list[int] | None:
    """A text's tokens by the server's tokenizer, special tokens left out; None where it does not say.

    Args:
        servers: among them
        url: which is asked.
        server: what it is.
        text: any.
    """
    if server.kind not in (VLLM, LLAMA_CPP):
        return None
    body = {"content": text, "add_special": False} if server.kind == LLAMA_CPP else None
    body = body or {"model": server.model, "prompt": text, "add_special_tokens": False}
    found = servers.tell(url, "tokenize", body)
    tokens = None if found is None else found.get("tokens")
    return (
        [int(one) for one in tokens] if isinstance(tokens, list) and all(type(one) is int for one in tokens) else None
    )


def _served(servers: Servers, url: str, model: str | None, option: str) -> Server:
    listed, headers = servers.look(url, "models")
    cards = listed.get("data") if listed is not None else None
    cards = [card for card in cards if isinstance(card, Mapping)] if isinstance(cards, Sequence) else []
    names = [card["id"] for card in cards if isinstance(card.get("id"), str) and _can_be_kept(card["id"])]
    chosen = model or (names[0] if len(names) == 1 else None)
    if chosen is None:
        raise ConfigurationError(f"{url} {_serves(names)}: name the model with {option}")
    card = next((card for card in cards if str(card.get("id")).split("/")[-1] == chosen.split("/")[-1]), None)
    if names and card is None:
        raise ConfigurationError(f"{url} {_serves(names)}, but {option} is {chosen!r}: name one that it serves")
    kind = _OWNERS.get(str((card or {}).get("owned_by")), OTHER)
    if kind == OTHER and headers.get("server") == "llama.cpp":
        kind = LLAMA_CPP
    facts = {"model": chosen, **_plain(card or {}, ("root", "max_model_len", "meta")), **_of_kind(servers, url, kind)}
    return Server(kind, chosen, {"kind": kind, **facts}, _weights(facts))


def _weights(facts: Mapping[str, Any]) -> dict[str, Any]:
    # A folder's own name, or a model's without its owner: a model may lie somewhere else on each machine.
    paths = {name: PurePosixPath(facts[name]).name for name in _PATHS if isinstance(facts.get(name), str)}
    return {**paths, **_plain(facts.get("meta"), _TRAITS)}


def _of_kind(servers: Servers, url: str, kind: str) -> dict[str, Any]:
    if kind == VLLM:
        return _plain(servers.look(url, "version", of_api=False)[0] or {}, ("version",))
    if kind == SGLANG:
        info = servers.look(url, "get_server_info", of_api=False)[0] or {}
        return _plain(info, ("version", "model_path", "sampling_defaults", "context_length"))
    if kind == LLAMA_CPP:
        props = servers.look(url, "props", of_api=False)[0] or {}
        settings = props.get("default_generation_settings")
        defaults = settings.get("params") if isinstance(settings, Mapping) else None
        own = _plain(defaults, ("temperature", "top_k", "top_p", "min_p", "repeat_penalty"))
        return {**_plain(props, ("build_info", "model_ftype", "total_slots")), "its_own_sampling": own}
    return {}


def _plain(found: Any, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        return {}
    kept = {name: found[name] for name in names if isinstance(found.get(name), str | int | float | dict)}
    return {name: value for name, value in kept.items() if _can_be_kept(value)}


def _can_be_kept(value: Any) -> bool:
    """Whether a file of ours can hold it: no half characters, no NaN, no number or depth beyond what we read."""
    try:
        parse_json(json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


def _serves(names: Sequence[str]) -> str:
    if not names:
        return "does not say which models it serves"
    shown = ", ".join(printable(name) for name in names[:MOST_NAMES])
    return f"serves {counted(len(names), 'model')} ({shown}{', ...' if len(names) > MOST_NAMES else ''})"
