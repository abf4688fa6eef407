"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.code import chat_score
from versatune_plugin.evaluation.code import load_mbpp as load
from versatune_plugin.evaluation.code import score_mbpp as score
from versatune_plugin.evaluation.examples import no_examples

examples = no_examples("MBPP", "a prompt is a docstring, and all rows are scored")

__all__ = ["chat_score", "examples", "load", "score"]
