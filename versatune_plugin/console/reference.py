"""The reference losses as a table on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from versatune_plugin.artifacts.reference import ReferenceFile
from versatune_plugin.console.tables import add_row, new_table, say


def show_references(console: Console, file: Path, losses: ReferenceFile) -> None:
    """Print each domain's reference loss, the epoch that it is of, and the losses of all epochs.

    Args:
        console: where to print.
        file: that they are in.
        losses: as `reference` wrote them.
    """
    shown = new_table("Reference losses", ("domain", "nats per token", "bits per byte", "best epoch"))
    shown.add_column("nats per token after each epoch", overflow="fold")
    for name, loss in sorted(losses.nats_per_token.items()):
        bits = "-" if losses.bits_per_byte is None else f"{losses.bits_per_byte[name]:.4f}"
        best = "-" if losses.best_epoch is None else f"{losses.best_epoch[name]}"
        epochs = [] if losses.epochs is None else losses.epochs[name]
        path = " ".join("not finite" if one is None else f"{one:.4f}" for one in epochs)
        add_row(shown, name, f"{loss:.4f}", bits, best, path)
    console.print(shown)
    say(console, f"reference losses are in {file}; training reads them with `reference: {file}`")
