"""Sample packing and shares of tokens through Axolotl's command line, with rows of very different length."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.batches import batches, shared_batches
from tests.helpers.tiny import WORDS, config, write_model
from tests.integration.test_run import SECTION, digest, updates
from versatune_plugin.artifacts.record import read_record

NAMES = ("code", "law", "medicine")
# Words of an answer: a row of law learns twenty times as many tokens as one of code.
ANSWERS = {"code": 1, "law": 24, "medicine": 6}

# What Axolotl says when it has packed all rows.
PACKED_BY_AXOLOTL = "sample_packing_eff_est across ranks"


@pytest.fixture(scope="module")
def uneven(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Domains whose rows differ in length."""
    folder = tmp_path_factory.mktemp("uneven")
    draw, files = np.random.default_rng(1), {}
    for name in NAMES:
        lines = []
        for number in range(90):
            words = draw.choice(WORDS[name].split(), size=ANSWERS[name] + int(draw.integers(0, 3)))
            row = {"instruction": f"{name} question {number}", "input": "", "output": " ".join(words)}
            lines.append(json.dumps(row))
        files[name] = folder / f"{name}.jsonl"
        files[name].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Tiny(tiny.model, files, folder / "prepared")


def run(uneven: Tiny, out: Path, **changes: Any) -> dict[str, Any]:
    spied = ["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"]
    return config(
        uneven.model,
        uneven.files,
        out,
        uneven.prepared,
        **{"plugins": spied, "sequence_len": 512, "sample_packing": True, "eval_sample_packing": False} | changes,
    )


@pytest.fixture(scope="module")
def packed(axolotl: Axolotl, uneven: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """22 steps of four bins, an epoch of eight steps, updates every five, dropout on, a checkpoint at 6, 12 and 18."""
    folder = tmp_path_factory.mktemp("packed")
    cfg = run(
        uneven,
        folder / "out",
        base_model=str(write_model(folder / "model", dropout=0.1)),
        max_steps=22,
        save_strategy="steps",
        save_steps=6,
        val_set_size=0.1,
        eval_strategy="steps",
        eval_steps=20,
        versatune={**SECTION, "samples_per_epoch": 60},
    )
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(folder / "batches")})
    assert finished.status == 0, finished.output
    return {"config": cfg, "folder": folder, "out": folder / "out", "batches": batches(folder / "batches")} | {
        "output": finished.output
    }


def test_a_packed_run_is_planned_in_bins_and_follows_the_weights_in_tokens(packed: dict[str, Any]) -> None:
    assert re.search(r"22 optimizer steps of 4 bins of 512 tokens, \d+ to an epoch", packed["output"])
    assert PACKED_BY_AXOLOTL not in packed["output"]
    record = read_record(packed["out"])
    # So that one resume is in the first epoch and the other past it.
    assert 6 < record[0]["steps_per_epoch"] < 12
    assert [line["step"] for line in record if line["kind"] == "update"] == [5, 10, 15, 20]
    weights, had, owed = record[0]["weights"], dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0.0)
    for line in record[2:-1]:
        drawn = {name: line["tokens"][name] - had[name] for name in NAMES}
        for name in NAMES:
            owed[name] += weights[name] * sum(drawn.values())
            # A row of law has about 160 tokens to learn; a batch has about two thousand.
            assert abs(line["tokens"][name] - owed[name]) < 300
        had, weights = line["tokens"], line["weights"]
        assert 0.8 < line["fill"] <= 1
    end = record[-1]
    assert end["rows"] == {
        name: sum(row.startswith(name) for rows in packed["batches"].values() for row in rows) for name in NAMES
    }
    # Law's rows are long: a third of the tokens is a small part of the rows.
    assert end["rows"]["law"] < end["rows"]["code"] / 2
    assert "eval_loss" in packed["output"]


@pytest.mark.parametrize("step", [6, 12])
def test_a_packed_run_resumes_bit_for_bit(packed: dict[str, Any], axolotl: Axolotl, tmp_path: Path, step: int) -> None:
    """In the first epoch with rows left over, and past its end; with the measuring in between."""
    state = json.loads((packed["out"] / f"checkpoint-{step}" / "versatune_state.json").read_text())
    assert step == 12 or any(state["sampler"]["plan"]["ahead"].values())
    cfg = {**packed["config"], "output_dir": str(tmp_path / "again")}
    cfg["resume_from_checkpoint"] = str(packed["out"] / f"checkpoint-{step}")
    resumed = axolotl.train(cfg, env={"SPY_BATCHES": str(tmp_path / "batches")})
    assert resumed.status == 0, resumed.output
    assert batches(tmp_path / "batches") == {number: packed["batches"][number] for number in range(step, 22)}
    assert updates(tmp_path / "again") == [line for line in updates(packed["out"]) if line["step"] > step]
    assert digest(tmp_path / "again") == digest(packed["out"])


def test_other_bins_are_another_run(packed: dict[str, Any], axolotl: Axolotl, tmp_path: Path) -> None:
    cfg = {**packed["config"], "output_dir": str(tmp_path / "again"), "sequence_len": 400}
    cfg["resume_from_checkpoint"] = str(packed["out"] / "checkpoint-6")
    refused = axolotl.train(cfg)
    assert refused.status != 0
    assert "packing: 512 in the checkpoint, 400 now" in refused.output


