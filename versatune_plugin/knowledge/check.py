"""How good a judge is, on rows of the configuration's own domains: what `axolotl versatune judge-check` runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from versatune_plugin import __version__
from versatune_plugin.artifacts.io import check_output
from versatune_plugin.artifacts.judge_check import KIND, SCHEMA, write_judge_check
from versatune_plugin.errors import ArtifactError, ConfigurationError
from versatune_plugin.knowledge.correction import LabelledJudgements
from versatune_plugin.knowledge.detect import default_out, judge_context, load_run, settings_of
from versatune_plugin.knowledge.detection import check_file
from versatune_plugin.knowledge.judge_quality import quality
from versatune_plugin.knowledge.judges import Judge, judge_problems, known_judges
from versatune_plugin.knowledge.options import CheckOptions
from versatune_plugin.progress import Progress
from versatune_plugin.schema.wording import counted


def check_judge(config_path: Path, options: CheckOptions) -> tuple[Path, dict[str, Any]]:
    """Let a judge judge held-out rows of a configuration's domains, measure and calibrate it, and write the file.

    The rows are those that the judge ``classifier`` is not trained on. They are rows, and no texts that a base model
    wrote: a judge may be better on them. `detect` corrects its shares by the file where it lies beside the knowledge
    file.

    Args:
        config_path: the Axolotl YAML.
        options: what to do; ``out`` is by default beside the knowledge file.

    Returns:
        The file, and the figures in it.

    Raises:
        ConfigurationError: options, a configuration, a server or a judge that cannot be used.
        DataError: too few rows.
        ArtifactError: too many rows without a usable judgement; a place that cannot be written.
    """
    from versatune_plugin.host.base_model import BaseModel

    if problems := [*options.problems(), *judge_problems(options)]:
        raise ConfigurationError.collected("the options of `axolotl versatune judge-check` cannot be used", problems)
    cfg, section = load_run(config_path)
    knowledge = default_out(section)
    out = options.out or check_file(knowledge)
    check_output(out, KIND, SCHEMA)
    context = judge_context(cfg, section, BaseModel(cfg), options, out)
    texts, truth = context.rows.labelled(context.domains, options.rows)
    judge = known_judges()[options.judge](context)
    before, began = _tokens(judge), time.perf_counter()
    given = np.concatenate(list(_judged(judge, texts, len(context.domains), options)))
    seconds, after = time.perf_counter() - began, _tokens(judge)
    found = quality(LabelledJudgements(given, truth), context.domains)
    figures = {
        "command": options.command(config_path),
        "about_judge": judge.describe(),
        "quality": found.as_json(),
        "labelled_rows": {name: int((truth == column).sum()) for column, name in enumerate(context.domains)},
        "texts_per_second": len(texts) / seconds,
        "tokens_read": after[0] - before[0],
        "tokens_written": after[1] - before[1],
        "versions": {"versatune": __version__},
    }
    rows = [
        (context.domains[column], None if np.isnan(row).any() else row.tolist())
        for column, row in zip(truth, given, strict=True)
    ]
    settings = settings_of(judge, context)
    write_judge_check(out, settings, rows, figures)
    return out, {**settings, **figures}


def _judged(judge: Judge, texts: Sequence[str], k: int, options: CheckOptions) -> Iterator[np.ndarray]:
    """Probabilities of each batch, shape (texts, k)."""
    unparsed = 0
    with Progress("judging labelled rows", len(texts), "row") as progress:
        for first in range(0, len(texts), options.batch_size):
            batch = texts[first : first + options.batch_size]
            rows = judge.probabilities(batch)
            if rows.shape != (len(batch), k):
                raise ConfigurationError(f"the judge {options.judge!r} gave rows that are no probabilities")
            unparsed += int(np.isnan(rows).any(axis=1).sum())
            if unparsed > options.max_unparsed * len(texts):
                raise ArtifactError(
                    f"{unparsed} of {counted(len(texts), 'row')} have no usable judgement so far; --max-unparsed "
                    f"allows {options.max_unparsed:.1%}: choose another judge, another --judge-answers, or a higher "
                    "--max-unparsed (what was answered is kept)"
                )
            progress.note(unparsed=f"{unparsed / len(texts):.1%}")
            progress.advance(len(batch))
            yield rows


def _tokens(judge: Judge) -> tuple[int, int]:
    found: tuple[int, int] = getattr(judge, "tokens", lambda: (0, 0))()
    return found
