"""LawBench: twenty sub-tasks of Chinese law (Fei et al., 2023), one example each, answered in free text."""

from versatune_plugin.evaluation.lawbench.chat import chat_score
from versatune_plugin.evaluation.lawbench.corrections import correction_f
from versatune_plugin.evaluation.lawbench.rows import SUB_TASKS, TITLES, load
from versatune_plugin.evaluation.lawbench.scoring import answer_score

__all__ = ["SUB_TASKS", "TITLES", "answer_score", "chat_score", "correction_f", "load"]
