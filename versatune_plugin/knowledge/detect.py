"""From a configuration to its knowledge file: what `axolotl versatune detect` runs."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from versatune_plugin.artifacts.io import check_output
from versatune_plugin.artifacts.knowledge import KIND, SCHEMA, Knowledge
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.knowledge.detection import Detection, beside
from versatune_plugin.knowledge.generation import BaseModelSampler, StartToken, TextSource
from versatune_plugin.knowledge.judges import JudgeContext, judge_problems, known_judges
from versatune_plugin.knowledge.options import DetectionOptions

if TYPE_CHECKING:
    from versatune_plugin.host.base_model import BaseModel

DEFAULT_OUT = Path("knowledge.json")


def detect(config_path: Path, options: DetectionOptions) -> Knowledge:
    """Detect what the base model of an Axolotl configuration knows, and write the knowledge file.

    Texts and judgements are on the disk as soon as they are made; called again after an interruption, it goes on where
    it stopped and ends with the same result.

    Args:
        config_path: the Axolotl YAML of the run that the knowledge is for.
        options: what to do; ``out`` is by default the file that ``versatune.knowledge`` names, or ``knowledge.json``.

    Raises:
        ConfigurationError: options, a configuration, a model or a judge that cannot be used; all that is wrong with
            the options is in one message, before any work.
        DataError: rows that the judge cannot be trained on.
        ArtifactError: files of a detection with other settings; too many texts without a usable judgement; a place
            that cannot be written; another process that works on the same file.

    Source: VersaTune, Algorithm 1 and equation 1.
    """
    from versatune_plugin.host.base_model import BaseModel
    from versatune_plugin.host.configuration import load_run_config

    if problems := [*options.problems(), *judge_problems(options.judge, options.judge_model)]:
        raise ConfigurationError.collected("the options of `axolotl versatune detect` cannot be used", problems)
    _check_one_process()
    # Sharding over processes is left out: this is work for one.
    cfg, section = load_run_config(config_path, deepspeed=None, fsdp=None, fsdp_config=None)
    out = options.out or (section.knowledge if isinstance(section.knowledge, Path) else DEFAULT_OUT)
    check_output(out, KIND, SCHEMA, *(beside(out, what).name for what in ("texts", "judgements")))
    base = BaseModel(cfg)
    context = JudgeContext(
        domains=section.domains,
        cfg=cfg,
        dataset_domains=section.dataset_domains,
        tokenizer=base.tokenizer,
        max_new_tokens=options.max_new_tokens,
        seed=options.seed,
        training_rows=options.training_rows,
        judge_model=options.judge_model,
    )
    origin = base.settings() | {
        "start_token": asdict(StartToken.of(base.tokenizer)),
        "seed": options.seed,
        "temperature": options.temperature,
        "max_new_tokens": options.max_new_tokens,
        "texts_per_iteration": options.texts,
        "batch_size": options.batch_size,
    }
    return Detection(
        out=out,
        command=replace(options, out=out).command(config_path),
        domains=section.domains,
        options=options,
        origin=origin,
        load_source=partial(_load_sampler, base, options),
        judge=known_judges()[options.judge](context),
    ).run()


def _check_one_process() -> None:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        raise ConfigurationError(
            f"detection runs in one process, but {processes} were started (WORLD_SIZE): call `axolotl versatune "
            "detect` without torchrun or accelerate launch; `device_map: auto` spreads a large model over GPUs"
        )


def _load_sampler(base: BaseModel, options: DetectionOptions) -> TextSource:
    model = base.load(options.seed)
    return BaseModelSampler(model, base.tokenizer, options.max_new_tokens, options.temperature)
