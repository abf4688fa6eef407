"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.scieval import chat_score, load, score

__all__ = ["chat_score", "load", "score"]
