"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.examples import no_examples
from versatune_plugin.evaluation.legalbench import (
    answer_score,
    balanced_accuracy,
    balanced_accuracy_stderr,
    chat_score,
    f1,
    f1_stderr,
    load,
)

examples = no_examples("LegalBench", "one stands in every prompt")

__all__ = [
    "answer_score",
    "balanced_accuracy",
    "balanced_accuracy_stderr",
    "chat_score",
    "examples",
    "f1",
    "f1_stderr",
    "load",
]
