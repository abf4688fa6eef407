"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.choices import chat_score
from versatune_plugin.evaluation.choices import choice_score as score
from versatune_plugin.evaluation.examples import first_examples
from versatune_plugin.evaluation.financeiq import load

examples = first_examples("FinanceIQ", "the split dev")

__all__ = ["chat_score", "examples", "load", "score"]
