"""What the quickstart prints: tables of what was made, found and reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from versatune_plugin.artifacts.knowledge import Knowledge
from versatune_plugin.console.tables import add_row, inert, new_table
from versatune_plugin.knowledge.comparison import total_variation
from versatune_plugin.schema.wording import counted

Shares = Mapping[str, float]


def heldout_losses(record: Sequence[Mapping[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    """Each domain's held-out loss where a run started and where it ended, in nats per token."""
    measured = [line["loss"] for line in record if line["kind"] == "measure"]
    return measured[0], measured[-1]


def show_corpus(console: Console, sizes: Mapping[str, tuple[int, int]], truth: Shares) -> None:
    """Rows and documents of each domain, and its share of the pretraining."""
    shown = new_table("Six domains", ("domain", "rows to tune on", "texts", "share of pretraining"))
    for name, (rows, documents) in sizes.items():
        add_row(shown, name, f"{rows:,}", f"{documents:,}", f"{truth[name]:.1%}")
    console.print(shown)


def show_detected(console: Console, knowledge: Knowledge, truth: Shares) -> None:
    """The detected distribution beside the mixture that the model was really pretrained on."""
    found = knowledge.probabilities
    title = f"What the base model knows, from {knowledge.texts:,} texts that it wrote from nothing"
    shown = new_table(title, ("domain", "detected", "95 % interval", "pretrained on", "off by"))
    for name in sorted(found, key=lambda name: (-found[name], name)):
        low, high = knowledge.interval95[name]
        off = f"{100 * (found[name] - truth[name]):+.1f} points"
        add_row(shown, name, f"{found[name]:.1%}", f"{low:.1%} - {high:.1%}", f"{truth[name]:.1%}", off)
    console.print(shown)
    console.print(f"total variation between the two: [bold]{total_variation(found, truth):.3f}[/] (0 same, 1 disjoint)")


def show_losses(
    console: Console, records: Mapping[str, Sequence[Mapping[str, Any]]], reference: Shares, heldout: int
) -> None:
    """Held-out losses at the start and at the end of every run, side by side; the lowest end is bold.

    Args:
        console: where to print.
        records: the record of each run, by its mixture. All start from the same model.
        reference: each domain's reference loss.
        heldout: rows of each domain that the losses are measured on.
    """
    start = heldout_losses(next(iter(records.values())))[0]
    ends = {mixture: heldout_losses(record)[1] for mixture, record in records.items()}
    shown = new_table("Held-out loss in nats per token (lower is better)", ("domain", "start", *ends, "reference"))
    for name in start:
        shown.add_row(
            inert(name),
            f"{start[name]:.3f}",
            *_best({m: end[name] for m, end in ends.items()}),
            f"{reference[name]:.3f}",
        )
    shown.add_section()
    mean = {mixture: _mean(end) for mixture, end in ends.items()}
    shown.add_row("mean", f"{_mean(start):.3f}", *_best(mean), f"{_mean(reference):.3f}")
    console.print(shown)
    console.print(
        f"One seed and {counted(heldout, 'held-out row')} a domain: the second decimal is noise. "
        "The reference was tuned on that domain alone."
    )


def show_weights(console: Console, record: Sequence[Mapping[str, Any]]) -> None:
    """The path of the weights: one column for each segment between two updates."""
    changes = [
        (0, record[0]["weights"]),
        *((line["step"], line["weights"]) for line in record if line["kind"] == "update"),
    ]
    shown = new_table(
        f"Weights of the run {record[0]['mixture']!r} by step", ["domain", *(f"{step}" for step, _ in changes)]
    )
    for name in changes[0][1]:
        add_row(shown, name, *(f"{weights[name]:.1%}" for _, weights in changes))
    console.print(shown)


def show_files(console: Console, out: Path, files: Mapping[str, str]) -> None:
    """Where everything lies.

    Args:
        console: where to print.
        out: the directory of the quickstart.
        files: path below ``out`` -> what it is.
    """
    shown = Table(title=f"In {out}", title_justify="left", show_header=False, box=None)
    for path, what in files.items():
        add_row(shown, path, what)
    console.print(shown)


def _best(values: Mapping[str, float]) -> list[str]:
    least = min(values.values())
    return [f"[bold]{value:.3f}[/]" if value == least else f"{value:.3f}" for value in values.values()]


def _mean(values: Shares) -> float:
    return sum(values.values()) / len(values)
