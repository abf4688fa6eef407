"""What a run shows once it is over: the figures of its record."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Axolotl, Tiny
from tests.helpers.printed import rows_of_table
from versatune_plugin.artifacts.record import read_record

MOVED = "Weights, and held-out losses in nats per token"
DRAWN = "What was drawn"
REFERENCE = {"law [eu]": 1.0, "law [us]": 2.0, "medicine": 0.5}


def test_the_tables_are_those_of_the_record_and_shown_once(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    section = {"mixture": "versatune", "knowledge": "uniform", "reference": REFERENCE, "heldout": 4, "update_steps": 3}
    cfg = tiny.config(tmp_path / "out", versatune=section, max_steps=8, learning_rate=5e-3, micro_batch_size=1)
    for entry, name in zip(cfg["datasets"], REFERENCE, strict=True):
        entry["domain"] = name
    finished = axolotl.train(cfg, processes=2)
    assert finished.status == 0, finished.output
    start, *lines, end = read_record(tmp_path / "out")
    changes = [line for line in lines if line["kind"] == "update"]
    moved, drawn = rows_of_table(finished.output, MOVED), rows_of_table(finished.output, DRAWN)
    assert set(moved) == set(drawn) == set(REFERENCE)
    for name, reference in REFERENCE.items():
        assert changes[-1]["weights"][name] != start["weights"][name]
        figures = (start["weights"], changes[-1]["weights"], lines[0]["loss"], lines[-1]["loss"])
        assert moved[name] == [f"{one[name]:.4f}" for one in figures] + [f"{reference:.4f}"]
        assert drawn[name] == [
            str(end["rows"][name]),
            f"{end['passes'][name]:.2f}",
            f"{end['rows'][name] / 32:.1%}",
            f"{end['tokens'][name]:,}",
            f"{end['tokens'][name] / sum(end['tokens'].values()):.1%}",
        ]
    assert f"the record is {tmp_path / 'out' / 'versatune.jsonl'}" in finished.output


def test_without_measurements_there_are_no_losses(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", versatune={"mixture": "uniform", "heldout": 0}, max_steps=2)
    finished = axolotl.train(cfg)
    assert finished.status == 0, finished.output
    assert rows_of_table(finished.output, "Weights")["law"] == ["0.3333", "0.3333"]
    assert "VersaTune is done: mixture 'uniform', 2 optimizer steps" in finished.output
