"""Engines that wrap or shard the model.

Axolotl shards nothing on CPUs: under FSDP and DeepSpeed it trains plain DDP there, without a word. CPUs show that
held-out losses through a sharded model are those of the whole one, and runs under both once accelerate is told
otherwise (tests/helpers/engines_on_cpus.py). The other runs need CUDA devices; one is enough to pass through the
engine. All make sure of the engine's type.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import Axolotl, Tiny
from tests.helpers.batches import batches, shared_batches, views
from tests.helpers.launch import torchrun
from tests.helpers.tiny import LORA, write_model
from tests.integration.test_ranks import SPIED
from tests.integration.test_run import SECTION, digest, updates

DEEPSPEED = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="needs `pip install versatune[deepspeed]`"
)
FLASH_ATTENTION = pytest.mark.skipif(
    importlib.util.find_spec("flash_attn") is None, reason="needs `pip install versatune[flash-attn]`"
)
# The engine, its class, and what a process holds of 37,216 parameters.
SHARDED = [
    pytest.param("fsdp2", "FSDPLlamaForCausalLM", (18640, 18576), id="fsdp2"),
    pytest.param("zero2", "DeepSpeedEngine", (37216, 37216), id="zero2", marks=DEEPSPEED),
    pytest.param("zero3", "DeepSpeedEngine", (0, 0), id="zero3", marks=DEEPSPEED),
]


@pytest.mark.parametrize(("engine", "wrapper", "held"), SHARDED)
def test_heldout_losses_through_a_sharded_model(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, engine: str, wrapper: str, held: tuple[int, int]
) -> None:
    whole = measured(axolotl, tiny, tmp_path, "plain", processes=1)[0]
    shared = measured(axolotl, tiny, tmp_path, engine, processes=2)
    assert [told["engine"] for told in shared] == [wrapper, wrapper]
    assert tuple(told["own_parameters"] for told in shared) == held
    assert shared[0]["measured"] == shared[1]["measured"]
    # The same model: to the last bit. After a step, whose gradients ZeRO-3 adds up in its own order: close.
    assert shared[0]["measured"][0] == whole["measured"][0]
    before, after = whole["measured"]
    assert shared[0]["measured"][1]["loss"] == pytest.approx(after["loss"], rel=1e-6)
    assert after["loss"] != pytest.approx(before["loss"], rel=1e-3)


def measured(axolotl: Axolotl, tiny: Tiny, folder: Path, engine: str, processes: int) -> list[dict[str, Any]]:
    out = folder / engine
    arguments = ["tests.helpers.sharded_losses", engine, str(tiny.model), str(out)]
    finished = axolotl.run(*arguments, env={"DS_ACCELERATOR": "cpu"}, processes=processes)
    assert finished.status == 0, finished.output
    return [json.loads(Path(f"{out}.{rank}").read_text()) for rank in range(processes)]


FSDP2 = {
    "fsdp_version": 2,
    "fsdp_config": {
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
        "transformer_layer_cls_to_wrap": "LlamaDecoderLayer",
        "state_dict_type": "SHARDED_STATE_DICT",
        "reshard_after_forward": True,
    },
}
QLORA = {**LORA, "adapter": "qlora", "load_in_4bit": True}
PACKED = {"sample_packing": True, "micro_batch_size": 1}
SKILLS = {"mixture": "skills", "heldout": 4, "update_steps": 4}


def zero(stage: int, folder: Path) -> str:
    """A configuration file of DeepSpeed that keeps nothing whole that it can shard."""
    settings = {
        "zero_optimization": {
            "stage": stage,
            "stage3_gather_16bit_weights_on_model_save": True,
            "stage3_param_persistence_threshold": 0,
        },
        "bf16": {"enabled": "auto"},
        "gradient_accumulation_steps": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        # These two for CPUs: the optimizer is torch's.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }
    path = folder / f"zero{stage}.json"
    path.write_text(json.dumps(settings))
    return str(path)


Run = tuple[dict[str, Any], dict[str, Any], tuple[str, int | None]]


def marks(name: str) -> list[pytest.MarkDecorator]:
    return [mark for part, mark in (("zero", DEEPSPEED), ("flash", FLASH_ATTENTION)) if part in name]


# Changes of the configuration, the section, and the wrapper's class with its ZeRO stage.
CPU_RUNS: dict[str, Run] = {
    "fsdp2, probes": (FSDP2, SKILLS, ("FSDPLlamaForCausalLM", None)),
    "fsdp2, lora": ({**FSDP2, **LORA}, SECTION, ("FSDPPeftModelForCausalLM", None)),
    "zero2": ({}, SECTION, ("DeepSpeedEngine", 2)),
    "zero3, probes": ({}, SKILLS, ("DeepSpeedEngine", 3)),
    "zero3, lora, training losses": (
        LORA,
        {"mixture": "odm", "update_steps": 4, "heldout": 4},
        ("DeepSpeedEngine", 3),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks(name)) for name in CPU_RUNS])
def test_two_processes_under_an_engine_agree_and_resume_bit_for_bit(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, name: str
) -> None:
    changes, section, engine = CPU_RUNS[name]
    stage = engine[1]
    cfg = tiny.config(
        tmp_path / "whole",
        plugins=[f"tests.helpers.engines_on_cpus.{'DeepSpeedOnCpus' if stage else 'FsdpOnCpus'}", *SPIED],
        micro_batch_size=1,
        max_steps=20,
        save_strategy="steps",
        save_steps=8,
        versatune={**section, "samples_per_epoch": 48},
        **changes,
    )
    if stage:
        cfg["deepspeed"] = zero(stage, tmp_path)
    env = {"DS_ACCELERATOR": "cpu", "ACCELERATE_USE_CPU": "false"}
    whole = axolotl.train(cfg, env={**env, "SPY_BATCHES": str(tmp_path / "one")}, processes=2)
    assert whole.status == 0, whole.output
    assert engines(tmp_path / "one", 2) == {engine}
    known = views(tmp_path / "one", 2)
    assert known[0] == known[1]
    assert len({str(view[1:]) for view in known[0]}) > 3
    again = {**cfg, "output_dir": str(tmp_path / "again")}
    again["resume_from_checkpoint"] = str(tmp_path / "whole" / "checkpoint-8")
    resumed = axolotl.train(again, env={**env, "SPY_BATCHES": str(tmp_path / "two")}, processes=2)
    assert resumed.status == 0, resumed.output
    seen = shared_batches(tmp_path / "one", 2)
    assert shared_batches(tmp_path / "two", 2) == {step: seen[step] for step in range(8, 20)}
    assert updates(tmp_path / "again") == [line for line in updates(tmp_path / "whole") if line["step"] > 8]
    model = "adapter_model.safetensors" if "adapter" in changes else "model.safetensors"
    assert digest(tmp_path / "again", model) == digest(tmp_path / "whole", model)


DDP = ("DistributedDataParallel", None)
ENGINES: dict[str, Run] = {
    "ddp": ({}, SECTION, DDP),
    "ddp, probes": ({}, SKILLS, DDP),
    "ddp, qlora": (QLORA, SECTION, DDP),
    "ddp, flash attention": (
        {"attn_implementation": "flash_attention_2"},
        SECTION,
        DDP,
    ),
    "ddp, flash attention, packed": (
        {"attn_implementation": "flash_attention_2", **PACKED},
        SECTION,
        DDP,
    ),
    "fsdp2": (FSDP2, SECTION, ("FSDPLlamaForCausalLM", None)),
    "fsdp2, probes": (FSDP2, SKILLS, ("FSDPLlamaForCausalLM", None)),
    "fsdp2, lora": ({**FSDP2, **LORA}, SECTION, ("FSDPPeftModelForCausalLM", None)),
    "zero2": ({}, SECTION, ("DeepSpeedEngine", 2)),
    "zero3": ({}, SECTION, ("DeepSpeedEngine", 3)),
    "zero3, probes": ({}, SKILLS, ("DeepSpeedEngine", 3)),
    "zero3, lora": (LORA, SECTION, ("DeepSpeedEngine", 3)),
}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", [pytest.param(name, id=name, marks=marks(name)) for name in ENGINES])
def test_a_run_through_the_engine_and_its_resume(tiny: Tiny, tmp_path: Path, name: str) -> None:
    changes, section, engine = ENGINES[name]
    if engine[1]:
        changes = {**changes, "deepspeed": zero(engine[1], tmp_path)}
    processes = torch.cuda.device_count()
    cfg = tiny.config(
        tmp_path / "whole",
        # Wide enough for blocks of 4 bits and for the heads of flash attention.
        base_model=str(write_model(tmp_path / "model", hidden=128)),
        plugins=SPIED,
        bf16=True,
        max_steps=12,
        save_strategy="steps",
        save_steps=6,
        versatune={**section, "update_steps": 4},
        **changes,
    )
    seen = {part: tmp_path / part for part in ("one", "two")}
    whole = torchrun(cfg, tmp_path, processes=processes, on_cpu=False, env={"SPY_BATCHES": str(seen["one"])})
    assert whole.returncode == 0, whole.stdout
    assert "VersaTune is active" in whole.stdout
    if processes == 1 and engine == DDP:
        # One device is not wrapped.
        engine = ("PeftModelForCausalLM" if "adapter" in changes else "LlamaForCausalLM", None)
    assert engines(seen["one"], processes) == {engine}
    again = {**cfg, "output_dir": str(tmp_path / "again")}
    again["resume_from_checkpoint"] = str(tmp_path / "whole" / "checkpoint-6")
    resumed = torchrun(again, tmp_path, processes=processes, on_cpu=False, env={"SPY_BATCHES": str(seen["two"])})
    assert resumed.returncode == 0, resumed.stdout
    before = all_batches(seen["one"], processes)
    # New weights come at step 8; until then the batches owe nothing to the arithmetic of the device.
    after = all_batches(seen["two"], processes)
    assert {step: after[step] for step in (6, 7)} == {step: before[step] for step in (6, 7)}
    lines = [line for line in updates(tmp_path / "whole") if line["step"] > 6]
    assert [line["step"] for line in lines] == [8, 12]
    for line, repeated in zip(lines, updates(tmp_path / "again"), strict=True):
        assert repeated["step"] == line["step"]
        assert repeated["loss"] == pytest.approx(line["loss"], rel=1e-2)
        assert repeated["weights"] == pytest.approx(line["weights"], rel=1e-2)


def all_batches(file: Path, processes: int) -> dict[int, list[str]]:
    return shared_batches(file, processes) if processes > 1 else batches(file)


def engines(file: Path, processes: int) -> set[tuple[str, int | None]]:
    files = [Path(f"{file}.{rank}") for rank in range(processes)] if processes > 1 else [file]
    return {tuple(json.loads(line)["engine"]) for one in files for line in one.read_text().splitlines()}
