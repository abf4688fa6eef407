"""The judge ``model``: an instruct model that is asked for a text's domain; its probabilities of the answers."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from versatune_plugin.artifacts.fingerprint import weights_identity
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.knowledge.ranks import alone, local_rank

if TYPE_CHECKING:
    from versatune_plugin.knowledge.judges.registry import JudgeContext

PROMPT = """Which domain does the text between the two lines of dashes belong to? The domains are: {domains}.{described}
----------
{text}
----------
Answer with the name of one of these domains and nothing else."""
PLAIN_CUE = "\nDomain:"


class ModelJudge:
    """Softmax over the log-probabilities of the domains' names as whole answers.

    Each name is scored with the token that ends an answer, so no answer is a prefix of another ("law" and "law_eu"
    compete fairly) and the softmax is exactly the model's distribution over its answers, given that it gives one of the
    names. A score normalised by length would not be a probability of anything.

    Args:
        name: Hugging Face id or path.
        domains: the names, as they are offered to the model.
        descriptions: what belongs to a domain, in words.
        trust_remote_code: whether code from the model's repository may run.
    """

    def __init__(
        self,
        name: str,
        domains: Sequence[str],
        descriptions: Mapping[str, str] | None = None,
        *,
        trust_remote_code: bool = False,
    ) -> None:
        self._name = name
        self._domains = tuple(domains)
        self._described = described(domains, descriptions or {})
        self._trust = trust_remote_code
        self._weights = weights_identity(name)

    @classmethod
    def from_context(cls, context: JudgeContext) -> ModelJudge:
        """The judge for a configuration.

        Args:
            context: whose options have a ``judge_model``.
        """
        name = context.options.judge_model
        assert name is not None
        return cls(name, context.domains, context.descriptions, trust_remote_code=context.trust_remote_code)

    def settings(self) -> dict[str, Any]:
        """Model, weights and prompt; see `Judge.settings`."""
        asked = repr((PROMPT, self._described, PLAIN_CUE, self.tokenizer.chat_template))
        return {
            "name": "model",
            "model": self._name,
            "weights": self._weights,
            "prompt": hashlib.sha256(asked.encode("utf-8")).hexdigest()[:16],
        }

    def describe(self) -> dict[str, Any]:
        """The settings and the prompt in words."""
        return self.settings() | {"question": PROMPT, "chat_template": self.tokenizer.chat_template is not None}

    @torch.no_grad()
    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """See `Judge.probabilities`; a text that gives no finite score gets a row of NaN."""
        prompts = [self.prompt(text) for text in texts]
        longest = max(len(prompt) for prompt in prompts) + max(len(answer) for answer in self.answers)
        positions = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if positions is not None and longest > positions:
            raise ConfigurationError(
                f"{self._name}: judging takes {longest} tokens, but the model has {positions} positions: "
                "give --max-new-tokens a smaller value, or choose another --judge-model"
            )
        width = max(len(prompt) for prompt in prompts)
        # Padding stands on the left, so that every answer follows its prompt at the same place.
        tokens = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts], device=self._model.device)
        mask = torch.tensor(
            [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=self._model.device
        )
        places = (mask.cumsum(dim=1) - 1).clamp(min=0)
        asked = self._model(
            input_ids=tokens, attention_mask=mask, position_ids=places, use_cache=True, logits_to_keep=1
        )
        first = torch.log_softmax(asked.logits[:, -1].double(), dim=-1)
        scores = [
            first[:, answer[0]] + self._rest(answer, asked.past_key_values, mask, places[:, -1])
            for answer in self.answers
        ]
        given = torch.softmax(torch.stack(scores, dim=1), dim=1).cpu().numpy()
        given[~np.isfinite(given).all(axis=1)] = np.nan
        return given

    def prompt(self, text: str) -> list[int]:
        """The tokens of the question about a text, up to where the answer starts."""
        question = PROMPT.format(domains=", ".join(self._domains), described=self._described, text=text)
        if self.tokenizer.chat_template is None:
            return list(self.tokenizer(question + PLAIN_CUE)["input_ids"])
        # Models that can think aloud first are asked not to; other templates know no such name and pass it over.
        asked = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False, enable_thinking=False
        )
        return list(self.tokenizer(asked, add_special_tokens=False)["input_ids"])

    @cached_property
    def answers(self) -> list[list[int]]:
        """The tokens of each answer: the name and what ends it, the end of a turn or, without a template, of a line."""
        if self.tokenizer.chat_template is None:
            ended = [f" {name}\n" for name in self._domains]
            return [list(self.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in ended]
        end = self._end_of_turn()
        return [[*self.tokenizer(name, add_special_tokens=False)["input_ids"], end] for name in self._domains]

    def _end_of_turn(self) -> int:
        """The token that follows an assistant's words; it need not be the tokenizer's EOS token (Gemma's is not)."""
        name = self._domains[0]
        said = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": "?"}, {"role": "assistant", "content": name}], tokenize=False
        )
        after = self.tokenizer(said.rpartition(name)[2], add_special_tokens=False)["input_ids"]
        end = after[0] if after else self.tokenizer.eos_token_id
        if end is None:
            raise ConfigurationError(
                f"{self._name}: neither its chat template nor its tokenizer has a token that ends a turn"
            )
        return int(end)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The judge's own tokenizer."""
        return AutoTokenizer.from_pretrained(self._name, trust_remote_code=self._trust)

    @cached_property
    def _model(self) -> PreTrainedModel:
        # On a CPU float32: most have no fast bfloat16 (six times slower on two cores with a model of 135 M).
        place: dict[str, Any] = {"dtype": torch.float32}
        if torch.cuda.is_available():
            # One process spreads a large model over GPUs; of several, each has its own GPU.
            place = {"dtype": "auto", "device_map": "auto" if alone() else {"": local_rank()}}
        model = AutoModelForCausalLM.from_pretrained(self._name, trust_remote_code=self._trust, **place)
        return model.eval()

    def _rest(self, answer: list[int], cache: Any, mask: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """The log-probability of an answer's tokens after its first, shape (texts,)."""
        rest = answer[1:]
        total = torch.zeros(len(mask), dtype=torch.float64, device=mask.device)
        if not rest:
            return total
        tokens = torch.tensor(answer[:-1], device=mask.device).expand(len(mask), -1)
        steps = torch.arange(1, len(answer), device=mask.device)
        logits = self._model(
            input_ids=tokens,
            attention_mask=torch.cat([mask, torch.ones_like(tokens)], dim=1),
            position_ids=last[:, None] + steps,
            # A copy, since the model appends to it: not every kind of cache can be cut back.
            past_key_values=copy.deepcopy(cache),
            use_cache=True,
        ).logits
        scores = torch.log_softmax(logits.double(), dim=-1)
        wanted = torch.tensor(rest, device=mask.device).expand(len(mask), -1)
        return total + scores.gather(-1, wanted[..., None]).squeeze(-1).sum(dim=1)


def described(domains: Sequence[str], descriptions: Mapping[str, str]) -> str:
    """A line for each domain that has a description, each after a break of line; empty where none has.

    Args:
        domains: the names, in the order of the lines.
        descriptions: what belongs to a domain, in words.
    """
    return "".join(f"\n{name}: {' '.join(descriptions[name].split())}" for name in domains if name in descriptions)
