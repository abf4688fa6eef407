"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.choices import chat_score
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples
from versatune_plugin.evaluation.medqa import load

examples = first_examples("MedQA", "the training split")

__all__ = ["chat_score", "examples", "load", "score"]
