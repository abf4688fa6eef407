"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.examples import no_examples
from versatune_plugin.evaluation.scieval import chat_score, load, score

examples = no_examples("SciEval", "the one that fits a question stands in its prompt")

__all__ = ["chat_score", "examples", "load", "score"]
