"""Live mixtures without a trainer, for tests of what a checkpoint's state may hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from axolotl.utils.dict import DictDefault
from datasets import Dataset

from tests.tiny import WORDS
from versatune_plugin.data.domains import Domain, DomainTable
from versatune_plugin.host.configuration import Section, take_section
from versatune_plugin.mixtures.weights import normalised
from versatune_plugin.sampling.sampler import GlobalBatchSampler
from versatune_plugin.training.batches import make_plan
from versatune_plugin.training.checkpoint import TRAINER_STATE
from versatune_plugin.training.live import LiveMixture
from versatune_plugin.training.run_plan import outline_run

NAMES = tuple(sorted(WORDS))
SETTINGS = {"learning_rate": 0.001, "weights": "0123"}
LOSSES = {"law": 1.0, "code": 2.0, "medicine": 0.5}
VERSATUNE: dict[str, Any] = {
    "mixture": "versatune", "knowledge": "uniform", "reference": LOSSES, "update_steps": 3, "heldout": 4,
    "samples_per_epoch": 80,
}  # fmt: skip


def table(size: int = 40, seed: int = 0) -> DomainTable:
    draw, domains = np.random.default_rng(seed), []
    lengths = draw.integers(4, 40, 3 * size).astype(np.uint32)
    for number, name in enumerate(NAMES):
        domains.append(Domain(name, number * size, size, f"{seed}"))
    keys = np.arange(3 * size, dtype=np.uint64)
    rows = Dataset.from_dict({"number": list(range(3 * size))})
    return DomainTable(tuple(domains), rows, lengths, lengths - 1, keys)


def live(section: dict[str, Any], out: Path, *, size: int = 40, seed: int = 0, **cfg: Any) -> LiveMixture:
    """A mixture as `start_run` makes it, on rows of no text."""
    entries = [{"path": f"{name}.jsonl", "type": "alpaca", "domain": name} for name in NAMES]
    raw = DictDefault({"datasets": entries, "versatune": dict(section), "sample_packing": None, **cfg})
    taken: Section = take_section(raw)
    settled = {"micro_batch_size": 4, "gradient_accumulation_steps": 2, "world_size": 1, "seed": 7, "max_steps": 40}
    run = DictDefault({"num_epochs": 1, "sequence_len": 64, **settled, **cfg})
    rows = table(size, seed)
    outline, rows = outline_run(run, taken, rows.hold_out(taken.heldout or 0, 7))
    prior = normalised(taken.knowledge, NAMES, "") if isinstance(taken.knowledge, dict) else np.full(3, 1 / 3)
    reference = None if taken.reference is None else np.array([taken.reference[name] for name in NAMES])
    mixture = LiveMixture(taken, outline, rows, prior, reference, out, SETTINGS)
    plan = make_plan(taken, outline, rows, mixture.schedule)
    mixture.sampler = GlobalBatchSampler(
        plan,
        rows,
        steps_per_epoch=outline.steps_per_epoch,
        micro_batch_size=4,
        accumulation=run.gradient_accumulation_steps,
    )
    if "probes" in taken.traits.reads:
        mixture.first_row_loss = [np.ones(len(domain.heldout)) for domain in rows.domains]
    return mixture


def advanced(mixture: LiveMixture, steps: int, checkpoint: Path) -> Path:
    """Draw so many global batches and save."""
    batches = iter(mixture.sampler)
    done = 0
    while done < steps:
        for _ in range(2):
            try:
                next(batches)
            except StopIteration:
                batches = iter(mixture.sampler)
                next(batches)
        done += 1
        if (weights := mixture.policy.turn(done)) is not None:
            mixture._rule(weights, done)
    checkpoint.mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (checkpoint / name).write_bytes(name.encode() * 50)
    mixture.save(checkpoint, steps)
    (checkpoint / TRAINER_STATE).write_text(json.dumps({"global_step": steps, "log_history": []}))
    return checkpoint
