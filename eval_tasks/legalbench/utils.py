"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.legalbench import (
    answer_score,
    balanced_accuracy,
    balanced_accuracy_stderr,
    chat_score,
    f1,
    f1_stderr,
    load,
)

__all__ = ["answer_score", "balanced_accuracy", "balanced_accuracy_stderr", "chat_score", "f1", "f1_stderr", "load"]
