"""What a user may choose for `axolotl versatune detect`, with its defaults and presets."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from versatune_plugin.errors import ConfigurationError

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # VersaTune, section 4.1: N_S = 40,000 texts, T = 5 iterations, no early end.
    "paper": {"texts": 40_000, "iterations": 5, "tolerance": 0.0},
}

# The largest are more than any detection needs; a seed is what scikit-learn takes.
BOUNDS: Mapping[str, tuple[int, int]] = {
    "texts": (1, 10_000_000),
    "iterations": (1, 1_000),
    "max_new_tokens": (1, 1_000_000),
    "batch_size": (1, 100_000),
    "seed": (0, 2**32 - 1),
    "training_rows": (10, 10_000_000),
}


@dataclass(frozen=True, kw_only=True)
class DetectionOptions:
    """The options of one detection.

    2,000 texts x 5 iterations are 10,000 texts: the 95 % half width of a share is then at most one percentage point
    (about 1/sqrt(n) at a share of one half). Domains with small shares, and a judge that is seldom unsure, get there
    earlier, so the iterations end once every half width is within `tolerance`.

    Attributes:
        out: the knowledge file; the texts and judgements are kept next to it. By default the file that
            ``versatune.knowledge`` names, or ``knowledge.json``.
        texts: texts per iteration, the paper's N_S.
        iterations: at most so many iterations, the paper's T.
        tolerance: end early when every domain's 95 % half width is at most this share (0: never end early).
        max_unparsed: the share of texts without a usable judgement above which detection fails.
        max_new_tokens: the length of a text, in tokens of the base model.
        batch_size: texts generated, and judged, at a time. The texts depend on it.
        temperature: of the sampling; 1 is the model's own distribution.
        seed: of the sampling, of the classifier's rows and of the bootstrap.
        judge: a name in `versatune_plugin.knowledge.judges.known_judges`.
        judge_model: for the judge ``model``: an instruct model, by Hugging Face id or path.
        training_rows: for the judge ``classifier``: at most so many training rows of each domain.
    """

    out: Path | None = None
    texts: int = 2000
    iterations: int = 5
    tolerance: float = 0.01
    max_unparsed: float = 0.02
    max_new_tokens: int = 128
    batch_size: int = 64
    temperature: float = 1.0
    seed: int = 42
    judge: str = "classifier"
    judge_model: str | None = None
    training_rows: int = 1000

    def problems(self) -> list[str]:
        """What is out of its bounds, a sentence each; what ``judge`` may be, the judges know."""
        problems = [
            f"--{name.replace('_', '-')} is {getattr(self, name)}, but must be between {least:,} and {most:,}"
            for name, (least, most) in BOUNDS.items()
            if not least <= getattr(self, name) <= most
        ]
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            problems.append(
                f"--temperature is {self.temperature}, but must be above 0 (1 is the model's own distribution)"
            )
        for name in ("tolerance", "max_unparsed"):
            if not 0 <= getattr(self, name) < 1:
                problems.append(f"--{name.replace('_', '-')} is {getattr(self, name)}, but must be in [0, 1)")
        return problems

    @classmethod
    def choose(cls, preset: str | None = None, **given: Any) -> DetectionOptions:
        """Options from a preset and from what a user gave.

        Args:
            preset: a name in `PRESETS`, or None.
            **given: values of fields, which override the preset's; None means "not given".

        Raises:
            ConfigurationError: an unknown preset.
        """
        if preset is not None and preset not in PRESETS:
            raise ConfigurationError(f"--preset is {preset!r}, but the presets are: {', '.join(sorted(PRESETS))}")
        chosen = dict(PRESETS[preset]) if preset else {}
        return cls(**{**chosen, **{name: value for name, value in given.items() if value is not None}})

    def command(self, config_path: Path) -> str:
        """The command line that gives this detection, with every option spelled out."""
        words = ["axolotl", "versatune", "detect", str(config_path)]
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                words += [f"--{field.name.replace('_', '-')}", str(value)]
        return shlex.join(words)
