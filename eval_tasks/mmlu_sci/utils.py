"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.choices import chat_score
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples
from versatune_plugin.evaluation.mmlu_sci import load

examples = first_examples("MMLU", "the split dev, which a local folder may lack")

__all__ = ["chat_score", "examples", "load", "score"]
