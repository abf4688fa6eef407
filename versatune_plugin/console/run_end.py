"""What a run came to, as tables on the terminal once it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from versatune_plugin.artifacts.record import RECORD_FILE, WEIGHT_LINES, read_record
from versatune_plugin.console.report import write_page
from versatune_plugin.console.tables import add_row, new_console, new_table, say
from versatune_plugin.schema.wording import counted


def show_end(output_dir: Path) -> None:
    """Print how weights and held-out losses moved and what was drawn, write the report, and say where both are.

    Args:
        output_dir: of a run that is over.

    Raises:
        ArtifactError: the record cannot be read.
    """
    record = read_record(output_dir)
    console = new_console()
    say(
        console, f"VersaTune is done: mixture {record[0]['mixture']!r}, {counted(record[-1]['step'], 'optimizer step')}"
    )
    console.print(_moved(record))
    console.print(_drawn(record[-1]))
    say(console, f"  the record is {output_dir / RECORD_FILE}: each measurement, and each change of the weights")
    say(console, write_page([output_dir]))


def _moved(record: Sequence[Mapping[str, Any]]) -> Table:
    start = record[0]
    weights = [start["weights"], *(line["weights"] for line in record if line["kind"] in WEIGHT_LINES)]
    losses = [line["loss"] for line in record if line["kind"] != "test" and line.get("loss") is not None]
    reference = start.get("reference")
    columns = ["domain", "weight at start", "weight at end"]
    columns += ["loss at start", "loss at end"] if losses else []
    columns += ["reference loss"] if reference else []
    shown = new_table("Weights, and held-out losses in nats per token" if losses else "Weights", columns)
    for name in start["weights"]:
        cells = [f"{one[name]:.4f}" for one in (weights[0], weights[-1])]
        cells += [_loss(one[name]) for one in (losses[0], losses[-1])] if losses else []
        cells += [_loss(reference[name])] if reference else []
        add_row(shown, name, *cells)
    return shown


def _drawn(end: Mapping[str, Any]) -> Table:
    shown = new_table(
        "What was drawn", ["domain", "rows drawn", "passes", "share of rows", "tokens learnt", "share of tokens"]
    )
    rows, tokens = end["rows"], end["tokens"]
    all_rows, all_tokens = max(sum(rows.values()), 1), max(sum(tokens.values()), 1)
    for name in rows:
        cells = (f"{rows[name]:,}", f"{end['passes'][name]:.2f}", f"{rows[name] / all_rows:.1%}")
        add_row(shown, name, *cells, f"{tokens[name]:,}", f"{tokens[name] / all_tokens:.1%}")
    return shown


def _loss(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"
