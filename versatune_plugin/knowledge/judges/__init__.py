"""Judges: how probably a text belongs to each domain.

Importing the package registers our judges; what a judge needs (torch, scikit-learn) is imported when it is made.
"""

from __future__ import annotations

from versatune_plugin.knowledge.judges.registry import (
    Judge,
    JudgeContext,
    judge_problems,
    known_judges,
    register_judge,
)


@register_judge("classifier")
def _classifier(context: JudgeContext) -> Judge:
    from versatune_plugin.knowledge.judges.classifier import ClassifierJudge

    return ClassifierJudge.from_context(context)


@register_judge("model")
def _model(context: JudgeContext) -> Judge:
    from versatune_plugin.knowledge.judges.model import ModelJudge

    return ModelJudge.from_context(context)


@register_judge("embedding")
def _embedding(context: JudgeContext) -> Judge:
    from versatune_plugin.knowledge.judges.embedding import EmbeddingJudge

    return EmbeddingJudge.from_context(context)


@register_judge("http")
def _http(context: JudgeContext) -> Judge:
    from versatune_plugin.knowledge.judges.chat import ChatJudge

    return ChatJudge.from_context(context)


__all__ = ["Judge", "JudgeContext", "judge_problems", "known_judges", "register_judge"]
