"""The interface of a judge, which says how probably a text belongs to each domain, and the judges by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.extensions import extensions

if TYPE_CHECKING:
    import numpy as np
    from axolotl.utils.dict import DictDefault
    from transformers import PreTrainedTokenizerBase


class Judge(Protocol):
    """Gives probabilities, not labels (VersaTune, Algorithm 1, lines 4-5: p_ij of text i and domain j)."""

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Judge texts, none of them blank.

        Args:
            texts: as the base model wrote them, at most a batch.

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


@dataclass(frozen=True, kw_only=True)
class JudgeContext:
    """What a judge is made from.

    Attributes:
        domains: the names, in the order of the columns of the probabilities.
        cfg: Axolotl's validated configuration.
        dataset_domains: the domain of each of its data sets, in their order.
        tokenizer: the base model's tokenizer, which measures a text's length.
        max_new_tokens: the length of a text at most, in tokens of that tokenizer.
        seed: of whatever the judge draws.
        training_rows: for a judge that is trained on the data sets' rows: so many of each domain at most.
        judge_model: for a judge that asks a model: its Hugging Face id or path.
    """

    domains: tuple[str, ...]
    cfg: DictDefault
    dataset_domains: Sequence[str]
    tokenizer: PreTrainedTokenizerBase
    max_new_tokens: int
    seed: int
    training_rows: int
    judge_model: str | None = None


MakeJudge = Callable[[JudgeContext], Judge]
GROUP = "versatune.judges"
# What makes each of those registered so far; `known_judges` has those of other packages, too.
JUDGES: dict[str, MakeJudge] = {}
# The one judge that asks the model of ``--judge-model``.
MODEL = "model"
Made = TypeVar("Made", bound=MakeJudge)


def register_judge(name: str) -> Callable[[Made], Made]:
    """A decorator: let ``--judge`` name this function of a `JudgeContext`, or this class.

    A package of its own also names it in an entry point of the group `GROUP`, so that it is imported.

    Args:
        name: what ``--judge`` says.

    Raises:
        ValueError: the name is taken.
    """

    def register(make: Made) -> Made:
        if JUDGES.setdefault(name, make) is not make:
            raise ValueError(f"a judge called {name!r} is registered already: {JUDGES[name]}")
        return make

    return register


def known_judges() -> Mapping[str, MakeJudge]:
    """All that ``--judge`` may name.

    Raises:
        ConfigurationError: a judge of another package cannot be loaded, is none, or has a name that is taken.
    """
    _register_extensions()
    return JUDGES


@functools.cache
def _register_extensions() -> None:
    # Not when this is imported: the other package may be what imports it.
    for name, make in extensions(GROUP, set(JUDGES)).items():
        if not callable(make):
            raise ConfigurationError(
                f"the entry point {name!r} of {GROUP} is {make!r}: it must be a class, or a function, of one argument, "
                "a versatune_plugin.knowledge.judges.JudgeContext"
            )
        register_judge(name)(make)


def judge_problems(name: str, judge_model: str | None) -> list[str]:
    """What is wrong with the choice of a judge, a sentence each.

    Args:
        name: what ``--judge`` says.
        judge_model: what ``--judge-model`` says, or None.
    """
    if name not in known_judges():
        return [f"--judge is {name!r}, but the judges are: {', '.join(sorted(known_judges()))}"]
    if name == MODEL and not judge_model:
        return ["--judge model needs --judge-model: an instruct model, by Hugging Face id or path"]
    if name != MODEL and judge_model:
        return [f"--judge-model is given, but --judge {name} uses no model: give --judge model, or leave it out"]
    return []
