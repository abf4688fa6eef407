"""Several processes on CPUs (gloo): what they share, what they agree on, and what of it survives a resume.

What is equal to the last bit, whatever the split of a global batch: the global batches under given weights, and the
held-out losses, probes and weights of a given model (the forward passes are of `eval_batch_size` rows, so that has to
be the same). The model itself is only close: gradients are added up in another order. Hence the learning rate of zero
in most runs here: it takes the model's share of the differences away.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from tests.conftest import QUIET, Axolotl, Tiny
from tests.helpers.batches import batches, shared_batches, views
from tests.helpers.launch import torchrun
from tests.helpers.tiny import LORA, config, write_model
from tests.integration.test_run import NAMES, SECTION, digest, updates
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.host.cpu_processes import ask_no_device

SPIED = ["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"]
SPLITS = [
    (1, 4, 2),
    (2, 1, 4),
    pytest.param(4, 1, 2, marks=pytest.mark.slow),
    pytest.param(1, 2, 4, marks=pytest.mark.slow),
]
OTHER_SPLITS = [
    (2, 2, 2),
    pytest.param(4, 2, 1, marks=pytest.mark.slow),
    pytest.param(1, 2, 4, marks=pytest.mark.slow),
]


@dataclass
class Frozen:
    """A run of one process at learning rate zero."""

    out: Path
    config: dict[str, Any]
    batches: dict[int, list[str]]


def split(config: dict[str, Any], out: Path, micro_batch: int, accumulation: int) -> dict[str, Any]:
    return {
        **config,
        "output_dir": str(out),
        "micro_batch_size": micro_batch,
        "gradient_accumulation_steps": accumulation,
    }


@pytest.fixture(scope="module")
def frozen(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Frozen:
    """Sixteen steps of eight rows, ten to an epoch, five updates; checkpoints after steps 6 and 12."""
    folder = tmp_path_factory.mktemp("frozen")
    cfg = tiny.config(
        folder / "out",
        plugins=SPIED,
        micro_batch_size=2,
        gradient_accumulation_steps=4,
        eval_batch_size=2,
        learning_rate=0.0,
        max_steps=16,
        save_strategy="steps",
        save_steps=6,
        versatune={**SECTION, "samples_per_epoch": 80, "update_steps": 3},
    )
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(folder / "batches")})
    assert finished.status == 0, finished.output
    assert "a global batch is micro_batch_size 2 x gradient_accumulation_steps 4 x 1 process\n" in finished.output
    return Frozen(folder / "out", cfg, batches(folder / "batches"))


@pytest.mark.parametrize(("micro_batch", "accumulation", "processes"), SPLITS)
def test_processes_share_the_very_batches_of_one(
    frozen: Frozen, axolotl: Axolotl, tmp_path: Path, micro_batch: int, accumulation: int, processes: int
) -> None:
    cfg = split(frozen.config, tmp_path / "out", micro_batch, accumulation)
    seen = tmp_path / "batches"
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(seen)}, processes=processes)
    assert finished.status == 0, finished.output
    # One banner, of the first process.
    assert [text.count("VersaTune is active") for text in finished.outputs] == [1] + [0] * (processes - 1)
    assert f"x {processes} processes\n" in finished.outputs[0]
    assert shared_batches(seen, processes) == frozen.batches
    known = views(seen, processes)
    assert all(view == known[0] for view in known)
    assert len({str(weights) for _, weights, *_ in known[0]}) == 6
    assert updates(tmp_path / "out") == updates(frozen.out)


@pytest.mark.parametrize(("micro_batch", "accumulation", "processes"), OTHER_SPLITS)
def test_a_run_goes_on_with_another_split(
    frozen: Frozen, axolotl: Axolotl, tmp_path: Path, micro_batch: int, accumulation: int, processes: int
) -> None:
    cfg = split(frozen.config, tmp_path / "out", micro_batch, accumulation)
    cfg["resume_from_checkpoint"] = str(frozen.out / "checkpoint-6")
    seen = tmp_path / "batches"
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(seen)}, processes=processes)
    assert finished.status == 0, finished.output
    went_on = shared_batches(seen, processes) if processes > 1 else batches(seen)
    assert went_on == {step: frozen.batches[step] for step in range(6, 16)}
    assert updates(tmp_path / "out") == [line for line in updates(frozen.out) if line["step"] > 6]
    if processes == 2:
        # And back to one process, from the other's checkpoint.
        back = {**frozen.config, "output_dir": str(tmp_path / "back")}
        back["resume_from_checkpoint"] = str(tmp_path / "out" / "checkpoint-12")
        finished = axolotl.train(back, env={"SPY_BATCHES": str(tmp_path / "three")})
        assert finished.status == 0, finished.output
        assert batches(tmp_path / "three") == {step: frozen.batches[step] for step in range(12, 16)}
        assert updates(tmp_path / "back") == [line for line in updates(frozen.out) if line["step"] > 12]


def test_another_global_batch_is_refused(frozen: Frozen, axolotl: Axolotl, tmp_path: Path) -> None:
    cfg = split(frozen.config, tmp_path / "out", 2, 4)
    cfg["resume_from_checkpoint"] = str(frozen.out / "checkpoint-6")
    cfg["versatune"] = {**cfg["versatune"], "accept_changes": True}
    finished = axolotl.train(cfg, processes=2)
    assert finished.status == 2, finished.output
    # The first process of a machine says it all, another one a line; who fails first may end the other.
    whole, short = finished.outputs
    assert "batch_size: 8 in the checkpoint, 16 now" in whole + short
    if "versatune: " in whole:
        assert (
            "a global batch was micro_batch_size 2 x gradient_accumulation_steps 4 x 1 process, and now is "
            "micro_batch_size 2 x gradient_accumulation_steps 4 x 2 processes: set them so that their product is 8"
        ) in whole
    assert "Traceback (most recent call last)" not in finished.output


def test_a_trained_model_is_close_and_its_batches_the_same(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    """Rows of one length: of others, hosts weigh tokens by the split (0.19 by micro-batch, 0.21 by process)."""
    draw, files = random.Random(0), {}
    for name in NAMES:
        rows = [
            {"instruction": f"{name} question {n:03}", "input": "", "output": "".join(draw.choices("abcdefgh", k=16))}
            for n in range(40)
        ]
        files[name] = tmp_path / f"{name}.jsonl"
        files[name].write_text("".join(json.dumps(row) + "\n" for row in rows))
    cfg = config(
        tiny.model,
        files,
        tmp_path / "1",
        tmp_path / "prepared",
        plugins=SPIED,
        gradient_accumulation_steps=4,
        eval_batch_size=2,
        max_steps=12,
        versatune={"mixture": "constant", "knowledge": SECTION["knowledge"], "heldout": 4, "update_steps": 4},
    )
    one = axolotl.train(cfg, env={"SPY_BATCHES": str(tmp_path / "one")})
    assert one.status == 0, one.output
    two = axolotl.train(split(cfg, tmp_path / "2", 2, 2), env={"SPY_BATCHES": str(tmp_path / "two")}, processes=2)
    assert two.status == 0, two.output
    assert shared_batches(tmp_path / "two", 2) == batches(tmp_path / "one")
    for alone, shared in zip(updates(tmp_path / "1"), updates(tmp_path / "2"), strict=True):
        assert shared["loss"] == pytest.approx(alone["loss"], rel=1e-6)
    models = [load_file(tmp_path / name / "model.safetensors") for name in "12"]
    assert max(np.abs(models[0][key] - models[1][key]).max() for key in models[0]) < 1e-4


KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "held-out losses, dropout": (SECTION, {}),
    "held-out losses, LoRA": (SECTION, LORA),
    "training losses": ({"mixture": "odm", "update_steps": 3, "heldout": 4}, {}),
    "probes": (
        {"mixture": "skills", "reward": "diff", "scorer_learning_rate": 0.1, "heldout": 4, "update_steps": 4},
        {},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_agree_and_resume_bit_for_bit(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, kind: str) -> None:
    section, changes = KINDS[kind]
    cfg = tiny.config(
        tmp_path / "whole",
        plugins=SPIED,
        micro_batch_size=1,
        max_steps=20,
        save_strategy="steps",
        save_steps=8,
        versatune={**section, "samples_per_epoch": 48},  # twelve steps
        **changes,
    )
    if not changes:
        cfg["base_model"] = str(write_model(tmp_path / "model", dropout=0.1))
    whole = axolotl.train(cfg, env={"SPY_BATCHES": str(tmp_path / "one")}, processes=2)
    assert whole.status == 0, whole.output
    known = views(tmp_path / "one", 2)
    assert known[0] == known[1]
    assert len({str(view[1:]) for view in known[0]}) > 3
    again = {**cfg, "output_dir": str(tmp_path / "again")}
    again["resume_from_checkpoint"] = str(tmp_path / "whole" / "checkpoint-8")
    resumed = axolotl.train(again, env={"SPY_BATCHES": str(tmp_path / "two")}, processes=2)
    assert resumed.status == 0, resumed.output
    seen = shared_batches(tmp_path / "one", 2)
    assert shared_batches(tmp_path / "two", 2) == {step: seen[step] for step in range(8, 20)}
    assert views(tmp_path / "two", 2) == [[view for view in rank if view[0] >= 8] for rank in known]
    assert updates(tmp_path / "again") == [line for line in updates(tmp_path / "whole") if line["step"] > 8]
    model = "adapter_model.safetensors" if changes else "model.safetensors"
    assert digest(tmp_path / "again", model) == digest(tmp_path / "whole", model)


def test_probes_agree_whatever_the_number_of_processes(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(
        tmp_path / "1",
        gradient_accumulation_steps=4,
        eval_batch_size=4,
        learning_rate=0.0,
        max_steps=5,
        versatune={"mixture": "skills", "heldout": 3, "update_steps": 2},
    )
    one = axolotl.train(cfg)
    assert one.status == 0, one.output
    # Three batches of held-out rows for four processes: one of them has none of its own.
    four = axolotl.train(split(cfg, tmp_path / "4", 1, 2), processes=4)
    assert four.status == 0, four.output
    assert updates(tmp_path / "4") == updates(tmp_path / "1")
    assert "similarity" in updates(tmp_path / "1")[1]


def test_a_loss_spoiled_in_one_process_is_spoiled_in_all(frozen: Frozen, axolotl: Axolotl, tmp_path: Path) -> None:
    cfg = split(frozen.config, tmp_path / "out", 2, 2)
    seen = tmp_path / "batches"
    finished = axolotl.train(cfg, env={"SPY_BATCHES": str(seen), "SPY_SPOIL": "6:law"}, processes=2)
    assert finished.status == 0, finished.output
    known = views(seen, 2)
    assert known[0] == known[1]
    by_step = {line["step"]: line for line in read_record(tmp_path / "out") if line["kind"] == "update"}
    assert by_step[6]["not_finite"] == ["law"]
    assert by_step[6]["weights"] == by_step[3]["weights"]
    assert by_step[9]["weights"] == {n: pytest.approx(by_step[9]["weights"][n]) for n in NAMES}
    assert by_step[9]["weights"] != by_step[6]["weights"]


def test_a_process_launched_alone_says_so(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    # The environment that `accelerate launch --cpu --num_processes 2` gives to the one process that it starts.
    env = {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    section = {"mixture": "uniform", "heldout": 0}
    finished = axolotl.train(tiny.config(tmp_path / "out", max_steps=1, versatune=section), env=env)
    assert finished.status == 0, finished.output
    assert "x 1 process\n" in finished.output
    assert "several processes were asked for, and this is the only one" in finished.output


def test_torchrun(frozen: Frozen, tmp_path: Path) -> None:
    cfg = split(frozen.config, tmp_path / "out", 1, 4)
    finished = torchrun(cfg, tmp_path, processes=2, env={"SPY_BATCHES": str(tmp_path / "batches")})
    assert finished.returncode == 0, finished.stdout
    assert shared_batches(tmp_path / "batches", 2) == frozen.batches
    assert updates(tmp_path / "out") == updates(frozen.out)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["load", "train"])
def test_an_error_in_one_process_ends_the_others(frozen: Frozen, tmp_path: Path, moment: str) -> None:
    cfg = split(frozen.config, tmp_path / "out", 1, 4)
    finished = torchrun(cfg, tmp_path, processes=2, env={"SPY_FAIL": f"{moment}:1"})
    assert finished.returncode == 1, finished.stdout
    assert f"the spy fails in process 1 at {moment}" in finished.stdout


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs `pip install axolotl[ray]`")
def test_ray_train(frozen: Frozen, tmp_path: Path) -> None:
    cfg = split(frozen.config, tmp_path / "out", 1, 4)
    cfg |= {"use_ray": True, "ray_num_workers": 2}
    (tmp_path / "run.yml").write_text(yaml.safe_dump(cfg, sort_keys=False), encoding="utf-8")
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "SPY_BATCHES": str(tmp_path / "batches")}
    # Two workers on a machine of any size; no report to the makers of Ray.
    env |= {"RAY_OVERRIDE_RESOURCES": '{"CPU": 4}', "RAY_USAGE_STATS_ENABLED": "0"}
    finished = subprocess.run(
        [sys.executable, "-m", "tests.helpers.ray_on_cpus", str(tmp_path / "run.yml")],
        env={**os.environ, **QUIET, **env},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout
    assert shared_batches(tmp_path / "batches", 2) == frozen.batches
    assert updates(tmp_path / "out") == updates(frozen.out)


def test_cuda_is_not_asked_for_devices_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that was built for CUDA raises an error on a machine without a driver."""
    from axolotl.utils import trainer

    def no_driver(*devices: int) -> bool:
        raise RuntimeError("Found no NVIDIA driver on your system")

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr("torch.cuda.can_device_access_peer", no_driver)
    monkeypatch.setattr(trainer, "check_cuda_p2p_ib_support", trainer.check_cuda_p2p_ib_support)
    with pytest.raises(RuntimeError, match="no NVIDIA driver"):
        trainer.check_cuda_p2p_ib_support()
    ask_no_device()
    assert trainer.check_cuda_p2p_ib_support()
