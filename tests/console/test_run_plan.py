"""What `plan` and training's start show: readable at any width, nothing of the host's, and no figure lost."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers.printed import rows_of_table
from tests.helpers.states import live
from versatune_plugin.console.run_warnings import plan_warnings
from versatune_plugin.console.tables import LEAST_WIDTH, PIPED_WIDTH, add_row, new_table, say
from versatune_plugin.schema.wording import counted, times
from versatune_plugin.training.expected_rows import expected_rows

UNIFORM = {"mixture": "uniform", "heldout": 4}
LOSSES = {"law": 1.0, "code": 2.0, "medicine": 0.5}


def plan(axolotl: Axolotl, cfg: dict[str, Any], folder: Path, *options: str, **env: str) -> Finished:
    path = folder / "run.yml"
    path.write_text(yaml.safe_dump(cfg))
    return axolotl.run("axolotl.cli.main", "versatune", "plan", str(path), *options, env=env)


def test_nothing_but_the_plan_is_shown_unless_asked_for(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", versatune=UNIFORM, dataset_prepared_path=str(tmp_path / "prepared"))
    shown = plan(axolotl, cfg, tmp_path)
    assert shown.status == 0, shown.output
    assert "[INFO]" not in shown.output
    assert "Tokenizing" not in shown.output
    own = shown.output[shown.output.index("VersaTune is active") :].splitlines()
    assert len(own) < 30
    assert max(map(len, own[: own.index(next(line for line in own if line.startswith("  uniform:")))])) <= PIPED_WIDTH
    # The host's warnings stay, each once.
    assert shown.output.count("Processing datasets during training can lead to VRAM instability") == 1
    assert "Loading raw datasets" in (tmp_path / "out" / "debug.log").read_text()
    assert "[INFO]" in plan(axolotl, cfg, tmp_path, "--verbose").output


def test_what_fails_unforeseen_shows_what_the_host_said(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for file in tiny.model.iterdir():
        if "tokenizer" not in file.name:
            (tmp_path / "model" / file.name).write_bytes(file.read_bytes())
    cfg = tiny.config(tmp_path / "out", versatune=UNIFORM, base_model=str(tmp_path / "model"))
    failed = plan(axolotl, cfg, tmp_path)
    assert failed.status == 1
    said = failed.output.partition("what Axolotl said before it failed:")[2]
    assert "\n  config: ...\n" in said
    assert "Traceback" in said


def test_rows_that_preparing_lost_are_counted(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    long = tmp_path / "law.jsonl"
    row = {"instruction": "why", "input": "", "output": "because " * 60}
    long.write_text(
        tiny.files["law"].read_text() + "".join(json.dumps({**row, "input": str(n)}) + "\n" for n in range(7))
    )
    cfg = tiny.config(tmp_path / "out", versatune=UNIFORM, val_set_size=13)
    cfg["datasets"][0]["path"] = str(long)
    assert cfg["datasets"][0]["domain"] == "law"
    dropped = plan(axolotl, cfg, tmp_path)
    assert dropped.status == 0, dropped.output
    assert rows_of_table(dropped.output, "Where the rows go") == {
        "law": ["7", "0", "6", "4", "50"],
        "code": ["0", "0", "4", "4", "32"],
        "medicine": ["0", "0", "3", "4", "23"],
    }
    assert "no prompt could be made of them): 7 of law\n" in dropped.output
    cut = plan(axolotl, {**cfg, "excess_length_strategy": "truncate"}, tmp_path)
    assert cut.status == 0, cut.output
    assert rows_of_table(cut.output, "Where the rows go")["law"][0] == "0"
    assert "cut to sequence_len (256 tokens), or just as long: " in cut.output


def test_a_table_keeps_every_name_and_figure_at_the_least_width() -> None:
    names = ["law [eu] and everything else that has to do with it", "law [us]", "[bold]x[/bold]", "süß\x1b[31m"]
    columns = ["domain", "lost while prepared", "left out", "validation", "held out", "training rows"]
    shown = new_table("Where the rows go", columns)
    for name in names:
        add_row(shown, name, *["1,234,567"] * 5)
    out = io.StringIO()
    console = Console(file=out, width=LEAST_WIDTH, markup=True)
    console.print(shown)
    say(console, names[2])
    printed = out.getvalue()
    assert max(map(len, printed.splitlines())) <= LEAST_WIDTH
    assert printed.count("1,234,567") == 5 * len(names)
    cells = "".join(line.split("│")[1].strip() for line in printed.splitlines() if line.startswith("│"))
    for name in names:
        assert name.replace(" ", "").replace("\x1b", "\\x1b") in cells.replace(" ", "")
    assert printed.splitlines()[-1] == "[bold]x[/bold]"
    assert "…" not in printed


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"heldout": 8, "update_steps": 30},
            "measuring takes 7.5% of training compute, more than measure_budget (2.0%), and yet the weights move once "
            "in 40 steps: set `heldout` lower (8 now), raise `measure_budget`, or train longer",
        ),
        (
            {"heldout": 8, "update_steps": 10},
            "measuring takes 12.5% of training compute, more than measure_budget (2.0%): set `heldout` lower (8 now), "
            "set `update_steps` higher, or raise `measure_budget`",
        ),
        (
            {"heldout": 1, "update_steps": 39, "measure_budget": 0.1},
            "the weights move once in 40 steps: set `update_steps` lower (39 now), or train longer",
        ),
        (
            {"heldout": 4, "update_steps": 45, "measure_budget": 0.1},
            "the weights move not at all in 40 steps: set `update_steps` lower (45 now), or train longer",
        ),
        ({"heldout": 4, "update_steps": 10, "measure_budget": 0.1}, None),
    ],
)
def test_warnings_do_not_contradict_one_another(changes: dict[str, Any], told: str | None, tmp_path: Path) -> None:
    section = {"mixture": "versatune", "knowledge": "uniform", "reference": LOSSES, **changes}
    prepared = live(section, tmp_path).prepared
    warnings = plan_warnings(prepared, expected_rows(prepared), prepared.prior)
    assert warnings == ([] if told is None else [told])


def test_counts_have_the_noun_of_their_number() -> None:
    assert [counted(0, "row"), counted(1, "row"), counted(1200, "row")] == ["0 rows", "1 row", "1,200 rows"]
    assert [counted(1, "pass", "passes"), counted(2, "pass", "passes")] == ["1 pass", "2 passes"]
    assert [times(1), times(2), times(5)] == ["once", "twice", "5 times"]
