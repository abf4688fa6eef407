"""Rows drawn per second from six domains, beside the samplers and mixers that others use.

Every contender does the same job, each through its own classes: global batches of 128 rows from six domains, drawn by
weights that change every so many batches and act from then on. Two jobs: `plan` names the rows of each batch, `read`
also hands over the rows themselves (16 numbers each). A contender that draws and reads in one goes without the first.

Each runs in a process of its own, in turns, and is timed in processor seconds, since other work may run beside it.
Memory is what the job adds to a process that has already done it with few rows.

    pip install --no-deps --target PEERS mosaicml-streaming python-snappy cramjam zstd Brotli catalogue dataflex \\
        fms-acceleration-odm fms-acceleration sentence-transformers torchdata
    python benchmarks/planning.py --peers PEERS [--rows 1000000] [--every 25 400] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import queue
import resource
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

WEIGHTS = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.1])
NAMES = "abcdef"
ROW_LENGTH = 16


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Attributes:
        read: hand over the rows, not their numbers alone.
        rows: of all six domains.
        every: batches until the weights change.
        batch: rows of a global batch.
    """

    read: bool
    rows: int
    every: int
    batch: int

    @property
    def share(self) -> int:
        """Rows of a domain."""
        return self.rows // len(NAMES)

    def weights(self, stretch: int) -> Any:
        """The weights of the stretch."""
        return np.roll(WEIGHTS, stretch)

    def parts(self) -> list[Any]:
        """The domains as data sets."""
        import pyarrow as pa
        from datasets import Dataset

        numbers = pa.array(np.arange(self.share * ROW_LENGTH, dtype=np.int32))
        column = pa.FixedSizeListArray.from_arrays(numbers, ROW_LENGTH).cast(pa.list_(pa.int32()))
        return [Dataset(pa.table({"input_ids": column})) for _ in NAMES]

    def read_or_name(self) -> Callable[[list[int]], Any]:
        """What hands over rows by their numbers in all six domains together."""
        if not self.read:
            return lambda numbers: numbers
        from datasets import concatenate_datasets

        whole: Callable[[list[int]], Any] = concatenate_datasets(self.parts()).__getitems__
        return whole


class NotThisJob(Exception):
    """The contender does not do it."""


def versatune(job: Job) -> Iterator[Any]:
    """Our plan: without replacement, any batch to be had at once from its state."""
    from versatune_plugin.mixtures.schedule import WeightSchedule
    from versatune_plugin.sampling.row_plan import RowPlan

    hand_over = job.read_or_name()
    schedule = WeightSchedule(0, job.weights(0))
    plan = RowPlan(NAMES, [job.share] * len(NAMES), schedule, job.batch, 1)
    for stretch in count():
        schedule.append(plan.step, job.weights(stretch))
        for _ in range(job.every):
            step = plan.advance()
            yield hand_over((step.domains * job.share + step.rows).tolist())


def weighted_random_sampler(job: Job) -> Iterator[Any]:
    """torch's sampler, a weight for every row; new weights mean a new sampler. With replacement."""
    import torch
    from torch.utils.data import BatchSampler, WeightedRandomSampler

    hand_over = job.read_or_name()
    for stretch in count():
        weights = torch.from_numpy(job.weights(stretch) / job.share).repeat_interleave(job.share)
        sampler = WeightedRandomSampler(weights, job.every * job.batch)
        for numbers in BatchSampler(sampler, job.batch, drop_last=True):
            yield hand_over(numbers)


def interleave_datasets(job: Job) -> Iterator[Any]:
    """Hugging Face datasets' interleaving; new weights mean interleaving anew, from the first rows on."""
    from datasets import interleave_datasets as interleave

    if not job.read:
        raise NotThisJob
    parts = job.parts()
    for stretch in count():
        mixed = interleave(parts, probabilities=job.weights(stretch).tolist(), seed=stretch)
        yield from islice(mixed.iter(batch_size=job.batch), job.every)


def mosaicml_streaming(job: Job) -> Iterator[Any]:
    """Streams with proportions; new weights mean a new StreamingDataset. One epoch is the stretch."""
    # Its image data sets need torchvision, whose build on PyPI needs CUDA.
    sys.modules["streaming.vision"] = types.ModuleType("streaming.vision")
    from streaming import MDSWriter, Stream, StreamingDataset

    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            with MDSWriter(out=f"{folder}/{name}", columns={"input_ids": f"ndarray:int32:{ROW_LENGTH}"}) as writer:
                for row in range(job.share):
                    writer.write({"input_ids": np.full(ROW_LENGTH, row, dtype=np.int32)})
        for stretch in count():
            weights = job.weights(stretch)
            streams = [Stream(local=f"{folder}/{name}", proportion=weights[i]) for i, name in enumerate(NAMES)]
            mixed = StreamingDataset(
                streams=streams,
                epoch_size=job.every * job.batch,
                shuffle=True,
                batch_size=job.batch,
                shuffle_seed=stretch,
            )
            numbers = iter(mixed) if job.read else iter(mixed._get_work(0, 0).tolist())
            for _ in range(job.every):
                yield list(islice(numbers, job.batch))


