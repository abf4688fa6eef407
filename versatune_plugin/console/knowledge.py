"""The knowledge distribution as a table on the terminal."""

from __future__ import annotations

from rich.console import Console

from versatune_plugin.artifacts.knowledge import Knowledge
from versatune_plugin.console.tables import add_row, new_console, new_table, say
from versatune_plugin.schema.wording import counted


def show_knowledge(knowledge: Knowledge, console: Console | None = None) -> None:
    """Print each domain's share with its interval, how far the iterations differ, and how good the judge is.

    Args:
        knowledge: as `detect` returns it.
        console: where to print; by default the standard output.
    """
    console = console or new_console()
    made_by = knowledge.made_by
    start = made_by["start_token"]
    say(
        console,
        f"Knowledge of {made_by['base_model']}: {counted(knowledge.texts, 'text')} from {start['role'].upper()} "
        f"{start['token']!r}, {counted(len(knowledge.iterations), 'iteration')}",
    )
    shown = new_table(None, ("domain", "share", "95 % interval", "spread"))
    for name, share in sorted(knowledge.probabilities.items(), key=lambda item: (-item[1], item[0])):
        low, high = knowledge.interval95[name]
        add_row(shown, name, f"{share:.2%}", f"{low:.2%} - {high:.2%}", f"{made_by['spread'][name]:.2%}")
    console.print(shown)
    judge = made_by["judge"]
    quality = ""
    if "accuracy" in judge:
        quality = f", accuracy {judge['accuracy']:.1%} on rows it was not trained on"
    if "accuracy_unlike" in judge:
        quality += f", {judge['accuracy_unlike']:.1%} on rows unlike any that it was trained on"
    say(console, f"judge: {judge['name']}{quality}")
    for warning in judge.get("warnings", ()):
        say(console, f"warning: {warning}", style="yellow")
    say(
        console,
        f"without a usable judgement: {counted(knowledge.unparsed, 'text')}, {made_by['blank']} of them blank",
    )
    say(console, f"written to {knowledge.path}; beside it {made_by['texts_file']} and {made_by['judgements_file']}")
