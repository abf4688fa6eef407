"""Judges: how probably a text belongs to each domain.

Importing the room registers every judge; what a judge needs (torch, scikit-learn) is imported when it is made.
"""

from __future__ import annotations

from versatune_plugin.knowledge.judges.registry import (
    JUDGES,
    Judge,
    JudgeContext,
    judge_problems,
    register_extensions,
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


register_extensions()

__all__ = ["JUDGES", "Judge", "JudgeContext", "judge_problems", "register_judge"]
