"""From a checkpoint to the first batch: loading the plan's state, against drawing again what was trained on already.

The usual way to resume is accelerate's `skip_first_batches`, which the trainers of Transformers and Axolotl use: the
sampler draws every batch again, and those before the checkpoint are dropped. It is timed around torch's
WeightedRandomSampler and around our own plan; no row is read in either. Weights that moved during the run would make
what is drawn again differ from what was trained on; they stay the same here, and every way ends at the right batch.

    python benchmarks/resume.py [--steps 1000 10000 100000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from statistics import median

import numpy as np
import torch
from accelerate.data_loader import skip_first_batches
from torch.utils.data import BatchSampler, DataLoader, Sampler, WeightedRandomSampler

from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.sampling.row_plan import RowPlan

WEIGHTS = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.1])
SHARE, BATCH = 166_666, 128


def plan() -> RowPlan:
    """Global batches of a million rows in six domains."""
    return RowPlan("abcdef", [SHARE] * 6, WeightSchedule(0, WEIGHTS), BATCH, 1)


class PlanSampler(Sampler[list[int]]):
    """The plan from its first batch on, with no state."""

    def __iter__(self) -> Iterator[list[int]]:
        planned = plan()
        for _ in count():
            step = planned.advance()
            yield (step.domains * SHARE + step.rows).tolist()


def loader(sampler: Sampler[list[int]]) -> DataLoader[int]:
    """A loader that hands over row numbers."""
    return DataLoader(range(6 * SHARE), batch_sampler=sampler)  # type: ignore[arg-type]


def weighted_random_sampler(steps: int) -> BatchSampler:
    """torch's sampler over as many batches as it takes."""
    weights = torch.from_numpy(WEIGHTS / SHARE).repeat_interleave(SHARE)
    generator = torch.Generator().manual_seed(1)
    return BatchSampler(WeightedRandomSampler(weights, (steps + 1) * BATCH, generator=generator), BATCH, False)


def state_at(steps: int) -> str:
    """What a checkpoint after so many steps holds."""
    planned = plan()
    for _ in range(steps):
        planned.advance()
    return json.dumps(planned.state_dict())


def milliseconds(resume: Callable[[], object]) -> float:
    """Processor time."""
    began = time.process_time()
    resume()
    return 1e3 * (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[10**3, 10**4, 10**5])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for steps in options.steps:
        state = state_at(steps)

        def from_state(state: str = state) -> list[int]:
            planned = plan()
            planned.load_state_dict(json.loads(state))
            step = planned.advance()
            return list((step.domains * SHARE + step.rows).tolist())

        def skipping_plan(steps: int = steps) -> list[int]:
            return list(next(iter(skip_first_batches(loader(PlanSampler()), steps))).tolist())

        def skipping_sampler(steps: int = steps) -> list[int]:
            return list(next(iter(skip_first_batches(loader(weighted_random_sampler(steps)), steps))).tolist())

        assert from_state() == skipping_plan()
        ways = {
            "state of the plan": from_state,
            "skip_first_batches, plan": skipping_plan,
            "skip_first_batches, WeightedRandomSampler": skipping_sampler,
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                times[name].append(milliseconds(way))
        for name, rounds in times.items():
            print(f"step {steps:>7}  {name:<44} {median(rounds):>10.2f} ms", flush=True)


if __name__ == "__main__":
    main()
