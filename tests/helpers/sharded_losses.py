"""Measures held-out rows through a sharded model, without Axolotl, which shards nothing on CPUs.

``python -m tests.helpers.sharded_losses ENGINE MODEL OUT``, in one process or several: ENGINE is ``plain``, ``fsdp2``,
``zero2`` or ``zero3``; every process writes what it measured, before and after a training step, to ``OUT.RANK``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from versatune_plugin.data.domains import Domain, DomainTable
from versatune_plugin.mixtures.observations import Measurement
from versatune_plugin.training.heldout_eval import HeldoutEvaluation

HELD_OUT = {"code": 3, "law": 7, "medicine": 4}
PADDING = 2


def table(vocabulary: int) -> DomainTable:
    draw = np.random.default_rng(1)
    domains, rows, first = [], [], 0
    for name, size in HELD_OUT.items():
        domains.append(Domain(name, first, size, name, np.arange(first, first + size)))
        rows += [draw.integers(3, vocabulary, int(length)).tolist() for length in draw.integers(5, 30, size)]
        first += size
    lengths = np.array([len(row) for row in rows], dtype=np.uint32)
    data = Dataset.from_dict({"input_ids": rows, "labels": rows, "attention_mask": [[1] * len(row) for row in rows]})
    return DomainTable(tuple(domains), data, lengths, lengths - 1, np.arange(len(lengths), dtype=np.uint64))


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    width = max(len(row["input_ids"]) for row in rows)
    filler = {"input_ids": PADDING, "labels": -100, "attention_mask": 0}
    return {
        name: torch.tensor([row[name] + [value] * (width - len(row[name])) for row in rows])
        for name, value in filler.items()
    }


def zero(model: Any, stage: int) -> Any:
    import deepspeed

    settings = {
        "train_micro_batch_size_per_gpu": 1,
        "optimizer": {"type": "AdamW", "params": {"lr": 1e-2, "torch_adam": True}},
        "zero_optimization": {"stage": stage, "stage3_param_persistence_threshold": 0},
        "zero_force_ds_cpu_optimizer": False,
    }
    return deepspeed.initialize(model=model, model_parameters=model.parameters(), config=settings)[0]


def fsdp2(model: Any) -> Any:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (torch.distributed.get_world_size(),))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def as_json(losses: Measurement) -> dict[str, Any]:
    assert losses.row_loss is not None
    assert losses.similarity is not None
    return {
        "loss": losses.loss.tolist(),
        "row_loss": [rows.tolist() for rows in losses.row_loss],
        "similarity": losses.similarity.tolist(),
    }


def main(engine: str, model_path: str, out: str) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
    rows = table(model.config.vocab_size)
    world, rank = 1, 0
    if engine != "plain":
        torch.distributed.init_process_group("gloo")
        world, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
    wrapped = model
    if engine == "fsdp2":
        wrapped = fsdp2(model)
    elif engine.startswith("zero"):
        wrapped = zero(model, int(engine[-1]))
    optimizer = None if engine.startswith("zero") else torch.optim.AdamW(model.parameters(), lr=1e-2)

    @contextmanager
    def evaluating() -> Iterator[Any]:
        wrapped.eval()
        with torch.no_grad():
            yield wrapped
        wrapped.train()

    port: Any = SimpleNamespace(
        device=torch.device("cpu"),
        world_size=world,
        rank=rank,
        heldout_batch_size=2,
        tokenizer=AutoTokenizer.from_pretrained(model_path),
        evaluating=evaluating,
        output_layer=model.get_output_embeddings,
        columns=lambda data: data.column_names,
        collate=collate,
    )
    heldout = HeldoutEvaluation(rows, rows.heldout, port)
    shards = sum(int(np.prod(getattr(p, "to_local", lambda p=p: p)().shape)) for p in model.parameters())
    measured = [heldout.measure(probe=True)]
    np.testing.assert_allclose(heldout.measure().loss, measured[0].loss, rtol=1e-6)

    # One step of training on rows that are the same in every process, through the engine.
    model.train()
    loss = wrapped(**collate(rows.dataset.select(range(4)).to_list())).loss
    if optimizer is None:
        wrapped.backward(loss)
        with torch.no_grad():  # gloo gathers into views, which autograd forbids
            wrapped.step()
    else:
        loss.backward()
        optimizer.step()
    measured.append(heldout.measure(probe=True))
    assert model.training
    told = {"engine": type(wrapped).__name__, "own_parameters": shards, "measured": [as_json(one) for one in measured]}
    Path(f"{out}.{rank}").write_text(json.dumps(told), encoding="utf-8")
    if engine != "plain":
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
