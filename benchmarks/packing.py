"""How full bins become: ours, planned one global batch at a time, against Axolotl's packing of the whole epoch.

Both pack the same real rows, once over, in their natural shares; then ours under other weights too.

    python benchmarks/packing.py --data "$VERSATUNE_DATA" --tokenizer DIR_OR_NAME
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from pathlib import Path

import numpy as np
from axolotl.utils.samplers import MultipackBatchSampler
from torch.utils.data import SequentialSampler
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from versatune_plugin.data.domains import RowTokens
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.sampling.bins import Bins
from versatune_plugin.sampling.token_plan import TokenPlan

# Axolotl's defaults (axolotl.core.training_args_base).
GROUP_SIZE, BIN_SIZE = 100_000, 200
SEED = 1
DOMAINS = ("code", "finance", "general", "law", "medicine", "science")


def row_tokens(file: Path, tokenizer: PreTrainedTokenizerBase, longest: int) -> RowTokens:
    """The lengths of a file's rows, those that are too long left out, as Axolotl leaves them out."""
    lengths, supervised = [], []
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").rstrip("\n").split("\n")]
    prompts = tokenizer([row["instruction"] + row["input"] for row in rows], add_special_tokens=False)["input_ids"]
    answers = tokenizer([row["output"] for row in rows], add_special_tokens=False)["input_ids"]
    for prompt, answer in zip(prompts, answers, strict=True):
        # About what the alpaca template and the last token add.
        length = len(prompt) + len(answer) + 40
        if length <= longest:
            lengths.append(length)
            supervised.append(len(answer) + 1)
    return RowTokens(np.array(lengths, dtype=np.uint32), np.array(supervised, dtype=np.uint32))


def of_axolotl(tokens: list[RowTokens], bins: int, bin_tokens: int) -> tuple[float, float]:
    """Fill of the first-fit packing of all rows, in random order, and seconds a batch."""
    lengths = np.concatenate([one.lengths for one in tokens]).astype(np.int64)
    lengths = lengths[np.random.default_rng(SEED).permutation(len(lengths))]
    began = time.perf_counter()
    sampler = MultipackBatchSampler(
        SequentialSampler(range(len(lengths))),
        batch_size=1,
        batch_max_len=bin_tokens,
        lengths=lengths,
        packing_efficiency_estimate=1.0,
        group_size=GROUP_SIZE,
        bin_size=BIN_SIZE,
        num_processes=1,
    )
    batches = sampler.generate_batches(set_stats=True)
    seconds = time.perf_counter() - began
    used = sum(int(lengths[one].sum()) for batch in batches for one in batch)
    count = sum(len(batch) for batch in batches)
    return used / (count * bin_tokens), seconds / (count / bins)


def of_ours(tokens: list[RowTokens], weights: np.ndarray, bins: int, bin_tokens: int) -> tuple[float, float, float]:
    """Mean and least fill of one pass's worth of batches, and seconds a batch."""
    names, container = [str(n) for n in range(len(tokens))], Bins(bins, bin_tokens)
    plan = TokenPlan(names, tokens, WeightSchedule(0, weights), container, SEED)
    steps = max(sum(int(one.lengths.sum()) for one in tokens) // container.capacity, 1)
    began = time.perf_counter()
    fills = [plan.advance().fill for _ in range(steps)]
    return float(np.mean(fills)), min(fills), (time.perf_counter() - began) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True)
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    files = [arguments.data / "sft" / f"{name}.jsonl" for name in DOMAINS]
    print(
        "| bin | bins | rows | Axolotl: fill | ours: fill (least) | ours, uniform tokens | ms a batch: Axolotl, ours |"
    )
    print("|---|---|---|---|---|---|---|")
    for bin_tokens in (512, 4096):
        tokens = [row_tokens(file, tokenizer, bin_tokens) for file in files]
        learnt = np.array([float(one.supervised.sum()) for one in tokens])
        for bins in (4, 16, 128):
            theirs, their_seconds = of_axolotl(tokens, bins, bin_tokens)
            ours, least, seconds = of_ours(tokens, learnt / learnt.sum(), bins, bin_tokens)
            uniform, _, _ = of_ours(tokens, np.full(len(tokens), 1 / len(tokens)), bins, bin_tokens)
            print(
                f"| {bin_tokens} | {bins} | {sum(len(one.lengths) for one in tokens):,} | {theirs:.4f} "
                f"| {ours:.4f} ({least:.4f}) | {uniform:.4f} | {1000 * their_seconds:.2f}, {1000 * seconds:.2f} |"
            )


if __name__ == "__main__":
    main()
