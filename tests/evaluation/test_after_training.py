"""Evaluation of trained models: by Axolotl's own plugin, which runs `lm_eval`; of adapters, as the page says."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers.tiny import LORA
from versatune_plugin.cli import versatune
from versatune_plugin.evaluation.results import read_runs

ROWS = 6


def write_medicine(folder: Path) -> Path:
    """Rows of both benchmarks of medicine, made on the spot; the first of each is the example."""
    tables = {
        "medqa/test_gbaker_shape.jsonl": [
            {"sent1": f"Case {n}?", "sent2": "", **{f"ending{k}": f"drug {k}" for k in range(4)}, "label": n % 4}
            for n in range(ROWS)
        ],
        "medmcqa/validation_subset_hf_shape.jsonl": [
            {"question": f"Nerve {n}?", "opa": "a", "opb": "b", "opc": "c", "opd": "d", "cop": n % 4}
            for n in range(ROWS)
        ],
    }
    for name, rows in tables.items():
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_trained_model_is_evaluated_and_its_scores_are_read(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cfg = tiny.config(
        out,
        plugins=["versatune", "axolotl.integrations.lm_eval.LMEvalPlugin"],
        versatune={"mixture": "constant", "knowledge": "uniform", "heldout": 4},
        max_steps=2,
        lm_eval_tasks=["versatune_medqa", "versatune_medmcqa"],
    )
    scripts = str(Path(sys.executable).parent)
    env = {
        "VERSATUNE_EVAL_DATA": str(write_medicine(tmp_path / "rows")),
        "PATH": os.pathsep.join([scripts, os.environ["PATH"]]),
    }
    finished = axolotl.train(cfg, env=env)
    assert finished.status == 0, finished.output[-3000:]
    (file,) = (out / "lm_eval_results").rglob("results*.json")
    payload = json.loads(file.read_text())
    assert {name: count["effective"] for name, count in payload["n-samples"].items()} == {
        "versatune_medqa": ROWS - 1,
        "versatune_medmcqa": ROWS - 1,
    }
    assert str(out) in str(payload["config"]["model_args"])
    (run,) = read_runs([out / "lm_eval_results"])
    assert set(run.benchmarks) == {"medqa", "medmcqa"}
    assert all(0 <= score.value <= 1 and score.unparsed == 0 and score.limited for score in run.benchmarks.values())
    shown = CliRunner().invoke(versatune, ["scores", str(out / "lm_eval_results")])
    assert shown.exit_code == 0, shown.output
    assert "medicine" in shown.output


def test_an_adapter_is_merged_or_named_beside_its_base(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "out"
    section = {"mixture": "constant", "knowledge": "uniform", "heldout": 4}
    cfg = tiny.config(out, plugins=["versatune"], versatune=section, max_steps=4, **{**LORA, "learning_rate": 0.05})
    path = tmp_path / "cfg.yml"
    path.write_text(yaml.safe_dump(cfg))
    assert axolotl.train(cfg).status == 0
    merged = axolotl.run("axolotl.cli.main", "merge-lora", str(path))
    assert merged.status == 0, merged.output[-3000:]
    rows = str(write_medicine(tmp_path / "rows"))

    def lm_eval(model: str, name: str) -> Finished:
        """The command of docs/evaluation.md."""
        arguments = ("--model", "hf", "--model_args", model, "--tasks", "versatune_medqa,versatune_medmcqa")
        results = ("--output_path", str(tmp_path / name), "--log_samples")
        return axolotl.run("lm_eval", *arguments, *results, env={"VERSATUNE_EVAL_DATA": rows})

    answers = {}
    both = {"merged": f"pretrained={out}/merged", "peft": f"pretrained={tiny.model},peft={out}"}
    for name, model in {**both, "base": f"pretrained={tiny.model}"}.items():
        finished = lm_eval(model, name)
        assert finished.status == 0, finished.output[-3000:]
        lines = [line for file in (tmp_path / name).rglob("samples*.jsonl") for line in file.read_text().splitlines()]
        answers[name] = {
            (row["doc_hash"], number): float(answer[0][0])
            for row in map(json.loads, lines)
            for number, answer in enumerate(row["resps"])
        }
    assert len(answers["base"]) == 2 * 4 * (ROWS - 1)
    assert answers["merged"] == pytest.approx(answers["peft"], abs=1e-3)
    assert answers["merged"] != pytest.approx(answers["base"], abs=1e-2)
    runs = read_runs([tmp_path / name for name in both])
    assert runs[0].benchmarks == runs[1].benchmarks
    assert runs[0].unlike(runs[1]) == {}
    # An adapter's folder holds no model.
    refused = lm_eval(f"pretrained={out}", "refused")
    assert refused.status != 0
    assert f"found in directory {out}" in refused.output
