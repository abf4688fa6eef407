"""LawBench: sub-tasks of Chinese law (Fei et al., 2023), one example each, answered in free text."""

from versatune_plugin.eval_tasks.lawbench.chat import chat_score
from versatune_plugin.eval_tasks.lawbench.rows import SUB_TASKS, load
from versatune_plugin.eval_tasks.lawbench.scoring import answer_score
from versatune_plugin.evaluation.examples import no_examples

__all__ = ["SUB_TASKS", "answer_score", "chat_score", "examples", "load"]

examples = no_examples("LawBench", "one stands in every instruction")
