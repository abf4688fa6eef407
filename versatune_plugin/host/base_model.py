"""The base model of an Axolotl configuration, loaded by Axolotl itself, without the adapter that is to be trained."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from versatune_plugin.artifacts.fingerprint import tokenizer_fingerprint, weights_identity

if TYPE_CHECKING:
    from axolotl.utils.dict import DictDefault
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


_OF_TRAINING = ("lora_model_dir", "special_tokens", "tokens", "added_tokens_overrides", "chat_template")


class BaseModel:
    """The configuration's base model with its own tokenizer.

    Detection asks what the base model knows, so nothing that training adds is there: no adapter, no new tokens, no
    other end-of-text token. Special tokens of the configuration count only where the model's own tokenizer has none
    and the token is in its vocabulary.
    """

    def __init__(self, cfg: DictDefault) -> None:
        from axolotl.loaders import load_tokenizer

        bare = copy.deepcopy(cfg)
        kernels = [name for name in bare if name.startswith("lora_") and name.endswith("_kernel")]
        for name in (*kernels, *_OF_TRAINING):
            bare[name] = None
        self._cfg = bare
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(bare)
        vocabulary = self.tokenizer.get_vocab()
        for role in ("bos_token", "eos_token"):
            token = (cfg.special_tokens or {}).get(role)
            if getattr(self.tokenizer, role) is None and token in vocabulary:
                setattr(self.tokenizer, role, token)

    def settings(self) -> dict[str, Any]:
        """What decides the model's texts, as plain JSON."""
        return {
            "base_model": self._cfg.base_model,
            "weights": weights_identity(self._cfg.base_model, self._cfg.revision_of_model),
            "dtype": str(self._cfg.torch_dtype).removeprefix("torch."),
            "quantization": _quantization(self._cfg),
            "tokenizer": tokenizer_fingerprint(self.tokenizer),
        }

    def load(self, seed: int) -> PreTrainedModel:
        """Load the weights. Torch's global random state is seeded, for models that draw what a checkpoint lacks."""
        import torch
        from axolotl.loaders import ModelLoader

        torch.manual_seed(seed)
        # As a "reference model" Axolotl loads and quantizes as for training, but leaves the adapter out.
        model, _ = ModelLoader(self._cfg, self.tokenizer, inference=True, reference_model=True).load()
        if _quantization(self._cfg) is None:
            # Axolotl keeps embeddings in float32 for training under autocast; sampling runs without autocast.
            model = model.to(dtype=self._cfg.torch_dtype)
            if getattr(model, "hf_device_map", None) is None:
                model = model.to(self._cfg.device)
        return model


def _quantization(cfg: DictDefault) -> str | None:
    for name in ("load_in_4bit", "load_in_8bit", "gptq"):
        if cfg[name]:
            return name
    return None
