"""The plugin under every command that a user types, found by its short name through the start-up hook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import QUIET, Axolotl, Tiny
from tests.helpers.printed import rows_of_table
from versatune_plugin.artifacts.record import read_record

SECTION = {"mixture": "constant", "knowledge": "proportional", "heldout": 4}
REFERENCE = {
    "kind": "versatune.reference",
    "schema": 1,
    "nats_per_token": {"law": 1.0, "code": 2.0, "medicine": 0.5},
    "tokenizer": "of the model",
    "heldout": 4,
    "heldout_digests": {},
    "seed": 7,
}


def written(cfg: dict[str, Any], folder: Path) -> str:
    path = folder / "run.yml"
    path.write_text(yaml.safe_dump(cfg))
    return str(path)


def shell(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A command as in an activated environment."""
    scripts = str(Path(sys.executable).parent)
    surroundings = {**os.environ, **QUIET, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, capture_output=True, text=True, env=surroundings, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "command",
    [
        ["accelerate", "launch", "--cpu", "--num_processes", "1", "-m", "axolotl.cli.train"],
        ["axolotl", "train"],
    ],
    ids=["accelerate", "axolotl"],
)
def test_a_real_process_trains(command: list[str], tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", plugins=["versatune"], max_steps=3, versatune=SECTION)
    finished = shell([*command, written(cfg, tmp_path)])
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "VersaTune is active: mixture 'constant', 3 domains" in finished.stdout
    record = read_record(tmp_path / "out")
    assert [line["kind"] for line in record] == ["start", "measure", "measure", "end"]
    assert sum(record[-1]["rows"].values()) == 12
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_preprocess_then_train(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", plugins=["versatune"], max_steps=2, versatune=SECTION)
    # A path of its own, so that it is `preprocess` that fills it. Files of knowledge and reference need not exist yet.
    cfg["dataset_prepared_path"] = str(tmp_path / "prepared")
    later = {**cfg, "versatune": {**SECTION, "knowledge": "not-yet.json"}}
    prepared = axolotl.run("axolotl.cli.main", "preprocess", written(later, tmp_path))
    assert prepared.status == 0, prepared.output
    assert len(list((tmp_path / "prepared").glob("*/*/state.json"))) == 3
    trained = axolotl.train(cfg)
    assert trained.status == 0, trained.output
    assert trained.output.count("Loading prepared dataset from disk") == 3


def test_a_section_without_the_plugin_is_refused(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", plugins=[], versatune=SECTION)
    for entry in cfg["datasets"]:
        del entry["domain"]
    finished = axolotl.train(cfg)
    assert finished.status != 0
    assert "add `plugins: [versatune]`" in finished.output
    assert not (tmp_path / "out").exists()


def test_the_commands_help_without_heavy_imports() -> None:
    shown = shell(["versatune", "--help"])
    assert shown.returncode == 0
    assert {"detect", "reference", "quickstart"} <= set(shown.stdout.split())


def test_axolotl_knows_the_commands(axolotl: Axolotl) -> None:
    shown = axolotl.run("axolotl.cli.main", "versatune", "reference", "--help")
    assert shown.status == 0
    assert "mastery ceiling" in shown.output


def test_an_error_of_a_command_is_one_plain_message(axolotl: Axolotl, tmp_path: Path, tiny: Tiny) -> None:
    path = written(tiny.config(tmp_path / "out", versatune={"mixture": "nothing"}), tmp_path)
    finished = axolotl.run("axolotl.cli.main", "versatune", "reference", path)
    assert finished.status == 2
    assert "versatune: this configuration cannot be trained with VersaTune" in finished.output
    assert "Traceback" not in finished.output.split("versatune: this configuration")[1]


def test_plan_says_what_a_run_would_do_and_does_not_train(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    section = {
        "mixture": "versatune",
        "knowledge": {"law": 0.5, "code": 0.3, "medicine": 0.2},
        "reference": {"law": 1.0, "code": 2.0, "medicine": 0.5},
        "heldout": 4,
        "update_steps": 5,
        "samples_per_epoch": 240,
    }
    cfg = tiny.config(tmp_path / "out", plugins=["versatune"], versatune=section)
    planned = axolotl.run("axolotl.cli.main", "versatune", "plan", written(cfg, tmp_path))
    assert planned.status == 0, planned.output
    assert "60 optimizer steps of 4 rows, 60 to an epoch" in planned.output
    assert "the weights move every 5 steps, 11 times: after steps 5, 10, ..., 55" in planned.output
    # (11 updates + 2 ends) x 3 domains x 4 rows / (3 x 4 rows x 60 steps)
    assert "measuring 4 held-out rows a domain costs about 21.7% of training compute" in planned.output
    assert rows_of_table(planned.output, "Where the rows go")["law"] == ["0", "0", "0", "4", "56"]
    drawn = rows_of_table(planned.output, "What the run draws of them")
    assert drawn["law"] == ["0.5000", "0.5000", "120", "2.14"]
    # Axolotl opens its log there.
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"debug.log"}
    eight = axolotl.run("axolotl.cli.main", "versatune", "plan", written(cfg, tmp_path), "--processes", "8")
    assert "8 optimizer steps of 32 rows" in eight.output


@pytest.mark.parametrize("command", ["plan", "train"])
def test_what_costs_nothing_is_checked_before_any_row_is_prepared(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, command: str
) -> None:
    section = {"mixture": "versatune", "knowledge": "know.json", "reference": str(tmp_path / "ref.json"), "heldout": 4}
    cfg = tiny.config(tmp_path / "out", plugins=["versatune"], versatune=section)
    cfg["dataset_prepared_path"] = str(tmp_path / "prepared")
    missing = tmp_path / "law.jsonl"
    cfg["datasets"][0] = {**cfg["datasets"][0], "path": str(missing)}
    (tmp_path / "ref.json").write_text(json.dumps({**REFERENCE, "heldout": 8}))
    start = ["axolotl.cli.train"] if command == "train" else ["axolotl.cli.main", "versatune", command]
    refused = axolotl.run(*start, written(cfg, tmp_path), cwd=tmp_path)
    assert refused.status == 2
    for told in (
        f"{missing}: no such file",
        "  - know.json: no such file; make it with `axolotl versatune detect CONFIG`",
        "set `versatune.heldout: 8` and `seed: 7`",
    ):
        assert told in refused.output
    assert not (tmp_path / "prepared").exists()


@pytest.mark.parametrize("command", ["detect", "reference"])
def test_the_commands_that_make_the_files_need_no_more_than_the_rows(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, command: str
) -> None:
    section = {"mixture": "versatune", "knowledge": "know.json", "reference": "ref.json"}
    cfg = tiny.config(tmp_path / "out", plugins=["versatune"], versatune=section)
    cfg["dataset_prepared_path"] = str(tmp_path / "prepared")
    cfg["datasets"][2] = {**cfg["datasets"][2], "path": str(tmp_path / "medicine.jsonl")}
    refused = axolotl.run("axolotl.cli.main", "versatune", command, written(cfg, tmp_path), cwd=tmp_path)
    assert refused.status == 2
    last = refused.output.rpartition("versatune: ")[2]
    assert f"datasets[2] (domain 'medicine'): {tmp_path / 'medicine.jsonl'}: no such file" in last
    assert "know.json" not in last
    assert "ref.json" not in last
    assert not (tmp_path / "prepared").exists()


def test_plan_shows_stages_and_refuses_what_cannot_run(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    section = {"mixture": "dmt", "general": "law", "share": "1/4", "epochs": 2, "heldout": 4}
    cfg = tiny.config(tmp_path / "out", plugins=["versatune"], versatune=section)
    planned = axolotl.run("axolotl.cli.main", "versatune", "plan", written(cfg, tmp_path))
    assert planned.status == 0, planned.output
    rows = [line.split("│")[1:-1] for line in planned.output.splitlines() if "│ proportional" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["code", "36", "1", "0 to 30", "proportional"],
        ["medicine", "26", "1", "0 to 30", "proportional"],
        ["code", "9", "2", "31 to 66", "proportional"],
        ["law", "56", "2", "31 to 66", "proportional"],
        ["medicine", "6", "2", "31 to 66", "proportional"],
    ]
    bad = {**cfg, "versatune": {**section, "general": "poetry"}}
    refused = axolotl.run("axolotl.cli.main", "versatune", "plan", written(bad, tmp_path))
    assert refused.status == 2
    assert "versatune.general: 'poetry' is no domain" in refused.output


def test_mixtures_lists_every_mixture_with_its_options() -> None:
    from click.testing import CliRunner

    from versatune_plugin.cli import versatune
    from versatune_plugin.mixtures.registry import MIXTURES

    runner = CliRunner()
    listed = runner.invoke(versatune, ["mixtures"])
    assert listed.exit_code == 0
    paragraphs = {text.split()[0]: text for text in listed.output.split("\n\n") if text.strip()}
    assert list(paragraphs) == list(MIXTURES)
    for name, policy in MIXTURES.items():
        for told in (policy.summary, policy.source, "costs", "needs", *policy.Options.model_fields):
            assert told in paragraphs[name], name
    one = runner.invoke(versatune, ["mixtures", "skills"])
    assert one.output.strip() == paragraphs["skills"].strip()
    unknown = runner.invoke(versatune, ["mixtures", "skils"])
    assert unknown.exit_code == 2
    assert "unknown mixture 'skils'" in unknown.output


@pytest.mark.parametrize("command", ["detect", "plan", "reference"])
def test_a_configuration_without_versatune_is_refused_alike_by_every_command(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, command: str
) -> None:
    cfg = tiny.config(tmp_path / "out")
    del cfg["plugins"]
    for dataset in cfg["datasets"]:
        del dataset["domain"]
    path = written(cfg, tmp_path)
    bare = axolotl.run("axolotl.cli.main", "versatune", command, path, cwd=tmp_path)
    assert bare.status == 2
    told = " ".join(bare.output.split())
    assert f"{path} does not name VersaTune: add `plugins: [versatune]` and a section `versatune:`" in told
    assert "Traceback" not in bare.output
    # The host has made its own by then.
    assert {file.name for file in tmp_path.rglob("*")} <= {"run.yml", "out", "debug.log"}
