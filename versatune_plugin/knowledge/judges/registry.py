"""The interface of a judge, which says how probably a text belongs to each domain, and the judges by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.extensions import extensions

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from versatune_plugin.knowledge.judges.domain_rows import DomainRows
    from versatune_plugin.knowledge.options import JudgeOptions


class Judge(Protocol):
    """Gives probabilities, not labels (VersaTune, Algorithm 1, lines 4-5: p_ij of text i and domain j)."""

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Judge texts, none of them blank.

        Args:
            texts: what the base model wrote, without markup and layout (see `DomainRows.read`), at most a batch.

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
        descriptions: what belongs to a domain, in words, of the domains that have a description.
        options: what the user chose.
        rows: contents of the configuration's rows, by domain.
        trust_remote_code: whether code from a model's repository may run.
        answers: the file in which a judge that asks a server keeps the answers, or None to keep none.
    """

    domains: tuple[str, ...]
    descriptions: Mapping[str, str]
    options: JudgeOptions
    rows: DomainRows
    trust_remote_code: bool = False
    answers: Path | None = None


MakeJudge = Callable[[JudgeContext], Judge]
GROUP = "versatune.judges"
# What makes each of those registered so far; `known_judges` has those of other packages, too.
JUDGES: dict[str, MakeJudge] = {}
# The judges that load the model of ``--judge-model``, and the one that asks a server.
NEEDS_MODEL = {"model": "an instruct model", "embedding": "a model of sentence embeddings"}
SERVED = "http"
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


def judge_problems(options: JudgeOptions) -> list[str]:
    """What is wrong with the choice of a judge, a sentence each.

    Args:
        options: what the user chose.
    """
    name = options.judge
    if name not in known_judges():
        return [f"--judge is {name!r}, but the judges are: {', '.join(sorted(known_judges()))}"]
    problems = []
    if name in NEEDS_MODEL and not options.judge_model:
        problems.append(f"--judge {name} needs --judge-model: {NEEDS_MODEL[name]}, by Hugging Face id or path")
    if name not in (*NEEDS_MODEL, SERVED) and options.judge_model:
        problems.append(
            f"--judge-model is given, but --judge {name} uses no model: give --judge "
            f"{' or '.join((*NEEDS_MODEL, SERVED))}, or leave it out"
        )
    if name == SERVED and not options.judge_url:
        problems.append("--judge http needs --judge-url: the address of an OpenAI-compatible server")
    if name != SERVED:
        problems += [
            f"{option} is given, but --judge {name} asks no server: give --judge http, or leave it out"
            for option, value in (
                ("--judge-url", options.judge_url),
                ("--judge-key-env", options.judge_key_env),
                ("--judge-rotations", options.judge_rotations),
                ("--judge-price", options.judge_price),
            )
            if value
        ]
    return problems
