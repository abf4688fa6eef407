"""The training loss that `odm` learns from: nats over tokens of the global batch, however it is split."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Axolotl, Tiny
from versatune_plugin.artifacts.record import read_record

SPLITS = {"8 x 1": (8, 1, 1), "2 x 4": (2, 4, 1), "1 x 8": (1, 8, 1), "2 processes": (2, 2, 2)}


@pytest.mark.parametrize("packed", [False, True])
def test_any_split_of_a_batch_gives_the_same_loss_and_weights(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, packed: bool
) -> None:
    # So slow that the model stays what it is: the host's gradient depends on the split, the loss of one model does not.
    changes: dict[str, Any] = {"learning_rate": 1e-12, "max_steps": 7, "versatune": {"mixture": "odm", "heldout": 4}}
    changes |= {"sample_packing": packed, "sequence_len": 512}
    updates = {}
    for name, (micro, accumulation, processes) in SPLITS.items():
        out = tmp_path / name
        cfg = tiny.config(out, micro_batch_size=micro, gradient_accumulation_steps=accumulation, **changes)
        run = axolotl.train(cfg, processes=processes)
        assert run.status == 0, run.output
        updates[name] = [line for line in read_record(out) if line["kind"] == "update"]
        if name == "8 x 1":
            # One micro-batch is the whole batch, so the host's own mean is right, as far as it is printed.
            logged = [float(loss) for loss in re.findall(r"{'loss': '([\d.]+)'", run.output)]
            ours = [batch["loss"] for line in updates[name] for batch in line["batch_losses"]]
            assert ours == pytest.approx(logged[:6], rel=2e-4)
    assert len({batch["domain"] for line in updates["8 x 1"] for batch in line["batch_losses"]}) > 1
    for name in SPLITS:
        for line, other in zip(updates[name], updates["8 x 1"], strict=True):
            (batch,), (of_one,) = line["batch_losses"], other["batch_losses"]
            assert batch["domain"] == of_one["domain"]
            assert batch["loss"] == pytest.approx(of_one["loss"], rel=1e-6), name
            assert line["weights"] == pytest.approx(other["weights"], rel=1e-6), name
            assert line["rows"] == other["rows"]
    # Another order of the same sums, and nothing else, tells processes and accumulation apart.
    for line, other in zip(updates["2 processes"], updates["2 x 4"], strict=True):
        assert line["weights"] == other["weights"]
