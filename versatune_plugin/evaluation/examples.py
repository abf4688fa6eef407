"""Examples before a question (``--num_fewshot``): which rows they are, or an error that says why there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.samplers import ContextSampler

from versatune_plugin.errors import ConfigurationError

Rows = Sequence[Mapping[str, Any]]


def first_examples(benchmark: str, source: str) -> type[ContextSampler]:
    """The sampler of a benchmark whose examples are the first rows of a split that is not scored.

    Args:
        benchmark: its name, for the error.
        source: where they come from, in words.
    """

    class FirstExamples(ContextSampler):
        def sample(self, n: int, eval_doc: Mapping[str, Any] | None = None, df: Any = None, **_: Any) -> Rows:
            """The first ``n`` rows; raises `VersaTuneError` where there are not as many."""
            if n > len(self.df):
                raise ConfigurationError(
                    f"--num_fewshot {n}: {benchmark} has {len(self.df)} examples here ({source}); ask for no more"
                )
            return list(self.df[:n])

    return FirstExamples


def no_examples(benchmark: str, reason: str) -> type[ContextSampler]:
    """The sampler of a benchmark whose examples, if it has any, stand in its prompts.

    Args:
        benchmark: its name, for the error.
        reason: why there are no further ones.
    """

    class NoExamples(ContextSampler):
        def sample(self, n: int, eval_doc: Mapping[str, Any] | None = None, df: Any = None, **_: Any) -> Rows:
            """Refuse.

            Raises:
                VersaTuneError: always.
            """
            raise ConfigurationError(
                f"--num_fewshot {n}: {benchmark} takes no examples: {reason}; leave the option out"
            )

    return NoExamples
