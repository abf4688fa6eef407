"""What makes a run's scores something else than they seem: unread answers, and tasks that do not fit the model."""

from __future__ import annotations

from versatune_plugin.evaluation.benchmarks import BENCHMARKS, CHAT, PREFIXES
from versatune_plugin.evaluation.scores import Run

# From this share of answers that could not be read on, a score says something about their form.
UNREAD = 0.05
FOR_CHAT = f"`--tasks '{PREFIXES[CHAT]}*' --apply_chat_template`"


def warnings(run: Run) -> list[str]:
    """A sentence for each reason not to take the scores of a run for what they seem, with what to do."""
    unread = {name: score.unparsed for name, score in run.benchmarks.items() if score.unparsed is not None}
    unread = {name: share for name, share in unread.items() if share >= UNREAD}
    messages = []
    if unread:
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in unread.items())
        messages.append(f"answers that could not be read count as wrong, and form is no ability: {shares}")
    ours = {name: one for name, one in run.settings.items() if name in BENCHMARKS}
    plain = [name for name, one in ours.items() if not one.for_chat and BENCHMARKS[name].generated]
    chat = [name for name, one in ours.items() if one.for_chat]
    if any(run.settings[name].templated for name in plain):
        messages.append(
            f"{', '.join(plain)}: a chat template, with tasks for base models; for such a model: {FOR_CHAT}"
        )
    elif unread.keys() & set(plain):
        messages.append(f"if the model has a chat template, the tasks for it are {FOR_CHAT}")
    if bare := [name for name in chat if run.settings[name].templated is False]:
        messages.append(
            f"{', '.join(bare)}: tasks for chat models without a template; add --apply_chat_template, or run those "
            f"for base models: `--tasks '{PREFIXES['']}*'`"
        )
    elif unread.keys() & set(chat):
        messages.append(
            "a chain of thought that is cut off has no answer: give it room (`--gen_kwargs max_gen_toks=8192`), and "
            "look at what was answered (`--log_samples`)"
        )
    return [f"{run.name}: {message}" for message in messages]
