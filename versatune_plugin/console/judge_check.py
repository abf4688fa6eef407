"""What a judge's check found, on the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from versatune_plugin.console.tables import add_row, new_table, say
from versatune_plugin.schema.wording import counted


def show_check(console: Console, path: Path, figures: Mapping[str, Any], plot: Path | None) -> None:
    """Print the confusion, and how far the judge's probabilities can be taken at their word.

    Args:
        console: where to print.
        path: the file of the check.
        figures: what is in it, see `versatune_plugin.knowledge.check.check_judge`.
        plot: where to draw, or None.
    """
    found, about = figures["quality"], figures["about_judge"]
    confusion = found["confusion"]
    model = f" {about['model']}" if "model" in about else ""
    say(console, f"The judge {about['name']}{model} on {counted(sum(found['rows'].values()), 'labelled row')}")
    shown = new_table("rows of (down), judged to be of (across)", ("domain", *confusion, "recall"))
    for name, row in confusion.items():
        counts = sum(row.values())
        add_row(shown, name, *(str(count) for count in row.values()), f"{row[name] / counts:.1%}" if counts else "-")
    console.print(shown)
    say(
        console,
        f"accuracy {found['accuracy']:.1%}, Brier score {found['brier']:.3f}, expected calibration error "
        f"{found['calibration_error']:.3f} ({found['calibration_error_scaled']:.3f} at a temperature of "
        f"{found['temperature']:.3g}, fitted on the other half)",
    )
    tokens = ""
    if figures["tokens_read"]:
        tokens = f"; {figures['tokens_read']:,} tokens read and {figures['tokens_written']:,} written"
    say(
        console,
        f"{figures['texts_per_second']:.3g} rows a second{tokens}; without a usable judgement: "
        f"{counted(found['unusable'], 'row')}",
    )
    for warning in about.get("warnings", ()):
        say(console, f"warning: {warning}", style="yellow")
    say(console, "these are rows, and no texts that a base model wrote: on those a judge may be worse")
    if plot is not None:
        from versatune_plugin.console.check_plots import plot_check

        plot_check(figures, plot)
        say(console, f"drawn to {plot}")
    say(console, f"written to {path}; `axolotl versatune detect` corrects its shares by it")
