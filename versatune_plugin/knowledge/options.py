"""What a user may choose for `axolotl versatune detect` and `judge-check`, with defaults and presets."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from versatune_plugin.errors import ConfigurationError
from versatune_plugin.knowledge.served.address import address_problems, key_problems

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # VersaTune, section 4.1: N_S = 40,000 texts, T = 5 iterations, no early end.
    "paper": {"texts": 40_000, "iterations": 5, "tolerance": 0.0},
    "default": {},
    # 95 % half widths of about 3 points: a first look.
    "quick": {"texts": 500, "iterations": 2, "tolerance": 0.0},
}
ANSWERS = ("auto", "logprobs", "json")

# The largest are more than any detection needs; a seed is what scikit-learn takes.
BOUNDS: Mapping[str, tuple[int, int]] = {
    "texts": (1, 10_000_000),
    "iterations": (1, 1_000),
    "max_new_tokens": (1, 1_000_000),
    "batch_size": (1, 100_000),
    "seed": (0, 2**32 - 1),
    "training_rows": (10, 10_000_000),
    "judge_rotations": (1, 1_000),
    "judge_concurrency": (1, 1_024),
    "server_concurrency": (1, 1_024),
    "texts_per_request": (1, 1_000),
    "rows": (10, 200),
}
_SHARES = ("tolerance", "max_unparsed")


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """Which judge, and what it needs.

    Attributes:
        judge: a name in `versatune_plugin.knowledge.judges.known_judges`.
        judge_model: the model that a judge asks. ``model``: an instruct model, by Hugging Face id or path.
            ``embedding``: a model of sentence embeddings, likewise. ``http``: the name under which it is served; by
            default the only one that the server has.
        judge_url: for the judge ``http``: base addresses of servers of one model, which share the questions.
        judge_key_env: for the judge ``http``: the environment variable that holds the key.
        judge_answers: for the judge ``http``: ``logprobs``, ``json``, or ``auto``, the former where the server gives
            them.
        judge_rotations: for the judge ``http``: over so many cyclic orders of the options a text is judged; by default
            over all, as many as there are domains.
        judge_concurrency: for the judge ``http``: questions at a time to each server.
        judge_price: of a million tokens read and of a million written, in any currency.
        training_rows: for the judge ``classifier``: at most so many training rows of each domain.
        max_new_tokens: the length of a text, in tokens of the base model.
        max_unparsed: the share of texts without a usable judgement above which the command fails.
        batch_size: texts generated, and judged, at a time. The texts depend on it.
        seed: of the sampling, of the choice of rows, of the classifier and of the bootstrap.
    """

    judge: str = "classifier"
    judge_model: str | None = None
    judge_url: tuple[str, ...] = ()
    judge_key_env: str | None = None
    judge_answers: str = "auto"
    judge_rotations: int | None = None
    judge_concurrency: int = 16
    judge_price: tuple[float, float] | None = None
    training_rows: int = 1000
    max_new_tokens: int = 128
    max_unparsed: float = 0.02
    batch_size: int = 64
    seed: int = 42

    @classmethod
    def choose(cls, **given: Any) -> Self:
        """Options from what a user gave; None and () mean "not given"."""
        return cls(**{name: value for name, value in given.items() if value not in (None, ())})

    def problems(self) -> list[str]:
        """What is out of its bounds, a sentence each; what ``judge`` may be, the judges know."""
        problems = [
            f"{_option(name)} is {value}, but must be between {least:,} and {most:,}"
            for name, (least, most) in BOUNDS.items()
            if (value := getattr(self, name, None)) is not None and not least <= value <= most
        ]
        problems += [
            f"{_option(name)} is {value}, but must be in [0, 1)"
            for name in _SHARES
            if (value := getattr(self, name, None)) is not None and not 0 <= value < 1
        ]
        if self.judge_answers not in ANSWERS:
            problems.append(f"--judge-answers is {self.judge_answers!r}, but must be one of {', '.join(ANSWERS)}")
        if self.judge_price is not None and not all(0 <= price < math.inf for price in self.judge_price):
            problems.append(f"--judge-price is {self.judge_price}, but prices are numbers from 0")
        problems += address_problems("--judge-url", self.judge_url)
        return problems + key_problems("--judge-key-env", self.judge_key_env)

    def words(self) -> list[str]:
        """The options as they would be typed, every one spelled out."""
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                words += [_option(field.name)] if value else []
            elif isinstance(value, tuple) and field.name != "judge_price":
                words += [word for one in value for word in (_option(field.name), str(one))]
            elif isinstance(value, tuple):
                words += [_option(field.name), *map(str, value)]
            elif value is not None:
                words += [_option(field.name), str(value)]
        return words


@dataclass(frozen=True, kw_only=True)
class DetectionOptions(JudgeOptions):
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
        temperature: of the sampling; 1 is the model's own distribution.
        estimator: a name in `versatune_plugin.knowledge.correction.ESTIMATORS`: which of the estimates the run uses.
        server_url: base addresses of servers of the base model, which share the writing; by default it is loaded here.
        server_model: the name under which it is served; by default the only one that the server has.
        server_key_env: the environment variable that holds the key of these servers.
        server_concurrency: requests at a time to each of them.
        texts_per_request: texts that one request asks for.
        only_estimate: end after the first batch with what the whole would take.
    """

    out: Path | None = None
    texts: int = 2000
    iterations: int = 5
    tolerance: float = 0.01
    temperature: float = 1.0
    estimator: str = "mean"
    server_url: tuple[str, ...] = ()
    server_model: str | None = None
    server_key_env: str | None = None
    server_concurrency: int = 16
    texts_per_request: int = 8
    only_estimate: bool = False

    def problems(self) -> list[str]:
        """What is out of its bounds, a sentence each; what ``judge`` may be, the judges know."""
        problems = super().problems()
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            problems.append(
                f"--temperature is {self.temperature}, but must be above 0 (1 is the model's own distribution)"
            )
        problems += address_problems("--server-url", self.server_url)
        problems += key_problems("--server-key-env", self.server_key_env)
        if not self.server_url:
            problems += [
                f"{_option(name)} is given, but no --server-url: give the address of the server of the base model"
                for name in ("server_model", "server_key_env")
                if getattr(self, name) is not None
            ]
        return problems

    @classmethod
    def choose(cls, preset: str | None = None, **given: Any) -> Self:
        """Options from a preset and from what a user gave.

        Args:
            preset: a name in `PRESETS`, or None.
            **given: values of fields, which override the preset's; None and () mean "not given".

        Raises:
            ConfigurationError: an unknown preset.
        """
        if preset is not None and preset not in PRESETS:
            raise ConfigurationError(f"--preset is {preset!r}, but the presets are: {', '.join(sorted(PRESETS))}")
        chosen = dict(PRESETS[preset]) if preset else {}
        return super().choose(**{**chosen, **{name: value for name, value in given.items() if value not in (None, ())}})

    def command(self, config_path: Path) -> str:
        """The command line that gives this detection, with every option spelled out."""
        return shlex.join(["axolotl", "versatune", "detect", str(config_path), *self.words()])


@dataclass(frozen=True, kw_only=True)
class CheckOptions(JudgeOptions):
    """The options of one check of a judge.

    Attributes:
        out: the file of the check, by default beside the knowledge file: ``knowledge.judge.json``.
        rows: labelled rows of each domain, at most.
        plot: a picture of the confusion and of the reliability.
    """

    out: Path | None = None
    rows: int = 200
    plot: Path | None = None

    def command(self, config_path: Path) -> str:
        """The command line that gives this check, with every option spelled out."""
        return shlex.join(["axolotl", "versatune", "judge-check", str(config_path), *self.words()])


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
