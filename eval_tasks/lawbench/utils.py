"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.examples import no_examples
from versatune_plugin.evaluation.lawbench import answer_score, chat_score, correction_f, load

examples = no_examples("LawBench", "one stands in every instruction")

__all__ = ["answer_score", "chat_score", "correction_f", "examples", "load"]
