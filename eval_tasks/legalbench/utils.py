"""LegalBench: 161 sub-tasks of legal reasoning that a program can score (Guha et al., 2023)."""

from versatune_plugin.eval_tasks.legalbench.chat import chat_score
from versatune_plugin.eval_tasks.legalbench.rows import SUB_TASKS, load
from versatune_plugin.eval_tasks.legalbench.scoring import (
    answer_score,
    balanced_accuracy,
    balanced_accuracy_stderr,
    f1,
    f1_stderr,
)
from versatune_plugin.evaluation.examples import no_examples

__all__ = [
    "SUB_TASKS",
    "answer_score",
    "balanced_accuracy",
    "balanced_accuracy_stderr",
    "chat_score",
    "examples",
    "f1",
    "f1_stderr",
    "load",
]

examples = no_examples("LegalBench", "one stands in every prompt")
