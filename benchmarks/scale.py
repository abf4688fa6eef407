"""The plan alone at sizes that no run here could have: memory, time a step, state, and the way to any step.

No model and no rows, only their numbers. Every line is measured in a process of its own; times are the median of single
steps. The cost of a rank is the whole plan, for each rank plans the whole global batch.

    python benchmarks/scale.py [--shares tokens bins]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from versatune_plugin.data.domains import RowTokens
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.sampling.batch_plan import BatchPlan
from versatune_plugin.sampling.bins import Bins
from versatune_plugin.sampling.row_plan import RowPlan
from versatune_plugin.sampling.token_plan import Rows, TokenPlan

LAST_STEP, BIN_TOKENS = 10**6, 4096


@dataclass(frozen=True)
class Case:
    """A plan to measure.

    Attributes:
        rows: of all domains.
        domains: how many.
        batch: rows, or bins, of a global batch.
        shares: of which the weights are: of ``rows``, of ``tokens``, or of tokens in ``bins`` of 4096.
    """

    rows: int
    domains: int
    batch: int
    shares: str = "rows"

    def plan(self) -> BatchPlan:
        """The plan at step 0, its weights from 1 to 9 shares; rows have 30 to 4096 tokens, a geometric mean of 350."""
        weights = 1.0 + np.arange(self.domains) % 9
        names = [f"domain-{number}" for number in range(self.domains)]
        size, schedule = self.rows // self.domains, WeightSchedule(0, weights / weights.sum())
        if self.shares == "rows":
            return RowPlan(names, [size] * self.domains, schedule, self.batch, 1)
        draw = np.random.default_rng(1)
        lengths = [np.clip(draw.lognormal(np.log(350), 1, size), 30, BIN_TOKENS).astype(np.uint32) for _ in names]
        tokens = [RowTokens(one, one // 2) for one in lengths]
        if self.shares == "tokens":
            return TokenPlan(names, tokens, schedule, Rows(self.batch), 1)
        return TokenPlan(names, tokens, schedule, Bins(self.batch, BIN_TOKENS), 1)

    def state(self, plan: BatchPlan) -> dict[str, Any]:
        """A state at the last step: what a checkpoint holds there."""
        drawn = np.floor(LAST_STEP * self.batch * plan.schedule.weights_at(0)).astype(np.int64)
        counted = dict(zip(plan.domains, drawn.tolist(), strict=True))
        state = {"step": LAST_STEP, "credit": dict.fromkeys(plan.domains, 0.0), "cursor": counted, "drawn": counted}
        return state if self.shares == "rows" else state | {"ahead": {name: [] for name in plan.domains}}


CASES = (
    *(Case(10**power, 6, 128) for power in range(4, 10)),
    *(Case(10**9, domains, 128) for domains in (1, 10, 100, 1000)),
    Case(10**9, 6, 8000),
    Case(10**9, 1000, 8000),
    *(
        Case(10**7, domains, batch, shares)
        for shares, batches in (("tokens", (128, 8000)), ("bins", (16, 128, 8000)))
        for batch in batches
        for domains in (6, 1000)
    ),
)


def milliseconds(began: float) -> float:
    """Since ``began``, processor time."""
    return 1e3 * (time.process_time() - began)


def timed_steps(plan: BatchPlan, rows: int) -> tuple[float, float]:
    """Milliseconds of the first step, and of one of the next that draw so many rows together."""
    began = time.process_time()
    plan.advance()
    first = milliseconds(began)
    # Blocks are computed for many steps at once, so single steps are timed over a stretch of them.
    steps = max(rows // plan.batch_size, 16)
    stretches = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(steps):
            plan.advance()
        stretches.append(milliseconds(began) / steps)
    return first, median(stretches)


def peak_mib() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(case: Case, answers: Any) -> None:
    """One line of the table."""
    Case(600, 6, 6).plan().advance()
    before = peak_mib()
    began = time.process_time()
    plan = case.plan()
    built = milliseconds(began)
    rows = 100_000 if case.shares == "rows" else 1000
    first, step = timed_steps(plan, rows)
    state = json.dumps(case.state(plan))
    began = time.process_time()
    plan.load_state_dict(json.loads(state))
    sought = milliseconds(began)
    first_there, step_there = timed_steps(plan, rows)
    answers.put(
        {
            "rows": f"{case.rows:.0e}",
            "domains": case.domains,
            "batch": case.batch,
            "shares of": case.shares,
            "build": built,
            "first step": first,
            "a step": step,
            "microseconds a row": 1e3 * step / case.batch,
            "state, bytes": len(json.dumps(plan.state_dict())),
            "load at 10^6": sought,
            "first step there": first_there,
            "a step there": step_there,
            "added MiB": peak_mib() - before,
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shares", nargs="+", default=["rows", "tokens", "bins"])
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    for number, case in enumerate(case for case in CASES if case.shares in options.shares):
        process = context.Process(target=measure, args=(case, answers))
        process.start()
        line = answers.get()
        process.join()
        if number == 0:
            print("times in milliseconds\n| " + " | ".join(line) + " |\n|" + "---|" * len(line))
        cells = (f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in line.values())
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
