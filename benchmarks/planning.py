"""Rows planned per second and the memory it takes, beside two samplers that many pipelines use.

Every contender does the same job: rows of six domains, drawn with weights (.1 .2 .3 .1 .2 .1), to be had one after the
other. Each runs in a process of its own, so that its peak memory is its own. Memory is what the job adds to the
interpreter with its libraries loaded.

    python benchmarks/planning.py [--rows 1000000 100000000] [--draws 1000000]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

WEIGHTS = (0.1, 0.2, 0.3, 0.1, 0.2, 0.1)
BATCH = 128


def versatune_plan(rows: int, draws: int) -> int:
    """Global batches of 128 rows from `Plan`; the weights may change before any of them."""
    import numpy as np

    from versatune_plugin.mixture.schedule import Schedule
    from versatune_plugin.sampling.plan import Plan

    plan = Plan("abcdef", [rows // 6] * 6, Schedule(0, np.array(WEIGHTS)), BATCH, 1)
    drawn = 0
    while drawn < draws:
        drawn += len(plan.advance().rows)
    return drawn


def weighted_random_sampler(rows: int, draws: int) -> int:
    """torch's sampler, a weight for every row, with replacement; the weights are fixed."""
    import torch
    from torch.utils.data import WeightedRandomSampler

    share = rows // 6
    weights = torch.cat([torch.full((share,), weight / share, dtype=torch.float64) for weight in WEIGHTS])
    generator = torch.Generator().manual_seed(1)
    return sum(1 for _ in WeightedRandomSampler(weights, draws, replacement=True, generator=generator))


def interleave_datasets(rows: int, draws: int) -> int:
    """Hugging Face datasets' interleaving of six data sets of numbers; the weights are fixed."""
    import numpy as np
    import pyarrow as pa
    from datasets import Dataset
    from datasets import interleave_datasets as interleave

    parts = [Dataset(pa.table({"row": np.arange(rows // 6, dtype=np.int32)})) for _ in WEIGHTS]
    mixed = interleave(parts, probabilities=list(WEIGHTS), seed=1, stopping_strategy="first_exhausted")
    drawn = 0
    for batch in mixed.with_format("numpy").iter(batch_size=BATCH):
        drawn += len(batch["row"])
        if drawn >= draws:
            break
    return drawn


def _warm(contender: Callable[[int, int], int]) -> None:
    contender(600, 600)


def _measure(contender: Callable[[int, int], int], rows: int, draws: int, answers: Any) -> None:
    try:
        _warm(contender)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        drawn = contender(rows, draws)
        seconds = time.perf_counter() - began
        added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        answers.put(
            {"rows_per_second": drawn / seconds, "microseconds_a_row": 1e6 * seconds / drawn, "added_mib": added}
        )
    except Exception as error:
        answers.put({"failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"})


def measured(contender: Callable[[int, int], int], rows: int, draws: int, limit: float) -> dict[str, Any]:
    """Run a contender in a process of its own for at most ``limit`` seconds."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=_measure, args=(contender, rows, draws, answers))
    process.start()
    process.join(limit)
    if process.is_alive():
        process.kill()
        process.join()
        return {"failed": f"not done after {limit:.0f} s"}
    return answers.get(timeout=5) if process.exitcode == 0 else {"failed": f"ended with {process.exitcode}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10**6, 10**8])
    parser.add_argument("--draws", type=int, default=10**6)
    parser.add_argument("--limit", type=float, default=120)
    options = parser.parse_args()
    for rows in options.rows:
        for contender in (versatune_plan, weighted_random_sampler, interleave_datasets):
            result = measured(contender, rows, options.draws, options.limit)
            print(json.dumps({"contender": contender.__name__, "rows": rows, "draws": options.draws, **result}))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
