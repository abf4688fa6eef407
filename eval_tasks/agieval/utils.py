"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.agieval import chat_score as chat_free_score
from versatune_plugin.evaluation.agieval import exam_score, free_score, load
from versatune_plugin.evaluation.choices import chat_score
from versatune_plugin.evaluation.examples import no_examples

examples = no_examples("AGIEval", "all its rows are scored, and no others are published in this form")

__all__ = ["chat_free_score", "chat_score", "exam_score", "examples", "free_score", "load"]
