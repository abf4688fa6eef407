"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.choices import chat_score
from versatune_plugin.evaluation.choices import length_normalised_score as score
from versatune_plugin.evaluation.examples import first_examples
from versatune_plugin.evaluation.hellaswag import load

examples = first_examples("HellaSwag", "the training split, which a local folder may lack")

__all__ = ["chat_score", "examples", "load", "score"]
