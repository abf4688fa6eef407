"""Detection with Axolotl's own loading of configuration, rows, tokenizer and model."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers.layouts import entry
from tests.helpers.tiny import WORDS
from versatune_plugin.artifacts.fingerprint import weights_identity
from versatune_plugin.knowledge import load_knowledge, read_knowledge
from versatune_plugin.knowledge.generation import TextBatch, batch_seed
from versatune_plugin.knowledge.local_generation import BaseModelSampler

SECTION = {"mixture": "versatune", "knowledge": "knowledge.json", "reference": "reference.json"}
OPTIONS = ("texts=40", "iterations=2", "batch_size=8", "max_new_tokens=24", "tolerance=0", "max_unparsed=0")


def detect(
    axolotl: Axolotl, folder: Path, cfg: dict[str, Any], *options: str, kill: tuple[str, int] = ("-", 0), **env: str
) -> Finished:
    folder.mkdir(exist_ok=True)
    (folder / "cfg.yml").write_text(yaml.safe_dump(cfg), encoding="utf-8")
    watched, lines = kill
    return axolotl.run(
        "tests.helpers.detect_job", "cfg.yml", watched, str(lines), *(options or OPTIONS), cwd=folder, env=env
    )


def contents(folder: Path) -> dict[str, bytes]:
    files = {name: (folder / name).read_bytes() for name in ("knowledge.texts.jsonl", "knowledge.judgements.jsonl")}
    knowledge = json.loads((folder / "knowledge.json").read_text())
    del knowledge["finished"]
    return files | {"knowledge.json": json.dumps(knowledge).encode()}


@pytest.fixture(scope="module")
def whole(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detection that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    finished = detect(axolotl, folder, tiny.config(folder / "out", versatune=SECTION))
    assert finished.status == 0, finished.output
    printed = " ".join(finished.output.split())
    assert "rows it was not trained on" in printed
    assert "rows unlike any that it was trained on" in printed
    assert "written to knowledge.json; beside it knowledge.texts.jsonl" in printed
    return folder


def test_writes_where_the_section_looks(whole: Path, tiny: Tiny) -> None:
    found = load_knowledge(whole / "knowledge.json")
    assert set(read_knowledge(whole / "knowledge.json", tuple(tiny.files))) == {"code", "law", "medicine"}
    assert (found.texts, found.unparsed, len(found.iterations)) == (80, 0, 2)
    made_by = found.made_by
    assert made_by["base_model"] == str(tiny.model)
    assert made_by["start_token"] == {"role": "bos", "token": "<s>", "id": 0}
    assert made_by["weights"] == weights_identity(str(tiny.model))
    # A fifth of each domain's rows is set aside; one row of law repeats another once it is cut to 24 tokens.
    assert made_by["judge"]["training_rows"] == {"code": 32, "law": 48, "medicine": 24}
    assert made_by["judge"]["test_rows"] == {"code": 8, "law": 11, "medicine": 6}
    assert made_by["judge"]["accuracy"] > 0.9
    assert made_by["command"].startswith("axolotl versatune detect cfg.yml --judge classifier")
    assert "--out knowledge.json --texts 40" in made_by["command"]


def test_the_texts_are_those_of_the_base_model(whole: Path, tiny: Tiny) -> None:
    lines = [json.loads(line) for line in (whole / "knowledge.texts.jsonl").read_text().splitlines()][1:]
    sampler = BaseModelSampler(
        AutoModelForCausalLM.from_pretrained(tiny.model), AutoTokenizer.from_pretrained(tiny.model), 24, 1.0, 8
    )
    directly = sampler.write_batch(TextBatch(72, 8, batch_seed(42, 2, 1)))
    assert [(text.text, text.tokens) for text in directly] == [
        (line["text"], line["tokens"]) for line in lines if line["iteration"] == 2 and 32 <= line["index"] < 40
    ]


def test_the_same_texts_have_the_same_shares_whatever_the_formats(
    axolotl: Axolotl, tiny: Tiny, whole: Path, tmp_path: Path
) -> None:
    lines = [json.loads(line) for line in (whole / "knowledge.texts.jsonl").read_text().splitlines()]
    draw = random.Random(3)
    for number, line in enumerate(lines[1:]):
        name = ("code", "law", "law", "medicine")[number % 4]
        line["text"] = " ".join(draw.choices(WORDS[name].split() + WORDS["code"].split(), k=6))
    shares = []
    for layouts in (("alpaca", "alpaca", "alpaca"), ("chat", "segments", "preamble")):
        folder = tmp_path / "-".join(layouts)
        folder.mkdir()
        (folder / "knowledge.texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        datasets = []
        for name, layout in zip(("code", "law", "medicine"), layouts, strict=True):
            rows = [json.loads(line) for line in tiny.files[name].read_text().splitlines()]
            datasets.append(entry(layout, name, [(row["instruction"], row["output"]) for row in rows], folder))
        cfg = tiny.config(folder / "out", versatune=SECTION, datasets=datasets)
        finished = detect(axolotl, folder, cfg)
        assert finished.status == 0, finished.output
        shares.append(read_knowledge(folder / "knowledge.json", ("code", "law", "medicine")))
    assert shares[0]["law"] > shares[0]["medicine"] + 0.05
    assert shares[1] == pytest.approx(shares[0], abs=0.005)


def test_survives_kills_without_a_trace(axolotl: Axolotl, tiny: Tiny, whole: Path, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", versatune=SECTION)
    for kill in (("knowledge.texts.jsonl", 10), ("knowledge.judgements.jsonl", 20), ("knowledge.texts.jsonl", 60)):
        finished = detect(axolotl, tmp_path, cfg, kill=kill)
        assert finished.status == -9, finished.output
        assert not (tmp_path / "knowledge.json").exists()
        assert (tmp_path / kill[0]).read_bytes().count(b"\n") >= kill[1]
    torn = tmp_path / "knowledge.texts.jsonl"
    torn.write_bytes(torn.read_bytes()[:-9])
    finished = detect(axolotl, tmp_path, cfg)
    assert finished.status == 0, finished.output
    assert contents(tmp_path) == contents(whole)


def test_an_adapter_and_new_tokens_are_no_part_of_the_base_model(
    axolotl: Axolotl, tiny: Tiny, whole: Path, tmp_path: Path
) -> None:
    changes = {
        "adapter": "lora",
        "lora_r": 4,
        "lora_alpha": 8,
        "lora_target_linear": True,
        "lora_modules_to_save": ["embed_tokens", "lm_head"],
        "special_tokens": {"eos_token": "<|im_end|>", "pad_token": "<pad>"},
        "tokens": ["<|im_start|>"],
    }
    cfg = tiny.config(tmp_path / "out", versatune=SECTION, **changes)
    # This judge needs no rows, which the new tokens would have tokenised anew.
    finished = detect(axolotl, tmp_path, cfg, *OPTIONS, "judge=model", f"judge_model={tiny.model}")
    assert finished.status == 0, finished.output
    texts = (tmp_path / "knowledge.texts.jsonl").read_bytes()
    assert texts == (whole / "knowledge.texts.jsonl").read_bytes()


def test_bf16_is_taken_from_the_configuration(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", versatune=SECTION, bf16=True)
    options = (*OPTIONS[1:], "texts=8", "judge=model", f"judge_model={tiny.model}")
    finished = detect(axolotl, tmp_path, cfg, *options)
    assert finished.status == 0, finished.output
    made_by = load_knowledge(tmp_path / "knowledge.json").made_by
    assert made_by["dtype"] == "bfloat16"
    assert made_by["judge"]["name"] == "model"


def test_starts_from_eos_where_there_is_no_bos(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny.model, model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.bos_token = None
    tokenizer.save_pretrained(model)
    options = (*OPTIONS[1:], "texts=8", "judge=model", f"judge_model={tiny.model}")
    cfg = tiny.config(tmp_path / "out", versatune=SECTION, base_model=str(model))
    finished = detect(axolotl, tmp_path, cfg, *options)
    assert finished.status == 0, finished.output
    start = load_knowledge(tmp_path / "knowledge.json").made_by["start_token"]
    assert start == {"role": "eos", "token": "</s>", "id": 1}


def test_other_weights_under_the_same_name_are_noticed(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny.model, model)
    cfg = tiny.config(tmp_path / "out", versatune=SECTION, base_model=str(model))
    options = (*OPTIONS, "judge=model", f"judge_model={tiny.model}")
    killed = detect(axolotl, tmp_path, cfg, *options, kill=("knowledge.texts.jsonl", 10))
    assert killed.status == -9, killed.output
    weights = load_file(model / "model.safetensors")
    save_file({name: tensor + torch.tensor(1e-3) for name, tensor in weights.items()}, model / "model.safetensors")
    refused = detect(axolotl, tmp_path, cfg, *options)
    assert refused.status == 2
    assert "versatune: knowledge.texts.jsonl was made with other settings" in refused.output
    assert re.search(r"weights: '\w{16}' in the file, '\w{16}' now", refused.output)


@pytest.mark.parametrize("judge", ["classifier", "model"])
def test_several_processes_make_the_same_files(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, judge: str) -> None:
    cfg = tiny.config(tmp_path / "out", versatune=SECTION)
    options = ("texts=24", "iterations=2", "batch_size=2", "max_new_tokens=12", "max_unparsed=0.5", f"judge={judge}")
    options = (*options, f"judge_model={tiny.model}") if judge == "model" else options
    alone = detect(axolotl, tmp_path / "alone", cfg, *options)
    assert alone.status == 0, alone.output
    folder = tmp_path / "together"
    folder.mkdir()
    (folder / "cfg.yml").write_text(yaml.safe_dump(cfg), encoding="utf-8")
    argv = ("tests.helpers.detect_job", "cfg.yml", "-", "0", *options)
    together = axolotl.run(*argv, cwd=folder, processes=2)
    assert together.status == 0, together.output
    assert contents(folder) == contents(tmp_path / "alone")
    # One of them speaks.
    assert together.output.count("Knowledge of ") == 1


def test_a_configuration_without_the_plugin(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", versatune=SECTION)
    del cfg["plugins"], cfg["versatune"]
    for dataset in cfg["datasets"]:
        del dataset["domain"]
    bare = detect(axolotl, tmp_path, cfg)
    assert bare.status == 2
    assert "does not name VersaTune" in bare.output
    assert not (tmp_path / "knowledge.texts.jsonl").exists()
