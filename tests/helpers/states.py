"""Runs without a trainer, for tests of what a checkpoint's state may hold."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from axolotl.utils.dict import DictDefault
from datasets import Dataset

from tests.helpers.tiny import WORDS
from versatune_plugin.data.domains import Domain, DomainTable
from versatune_plugin.host.configuration import take_section
from versatune_plugin.host.section import Section
from versatune_plugin.mixtures.observations import Measurement
from versatune_plugin.mixtures.weights import normalised
from versatune_plugin.training.checkpoint import TRAINER_STATE
from versatune_plugin.training.run import MixtureRun, PreparedRun
from versatune_plugin.training.run_plan import plan_run

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
    rows = Dataset.from_dict({"number": list(range(3 * size)), "labels": [[0, 1]] * (3 * size)})
    return DomainTable(tuple(domains), rows, lengths, lengths - 1, keys)


def live(section: dict[str, Any], out: Path, *, size: int = 40, seed: int = 0, **cfg: Any) -> MixtureRun:
    """A run as the plugin makes it, on rows of no text."""
    entries = [{"path": f"{name}.jsonl", "type": "alpaca", "domain": name} for name in NAMES]
    raw = DictDefault({"datasets": entries, "versatune": dict(section), "sample_packing": None, **cfg})
    taken: Section = take_section(raw)
    settled = {"micro_batch_size": 4, "gradient_accumulation_steps": 2, "world_size": 1, "seed": 7, "max_steps": 40}
    run = DictDefault({"num_epochs": 1, "sequence_len": 64, **settled, **cfg})
    rows = table(size, seed)
    plan, rows = plan_run(run, taken, rows.hold_out(taken.heldout or 0, 7))
    prior = normalised(taken.knowledge, NAMES, "") if isinstance(taken.knowledge, dict) else np.full(3, 1 / 3)
    reference = None if taken.reference is None else np.array([taken.reference[name] for name in NAMES])
    port: Any = SimpleNamespace(
        rank=0,
        world_size=1,
        devices=1,
        micro_batch_size=4,
        accumulation=run.gradient_accumulation_steps,
        heldout_batch_size=4,
        tokenizer=SimpleNamespace(batch_decode=lambda rows, **_: [""] * len(rows)),
    )
    mixture = MixtureRun(PreparedRun(taken, plan, rows, prior, reference, out, SETTINGS), port)
    if mixture.controller.requirements.probes:
        first = [np.ones(len(domain.heldout)) for domain in rows.domains]
        mixture.controller.begin(Measurement(np.ones(3), np.ones(3), np.ones(3), 0.0, row_loss=first))
    return mixture


def advanced(mixture: MixtureRun, steps: int, checkpoint: Path) -> Path:
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
        # Stages begin and planned weights take force; nothing is measured.
        if not mixture.controller.update_due(done):
            mixture.controller.after_step(done, None)
    checkpoint.mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
        (checkpoint / name).write_bytes(name.encode() * 50)
    mixture.save(checkpoint, steps)
    (checkpoint / TRAINER_STATE).write_text(json.dumps({"global_step": steps, "log_history": []}))
    return checkpoint