def test_the_layout_the_split_and_the_ranks_leave_the_global_batches_alone(
    axolotl: Axolotl, uneven: Tiny, tmp_path: Path
) -> None:
    """Bins as sequences, in one sequence as for flash attention, as 1 x 4, and on two processes."""
    section = {
        "mixture": "schedule",
        "heldout": 4,
        "schedule": [
            {"step": 0, "weights": {"law": 0.5, "code": 0.5, "medicine": 0.0}},
            {"step": 3, "weights": {"law": 0.0, "code": 0.0, "medicine": 1.0}},
        ],
    }
    ways: dict[str, dict[str, Any]] = {
        "bins": {},
        "one sequence": {"multipack_real_batches": False},
        "1 x 4": {"micro_batch_size": 1, "gradient_accumulation_steps": 4},
        "two processes": {"micro_batch_size": 1, "gradient_accumulation_steps": 2},
    }
    seen, losses = {}, {}
    for way, changes in ways.items():
        processes = 2 if way == "two processes" else 1
        cfg = run(uneven, tmp_path / way / "out", max_steps=6, versatune=section, **changes)
        file = tmp_path / way / "batches"
        finished = axolotl.train(cfg, env={"SPY_BATCHES": str(file)}, processes=processes)
        assert finished.status == 0, finished.output
        # Axolotl never packs a domain by itself only to count its steps.
        assert PACKED_BY_AXOLOTL not in finished.output
        seen[way] = shared_batches(file, 2) if processes == 2 else batches(file)
        losses[way] = [float(loss) for loss in re.findall(r"{'loss': '([\d.]+)'", finished.outputs[0])]
    assert len(losses["bins"]) == 6
    for way in ways:
        assert seen[way] == seen["bins"], way
        assert losses[way] == pytest.approx(losses["bins"], rel=2e-3), way
    assert {row.split()[0] for step in range(3) for row in seen["bins"][step]} == {"law", "code"}
    # The turn at step 3 acts on the batch of step 3, whatever was left over of the others.
    assert {row.split()[0] for row in seen["bins"][3]} == {"medicine"}


@pytest.mark.parametrize("kind", ["odm", "dmt"])
def test_packed_mixtures_of_other_kinds_resume_bit_for_bit(
    axolotl: Axolotl, uneven: Tiny, tmp_path: Path, kind: str
) -> None:
    """A bandit, whose batches come from one domain each, and stages, whose rows come from pools."""
    sections: dict[str, dict[str, Any]] = {
        "odm": {"mixture": "odm", "update_steps": 4, "heldout": 4},
        "dmt": {"mixture": "dmt", "general": "medicine", "share": 0.25, "heldout": 4},
    }
    changes = {"max_steps": 14} if kind == "odm" else {}
    cfg = run(uneven, tmp_path / "whole", save_strategy="steps", save_steps=6, versatune=sections[kind], **changes)
    whole = axolotl.train(cfg, env={"SPY_BATCHES": str(tmp_path / "one")})
    assert whole.status == 0, whole.output
    seen = batches(tmp_path / "one")
    if kind == "odm":
        assert all(len({row.split()[0] for row in rows}) == 1 for rows in seen.values())
    # Of the stages, the second.
    at = 6 if kind == "odm" else max(step for step in seen if step % 6 == 0)
    cfg = {**cfg, "output_dir": str(tmp_path / "again")}
    cfg["resume_from_checkpoint"] = str(tmp_path / "whole" / f"checkpoint-{at}")
    resumed = axolotl.train(cfg, env={"SPY_BATCHES": str(tmp_path / "two")})
    assert resumed.status == 0, resumed.output
    assert batches(tmp_path / "two") == {step: rows for step, rows in seen.items() if step >= at}
    assert digest(tmp_path / "again") == digest(tmp_path / "whole")


def test_shares_of_tokens_without_packing(axolotl: Axolotl, uneven: Tiny, tmp_path: Path) -> None:
    section = {"mixture": "constant", "knowledge": {"law": 0.5, "code": 0.3, "medicine": 0.2}, "unit": "tokens"}
    cfg = run(uneven, tmp_path / "out", sample_packing=False, max_steps=40, versatune={**section, "heldout": 4})
    finished = axolotl.train(cfg)
    assert finished.status == 0, finished.output
    end = read_record(tmp_path / "out")[-1]
    total = sum(end["tokens"].values())
    for name, share in {"law": 0.5, "code": 0.3, "medicine": 0.2}.items():
        # About a row of law off, at the most.
        assert abs(end["tokens"][name] - share * total) < 200
    assert sum(end["rows"].values()) == 160
    assert end["rows"]["code"] > 5 * end["rows"]["law"]


def test_what_packing_cannot_honour_is_refused(axolotl: Axolotl, uneven: Tiny, tmp_path: Path) -> None:
    cfg = run(
        uneven,
        tmp_path / "out",
        sample_packing_bin_size=8,
        sample_packing_sequentially=True,
        versatune={"mixture": "uniform", "unit": "samples"},
    )
    refused = axolotl.train(cfg)
    assert refused.status != 0
    assert "versatune.unit: under sample_packing weights are shares of tokens; remove it" in refused.output
    assert "sample_packing_bin_size: 8 cannot be honoured" in refused.output
    assert "sample_packing_sequentially: True cannot be honoured" in refused.output
