"""The interface of a judge, which says how probably a text belongs to each domain, and the judges by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from versatune_plugin.extensions import extensions

if TYPE_CHECKING:
    import numpy as np
    from axolotl.utils.dict import DictDefault
    from transformers import PreTrainedTokenizerBase

    from versatune_plugin.knowledge.options import DetectionOptions


class Judge(Protocol):
    """Gives probabilities, not labels (VersaTune, Algorithm 1, lines 4-5: p_ij of text i and domain j)."""

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Judge texts, none of them blank.

        Returns:
            float64, shape (texts, domains), the domains in the order of the judge's context; each row sums to 1, or
            is NaN throughout where the answer cannot be used. It depends on nothing but ``texts``.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """What decides the judgements, as plain JSON: kept judgements are used again only under equal settings."""
        ...

    def describe(self) -> dict[str, Any]:
        """The settings and what was measured about the judge's quality, as plain JSON, for the knowledge file."""
        ...


@dataclass(frozen=True)
class JudgeContext:
    """What a judge is made from.

    Attributes:
        domains: the names, in the order of the columns of the probabilities.
        options: the detection's options.
        cfg: Axolotl's validated configuration.
        dataset_domains: the domain of each of its data sets.
        tokenizer: the base model's tokenizer, which measures a text's length.
    """

    domains: tuple[str, ...]
    options: DetectionOptions
    cfg: DictDefault
    dataset_domains: Sequence[str]
    tokenizer: PreTrainedTokenizerBase


def _classifier(context: JudgeContext) -> Judge:
    from versatune_plugin.knowledge.classifier import ClassifierJudge

    return ClassifierJudge.from_context(context)


def _model(context: JudgeContext) -> Judge:
    from versatune_plugin.knowledge.model_judge import ModelJudge

    return ModelJudge.from_context(context)


GROUP = "versatune.judges"
_OURS: Mapping[str, Callable[[JudgeContext], Judge]] = {"classifier": _classifier, "model": _model}
# Others are functions of a `JudgeContext` that entry points of the group `GROUP` name.
JUDGES: Mapping[str, Callable[[JudgeContext], Judge]] = {**_OURS, **extensions(GROUP, _OURS)}
