"""What `plan` promises is what the run draws, wherever the weights are known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Axolotl, Tiny
from tests.helpers.printed import rows_of_table
from versatune_plugin.artifacts.record import read_record

DRAWN = "What the run draws of them"
FIRST = {"law": 0.2, "code": 0.7, "medicine": 0.1}
THEN = {"law": 0.2, "code": 0.1, "medicine": 0.7}
SCHEDULE = {
    "mixture": "schedule",
    "schedule": [{"step": 0, "weights": FIRST}, {"step": 4, "weights": THEN}],
    "samples_per_epoch": 64,
    "heldout": 4,
}
PACKED = {"sample_packing": True, "eval_sample_packing": False, "sequence_len": 512}
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "shares of rows": (SCHEDULE, {"micro_batch_size": 4}),
    "more than an epoch": (SCHEDULE, {"num_epochs": 1.5}),
    "shares of tokens": ({**SCHEDULE, "unit": "tokens"}, {}),
    "packing": (SCHEDULE, {**PACKED, "max_steps": 9}),
    "stages": ({"mixture": "dmt", "general": "law", "share": "1/4", "epochs": 2, "heldout": 4}, {}),
    "a domain used up": ({"mixture": "constant", "knowledge": FIRST, "heldout": 4, "max_passes": 1}, {}),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_rows_of_the_plan_are_those_of_the_run(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, name: str) -> None:
    section, changes = RUNS[name]
    cfg = tiny.config(tmp_path / "out", versatune=section, **changes)
    path = tmp_path / "run.yml"
    path.write_text(yaml.safe_dump(cfg))
    planned = axolotl.run("axolotl.cli.main", "versatune", "plan", str(path))
    assert planned.status == 0, planned.output
    finished = axolotl.run("axolotl.cli.train", str(path))
    assert finished.status == 0, finished.output
    end = read_record(tmp_path / "out")[-1]
    rows = rows_of_table(planned.output, DRAWN)
    assert {domain: int(cells[-2]) for domain, cells in rows.items()} == end["rows"]
    assert {domain: cells[-1] for domain, cells in rows.items()} == {n: f"{p:.2f}" for n, p in end["passes"].items()}
    # Training's start shows the same.
    assert rows_of_table(finished.output, DRAWN) == rows
    if name == "a domain used up":
        assert f"max_passes (1) ends the run after {end['step']} steps of" in planned.output


def test_weights_that_follow_losses_are_said_to_be_those_of_the_start(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path
) -> None:
    section = {"mixture": "versatune", "knowledge": FIRST, "reference": {"law": 1, "code": 1, "medicine": 1}}
    cfg = tiny.config(tmp_path / "out", versatune={**section, "heldout": 4, "update_steps": 5})
    path = tmp_path / "run.yml"
    path.write_text(yaml.safe_dump(cfg))
    planned = axolotl.run("axolotl.cli.main", "versatune", "plan", str(path))
    assert planned.status == 0, planned.output
    headings = [line for line in planned.output.splitlines() if line.startswith("┃")]
    assert sum("starting" in line for line in headings) == 1
    assert {n: cells[-2] for n, cells in rows_of_table(planned.output, DRAWN).items()} == {
        "law": "24",
        "code": "84",
        "medicine": "12",
    }
