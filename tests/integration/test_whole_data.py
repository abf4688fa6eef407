"""YAMLs with options about the whole data set, through Axolotl's command line; a spy sees every row trained on."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers.printed import rows_of_table
from tests.helpers.tiny import config, write_rows
from versatune_plugin.artifacts.record import read_record

NAMES = ("code", "law", "medicine")
REFERENCE = {"law": 1.0, "code": 1.0, "medicine": 1.0}
SPIED = ["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"]


def questions(file: Path) -> list[str]:
    """The question of each row of a file."""
    return [json.loads(line)["instruction"] for line in file.read_text().splitlines()]


def trained(file: Path) -> dict[str, Counter[str]]:
    """Of each run, by the name of its output directory, how often each question was trained on."""
    runs: dict[str, Counter[str]] = {}
    for line in file.read_text().splitlines():
        seen = json.loads(line)
        found = [re.findall("### Instruction:\n(.*)", text) for text, _ in seen["rows"]]
        runs.setdefault(Path(seen["run"]).name, Counter()).update(row for rows in found for row in rows)
    return runs


def of_domain(rows: Iterable[str], name: str) -> set[str]:
    return {row for row in rows if row.startswith(name)}


def table(output: str) -> dict[str, list[str]]:
    """Where the rows of each domain go: lost while prepared, left out, validation, held out, training rows."""
    return rows_of_table(output, "Where the rows go")


def reference(axolotl: Axolotl, cfg: Mapping[str, Any], folder: Path, *argv: str, **env: str) -> Finished:
    path = folder / "reference.yml"
    path.write_text(yaml.safe_dump(dict(cfg)))
    return axolotl.run("axolotl.cli.main", "versatune", "reference", str(path), "--epochs", "2", *argv, env=env)


@pytest.fixture
def shared(tiny: Tiny, tmp_path: Path) -> Tiny:
    """Domains of 60, 40 and 30 rows of their own; code has ten rows of law as well."""
    files = write_rows(tmp_path / "rows", {"law": 60, "code": 40, "medicine": 30})
    lines = files["law"].read_text().splitlines()[10:20]
    with files["code"].open("a") as file:
        file.write("\n".join(lines) + "\n")
    return Tiny(tiny.model, files, tmp_path / "prepared")


def test_a_validation_split_reaches_the_run_and_its_references_alike(
    axolotl: Axolotl, shared: Tiny, tmp_path: Path
) -> None:
    file = tmp_path / "reference.json"
    section = {"mixture": "versatune", "knowledge": "uniform", "reference": str(file), "heldout": 6, "update_steps": 20}
    cfg = config(
        shared.model,
        shared.files,
        tmp_path / "out",
        shared.prepared,
        plugins=SPIED,
        val_set_size=21,
        eval_strategy="steps",
        eval_steps=40,
        max_steps=90,
        versatune=section,
    )
    measured = reference(axolotl, cfg, tmp_path, SPY_EVERY=str(tmp_path / "alone"))
    assert measured.status == 0, measured.output
    run = axolotl.train(cfg, env={"SPY_EVERY": str(tmp_path / "together")})
    assert run.status == 0, run.output
    assert "eval_loss" in run.output
    assert read_record(tmp_path / "out")[0]["reference"] == json.loads(file.read_text())["nats_per_token"]
    cells = table(run.output)
    # 21 of 140 rows: 7.5 of 50 of code, 9 of 60 of law, 4.5 of 30 of medicine; ties go to the earlier name.
    assert [cells[name][2] for name in NAMES] == ["8", "9", "4"]
    assert [cells[name][3] for name in NAMES] == ["6"] * 3
    (together,) = trained(tmp_path / "together").values()
    alone = trained(tmp_path / "alone")
    by_number = {number: alone[f"{number}.run"] for number in range(3)}
    for number, name in enumerate(NAMES):
        rows = questions(shared.files[name])
        # Each reference trains on the very rows of its domain that the run trains on.
        assert set(by_number[number]) <= set(rows)
        assert of_domain(together, name) <= set().union(*by_number.values())
        trained_rows = sum(row in by_number[number] for row in rows)
        assert trained_rows == int(cells[name][4]), name
        kept_out = len(rows) - trained_rows
        assert kept_out == sum(int(cells[name][column]) for column in (1, 2, 3))
    everything = set().union(*(questions(shared.files[name]) for name in NAMES))
    never = everything - set(together)
    # The held-out and validation rows of all domains; some of them stand in two.
    assert 21 + 18 - 10 <= len(never) <= 21 + 18
    assert never & set().union(*by_number.values()) == set()


def test_heldout_rows_are_not_trained_on_under_another_label(axolotl: Axolotl, shared: Tiny, tmp_path: Path) -> None:
    section = {"mixture": "uniform", "heldout": 25, "floor": 0.0}
    cfg = config(shared.model, shared.files, tmp_path / "out", shared.prepared, plugins=SPIED, versatune=section)
    run = axolotl.train({**cfg, "max_steps": 60}, env={"SPY_EVERY": str(tmp_path / "rows.jsonl")})
    assert run.status == 0, run.output
    cells = table(run.output)
    left_out = {name: int(cells[name][1]) for name in NAMES}
    assert left_out["medicine"] == 0
    assert left_out["law"] + left_out["code"] > 0
    assert re.search(r"left out: rows that repeat a held-out, test or validation row .*: \d+ of code", run.output)
    (rows,) = trained(tmp_path / "rows.jsonl").values()
    assert len(of_domain(rows, "medicine")) == 5
    both = set(questions(shared.files["law"])) & set(questions(shared.files["code"]))
    assert len(both) == 10
    # Every row but the held-out ones was drawn, and a row of both domains only where neither holds it out.
    held_out_twice = len(both - set(rows)) - left_out["law"] - left_out["code"]
    assert held_out_twice >= 0
    assert len(rows) == 130 - (75 - held_out_twice)


def test_packing_with_a_validation_split_and_a_small_domain_trains(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path
) -> None:
    files = write_rows(tmp_path / "rows", {"law": 60, "code": 40, "medicine": 8})
    changes = {"sample_packing": True, "val_set_size": 0.1, "num_epochs": 0.5, "eval_strategy": "epoch"}
    changes |= {"sequence_len": 512, "micro_batch_size": 1, "gradient_accumulation_steps": 1}
    cfg = config(tiny.model, files, tmp_path / "out", tmp_path / "prepared", **changes)
    run = axolotl.train({**cfg, "versatune": {"mixture": "uniform", "heldout": 2}})
    assert run.status == 0, run.output
    assert sum(int(cells[2]) for cells in table(run.output).values()) == 11
    few = axolotl.train({**cfg, "val_set_size": 1.5, "versatune": {"mixture": "uniform", "heldout": 2}})
    assert few.status != 0
    assert "val_set_size: 1.5 holds back 1 rows, too few to pack an evaluation batch of them" in few.output
    assert "eval_sample_packing: false" in few.output


@pytest.mark.parametrize("packed", [False, True])
def test_validation_sets_are_loaded_once(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, packed: bool) -> None:
    tests = write_rows(tmp_path / "tests", {"law": 14}, seed=3)["law"]
    entry = {"path": str(tests), "ds_type": "json", "type": "alpaca", "split": "train"}
    changes: dict[str, Any] = {"test_datasets": [entry], "eval_strategy": "steps", "eval_steps": 2, "max_steps": 2}
    changes |= {"sample_packing": packed, "eval_sample_packing": False, "eval_batch_size": 1, "sequence_len": 512}
    cfg = tiny.config(tmp_path / "out", versatune={"mixture": "uniform", "heldout": 4}, **changes)
    cfg["dataset_prepared_path"] = str(tmp_path / "prepared")
    run = axolotl.train(cfg)
    assert run.status == 0, run.output
    # A progress bar over 14 batches of one row.
    assert "14/14" in run.output
    assert "eval_loss" in run.output
    assert all(cells[2] == "0" for cells in table(run.output).values())


def test_rows_with_nothing_to_learn_are_nowhere(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    files = write_rows(tmp_path / "rows", {"law": 40, "medicine": 20})
    # Their answers lie beyond `sequence_len`.
    long = [{"instruction": f"medicine long {n} " + "x" * 600, "input": "", "output": "never seen"} for n in range(24)]
    with files["medicine"].open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in long))
    cfg = config(
        tiny.model,
        files,
        tmp_path / "out",
        tmp_path / "prepared",
        plugins=SPIED,
        excess_length_strategy="truncate",
        micro_batch_size=1,
        gradient_accumulation_steps=4,
        max_steps=8,
        versatune={"mixture": "odm", "heldout": 4},
    )
    run = axolotl.train(cfg, env={"SPY_EVERY": str(tmp_path / "rows.jsonl")})
    assert run.status == 0, run.output
    assert "left out: rows that have no token to learn: 24 of medicine" in run.output
    assert [table(run.output)["medicine"][column] for column in (4, 3, 1)] == ["16", "4", "24"]
    lines = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert min(learnt for line in lines for _, learnt in line["rows"]) > 0
    record = read_record(tmp_path / "out")
    assert all(batch["loss"] is not None for line in record if "batch_losses" in line for batch in line["batch_losses"])
    counted = sum(learnt for line in lines for _, learnt in line["rows"])
    assert sum(record[-1]["tokens"].values()) == counted


def test_an_edited_file_trains_its_new_rows(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    files = write_rows(tmp_path / "rows", {"law": 12, "code": 12, "medicine": 12})
    section = {"mixture": "constant", "knowledge": "uniform", "heldout": 2, "floor": 0.0}
    saving = {"save_strategy": "steps", "save_steps": 6, "max_steps": 12}
    cfg = config(tiny.model, files, tmp_path / "out", tmp_path / "prepared", plugins=SPIED, versatune=section, **saving)
    first = axolotl.train(cfg, env={"SPY_EVERY": str(tmp_path / "first")})
    assert first.status == 0, first.output
    before = files["law"].stat()
    files["law"].write_text(files["law"].read_text().replace("law question", "law quaestio"))
    # A corrected file may be as long as it was, and even keep its time.
    os.utime(files["law"], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (before.st_size, before.st_mtime_ns) == (files["law"].stat().st_size, files["law"].stat().st_mtime_ns)
    resumed = axolotl.train({**cfg, "resume_from_checkpoint": str(tmp_path / "out" / "checkpoint-6")})
    assert resumed.status != 0
    assert "domains.law.content" in resumed.output
    again = axolotl.train({**cfg, "output_dir": str(tmp_path / "again")}, env={"SPY_EVERY": str(tmp_path / "second")})
    assert again.status == 0, again.output
    (rows,) = trained(tmp_path / "second").values()
    assert of_domain(rows, "law quaestio")
    assert not of_domain(rows, "law question")
    assert f"{files['law']} has changed since its rows were prepared" in resumed.output


def test_the_command_line_overrides_the_section(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    section = {"mixture": "constant", "knowledge": "uniform", "heldout": 4}
    cfg = tiny.config(tmp_path / "out", max_steps=2, versatune=section)
    argv = ["--versatune.mixture", "proportional", "--versatune.floor", "0.05", "--max_steps", "1"]
    run = axolotl.train(cfg, *argv)
    assert run.status == 0, run.output
    start, *_, end = read_record(tmp_path / "out")
    assert start["mixture"] == "proportional"
    assert start["weights"] != pytest.approx(dict.fromkeys(NAMES, 1 / 3))
    assert end["step"] == 1
    wrong = axolotl.train(cfg, "--versatune.mixtur", "uniform", "--versatune.expand.domain", "law")
    assert wrong.status != 0
    assert "versatune.mixtur: not an option of the mixture 'constant'; did you mean 'mixture'?" in wrong.output
    assert "versatune.expand: not an option of the mixture 'constant'" in wrong.output


def test_another_plugins_trainer_is_refused_in_either_order(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", versatune={"mixture": "uniform", "heldout": 4})
    other = "tests.helpers.other_trainer.OtherTrainerPlugin"
    for plugins in ([other, *cfg["plugins"]], [*cfg["plugins"], other]):
        path = tmp_path / "cfg.yml"
        path.write_text(yaml.safe_dump({**cfg, "plugins": plugins}))
        for argv in (["axolotl.cli.main", "versatune", "plan", str(path)], ["axolotl.cli.train", str(path)]):
            refused = axolotl.run(*argv)
            assert refused.status != 0
            assert f"plugins: {other} brings the trainer AxolotlTrainer" in refused.output
    assert not (tmp_path / "out" / "versatune.jsonl").exists()


def test_numbers_of_the_host_mean_what_they_mean_there(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    section = {"mixture": "uniform", "heldout": 20}
    cfg = tiny.config(tmp_path / "out", versatune=section)
    path = tmp_path / "cfg.yml"
    # No limit: one epoch of the 70 rows that are left.
    path.write_text(yaml.safe_dump({**cfg, "max_steps": -1}))
    planned = axolotl.run("axolotl.cli.main", "versatune", "plan", str(path))
    assert planned.status == 0, planned.output
    assert "18 optimizer steps of 4 rows, 18 to an epoch" in planned.output
    for epochs in (0, -1):
        path.write_text(yaml.safe_dump({**cfg, "num_epochs": epochs}))
        refused = axolotl.run("axolotl.cli.main", "versatune", "plan", str(path))
        assert refused.status == 2
        assert f"num_epochs: {epochs}, so nothing would be trained" in refused.output
    path.write_text(yaml.safe_dump({**cfg, "shuffle_merged_datasets": False, "push_dataset_to_hub": "me/rows"}))
    refused = axolotl.run("axolotl.cli.main", "versatune", "plan", str(path))
    assert "shuffle_merged_datasets: False cannot be honoured" in refused.output
    assert "push_dataset_to_hub: 'me/rows' cannot be honoured" in refused.output


def test_a_domain_that_hardly_learns_crowds_others_out_with_a_warning(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path
) -> None:
    files = write_rows(tmp_path / "rows", {"law": 40, "code": 40})
    for name, answer in (("code", "y"), ("law", "long answer " * 6)):
        rows = [{"instruction": f"{name} q {n}", "input": "", "output": answer} for n in range(40)]
        files[name].write_text("".join(json.dumps(row) + "\n" for row in rows))
    section = {"mixture": "uniform", "unit": "tokens", "heldout": 4}
    cfg = config(tiny.model, files, tmp_path / "out", tmp_path / "prepared", versatune=section)
    (tmp_path / "cfg.yml").write_text(yaml.safe_dump(cfg))
    planned = axolotl.run("axolotl.cli.main", "versatune", "plan", str(tmp_path / "cfg.yml"))
    assert planned.status == 0, planned.output
    assert re.search(r"warning: a row of 'code' has 2\.0 tokens to learn on average", " ".join(planned.output.split()))