def fms_odm(job: Job) -> Iterator[Any]:
    """fms-acceleration's OnlineMixingDataset: a domain drawn for every row, read in order from a loader of its own."""
    import torch
    from datasets import DatasetDict
    from fms_acceleration_odm.odm.dataset import OnlineMixingDataset

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {"input_ids": torch.tensor([row["input_ids"] for row in rows])}

    if not job.read:
        raise NotThisJob
    parts = DatasetDict(zip(NAMES, job.parts(), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        mixed = OnlineMixingDataset(parts, dict.fromkeys(NAMES, collate), parts, {}, gamma=0.0, output_dir=folder)
        for stretch in count():
            mixed._update_sampling_ratio(torch.from_numpy(job.weights(stretch)))
            for _ in range(job.every):
                yield list(islice(mixed, job.batch))


def dataflex(job: Job) -> Iterator[Any]:
    """DataFlex's MixedProportionManager, rebuilt at every change as its trainer does, behind a RandomSampler."""
    from dataflex.train.dataset.mixed_proportion_manager import MixedProportionManager
    from torch.utils.data import BatchSampler, RandomSampler

    parts: list[Any] = job.parts() if job.read else [range(job.share)] * len(NAMES)
    manager = MixedProportionManager(dict(zip(NAMES, parts, strict=True)))
    for stretch in count():
        manager.set_proportions(job.weights(stretch))
        snapshot = manager.rebuild(num_samples=job.every * job.batch)
        for numbers in BatchSampler(RandomSampler(snapshot), job.batch, drop_last=True):
            # torch's loader fetches row by row from a data set that has no `__getitems__`.
            yield [(snapshot if job.read else snapshot.index_table)[number] for number in numbers]


CONTENDERS = (versatune, weighted_random_sampler, interleave_datasets, mosaicml_streaming, fms_odm, dataflex)


def peak_mib() -> float:
    """The most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(contender: Callable[[Job], Iterator[Any]], job: Job, seconds: float, peers: str, answers: Any) -> None:
    """Time whole stretches, at least so many seconds, the first one apart."""
    sys.path.append(peers)
    logging.disable(logging.INFO)
    try:
        for _ in islice(contender(replace(job, rows=6000)), job.every + 1):
            pass
        before, batches, stretches = peak_mib(), contender(job), 0
        assert sum(1 for _ in islice(batches, job.every)) == job.every
        began = time.process_time()
        while (spent := time.process_time() - began) < seconds:
            assert all(len(batch) for batch in islice(batches, job.every))
            stretches += 1
        rows = stretches * job.every * job.batch
        answers.put({"microseconds_a_row": 1e6 * spent / rows, "added_mib": peak_mib() - before})
    except NotThisJob:
        answers.put({"failed": "draws and reads in one"})
    except Exception as error:
        answers.put({"failed": f"{type(error).__name__}: {str(error).splitlines()[0]}"})


def measured(contender: Callable[[Job], Iterator[Any]], job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """Run a contender in a process of its own."""
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=measure, args=(contender, job, options.seconds, options.peers, answers))
    process.start()
    try:
        answer: dict[str, Any] = answers.get(timeout=options.limit)
    except queue.Empty:
        answer = {"failed": f"not done after {options.limit:.0f} s"}
        process.kill()
    process.join()
    return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", default="peers", help="where the peers were installed")
    parser.add_argument("--jobs", nargs="+", choices=("plan", "read"), default=["plan", "read"])
    parser.add_argument("--rows", type=int, nargs="+", default=[10**6])
    parser.add_argument("--every", type=int, nargs="+", default=[25, 400], help="batches until the weights change")
    parser.add_argument("--batch", type=int, nargs="+", default=[128])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--limit", type=float, default=180)
    parser.add_argument("--contenders", nargs="+", default=[contender.__name__ for contender in CONTENDERS])
    options = parser.parse_args()
    options.peers = str(Path(options.peers).resolve())
    os.environ["OMP_NUM_THREADS"] = "1"
    contenders = [contender for contender in CONTENDERS if contender.__name__ in options.contenders]
    jobs = [
        Job(kind == "read", rows, every, batch)
        for kind in options.jobs
        for rows in options.rows
        for batch in options.batch
        for every in options.every
    ]
    for job in jobs:
        answers: dict[str, list[dict[str, Any]]] = {contender.__name__: [] for contender in contenders}
        for _ in range(options.rounds):
            for contender in contenders:
                if not any("failed" in answer for answer in answers[contender.__name__]):
                    answers[contender.__name__].append(measured(contender, job, options))
        for name, rounds in answers.items():
            told: dict[str, Any] = {"job": "read" if job.read else "plan", "rows": job.rows, "batch": job.batch}
            told |= {"every": job.every, "contender": name}
            if "failed" in rounds[-1]:
                told |= rounds[-1]
            else:
                times = [answer["microseconds_a_row"] for answer in rounds]
                told |= {"microseconds_a_row": round(median(times), 3), "rounds": [round(one, 3) for one in times]}
                told |= {"rows_a_second": round(1e6 / median(times)), "added_mib": round(rounds[-1]["added_mib"], 1)}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
