"""Points to the code in the package; lm-eval runs this file once for each reference."""

from versatune_plugin.evaluation.agieval import exam_score, free_score, load
from versatune_plugin.evaluation.examples import no_examples

examples = no_examples("AGIEval", "all its rows are scored, and no others are published in this form")

__all__ = ["exam_score", "examples", "free_score", "load"]
