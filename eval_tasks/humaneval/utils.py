"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.code import chat_score
from versatune_plugin.evaluation.code import load_humaneval as load
from versatune_plugin.evaluation.code import score_humaneval as score
from versatune_plugin.evaluation.examples import no_examples

examples = no_examples("HumanEval", "a prompt is the head of a function, and all rows are scored")

__all__ = ["chat_score", "examples", "load", "score"]
