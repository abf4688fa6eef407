"""The knowledge distribution as a table on the terminal."""

from __future__ import annotations

from rich.console import Console

from versatune_plugin.artifacts.knowledge import Knowledge
from versatune_plugin.console.tables import add_row, new_console, new_table, say
from versatune_plugin.schema.wording import counted

# A share of texts that hardly are texts which a user should see.
MUCH = 0.05
VERBALISED = (
    "its probabilities are those that it wrote as JSON, rounded and over-confident: judge-check calibrates them"
)


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
    others = [name for name in made_by["estimates"] if name != made_by["estimator"]]
    shown = new_table(None, ("domain", "share", "95 % interval", "spread", *(f"by {name}" for name in others)))
    for name, share in sorted(knowledge.probabilities.items(), key=lambda item: (-item[1], item[0])):
        low, high = knowledge.interval95[name]
        beside = [f"{made_by['estimates'][other]['probabilities'][name]:.2%}" for other in others]
        add_row(shown, name, f"{share:.2%}", f"{low:.2%} - {high:.2%}", f"{made_by['spread'][name]:.2%}", *beside)
    console.print(shown)
    rows = f", corrected by {counted(made_by['labelled_rows'], 'labelled row')}" if made_by["labelled_rows"] else ""
    say(console, f"the share is the estimate {made_by['estimator']!r}; the others are beside it{rows}")
    judge = made_by["judge"]
    quality = ""
    if "accuracy" in judge:
        quality = f", accuracy {judge['accuracy']:.1%} on rows it was not trained on"
    if "accuracy_unlike" in judge:
        quality += f", {judge['accuracy_unlike']:.1%} on rows unlike any that it was trained on"
    model = f" {judge['model']}" if "model" in judge else ""
    tokens = ""
    if judge.get("tokens_read"):
        tokens = f"; {judge['tokens_read']:,} tokens read, {judge['tokens_written']:,} written"
    say(console, f"judge: {judge['name']}{model}{quality}{tokens}")
    if judge.get("verbalised"):
        say(console, VERBALISED)
    for warning in judge.get("warnings", ()):
        say(console, f"warning: {warning}", style="yellow")
    say(
        console,
        f"without a usable judgement: {counted(knowledge.unparsed, 'text')}, {made_by['blank']} of them blank",
    )
    hardly = {kind: count for kind, count in made_by["degenerate"].items() if count and kind != "blank"}
    if hardly:
        named = ", ".join(f"{count:,} {kind}" for kind, count in hardly.items())
        much = sum(hardly.values()) > MUCH * knowledge.texts
        say(console, f"texts that hardly are texts: {named}", style="yellow" if much else "")
    say(console, f"written to {knowledge.path}; beside it {made_by['texts_file']} and {made_by['judgements_file']}")
