"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.lawbench import answer_score, chat_score, correction_f, load

__all__ = ["answer_score", "chat_score", "correction_f", "load"]
