"""The judge ``embedding``: how near a text lies to each domain's description, without training."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from versatune_plugin.artifacts.fingerprint import weights_identity
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.knowledge.judges.domain_rows import digest
from versatune_plugin.knowledge.ranks import local_rank

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from versatune_plugin.knowledge.judges.registry import JudgeContext

LOG = logging.getLogger("axolotl.versatune")
# Cosines of sentence embeddings lie close together; a softmax of them as they are would be nearly uniform.
TEMPERATURE = 0.05


class EmbeddingJudge:
    """Softmax over cosines between a text and each domain's description, divided by `TEMPERATURE`.

    A description in several parts, with ``;`` between them, counts by the part that is nearest to the text.

    Args:
        name: of a model of sentence-transformers, or its folder.
        domains: the names.
        descriptions: what belongs to a domain, in words; the name stands for one that has none.
        trust_remote_code: whether code from the model's repository may run.

    Raises:
        ConfigurationError: sentence-transformers is not installed, or there is no such model.
    """

    def __init__(
        self, name: str, domains: Sequence[str], descriptions: Mapping[str, str], *, trust_remote_code: bool = False
    ) -> None:
        try:
            import sentence_transformers  # noqa: F401
        except ImportError as error:
            raise ConfigurationError(
                "--judge embedding needs the package sentence-transformers: pip install 'versatune[embedding]'"
            ) from error
        self._name = name
        self._weights = weights_identity(name)
        self._trust = trust_remote_code
        self._parts = [_parts(domain, descriptions.get(domain, domain)) for domain in domains]
        if lacking := [domain for domain in domains if domain not in descriptions]:
            LOG.warning(
                "the judge `embedding` knows %s by name alone: describe each under `versatune.descriptions:`",
                ", ".join(lacking),
            )

    @classmethod
    def from_context(cls, context: JudgeContext) -> EmbeddingJudge:
        """The judge for a configuration.

        Args:
            context: whose options have a ``judge_model``.
        """
        name = context.options.judge_model
        assert name is not None
        return cls(name, context.domains, context.descriptions, trust_remote_code=context.trust_remote_code)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Judge.probabilities`."""
        found = self._embedded(texts)
        near = np.stack([(found @ parts.T).max(axis=1) for parts in self._described], axis=1)
        return np.asarray(softmax(near / TEMPERATURE, axis=1))

    def settings(self) -> dict[str, Any]:
        """Model, weights and descriptions; see `Judge.settings`."""
        return {
            "name": "embedding",
            "model": self._name,
            "weights": self._weights,
            "descriptions": digest(self._parts),
            "temperature": TEMPERATURE,
        }

    def describe(self) -> dict[str, Any]:
        """The settings and the descriptions in words."""
        return self.settings() | {"described": ["; ".join(parts) for parts in self._parts]}

    def _embedded(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float64, shape (texts, width)."""
        given = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=64)
        return np.asarray(given, dtype=np.float64)

    @cached_property
    def _described(self) -> list[np.ndarray]:
        return [self._embedded(parts) for parts in self._parts]

    @cached_property
    def _model(self) -> SentenceTransformer:
        import torch
        from sentence_transformers import SentenceTransformer

        try:
            device = f"cuda:{local_rank()}" if torch.cuda.is_available() else "cpu"
            return SentenceTransformer(self._name, trust_remote_code=self._trust, device=device)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{self._name}: no model of sentence embeddings ({error})") from error


def _parts(domain: str, description: str) -> list[str]:
    """A description in its parts, each after the domain's name."""
    words = [" ".join(part.split()) for part in description.split(";") if part.strip()]
    return [f"{domain}: {part}" if part != domain else domain for part in words or [domain]]
