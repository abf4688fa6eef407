"""Algorithm 1 from end to end: generate, judge, estimate, write the knowledge file."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from tqdm import tqdm

from versatune_plugin import __version__
from versatune_plugin.artifacts.io import check_writable
from versatune_plugin.artifacts.journal import Journal
from versatune_plugin.artifacts.knowledge import Knowledge, write_knowledge
from versatune_plugin.errors import ArtifactError
from versatune_plugin.knowledge.estimation import RESAMPLES, Estimate, estimate
from versatune_plugin.knowledge.generation import BaseModelSampler, StartToken, TextSource, batch_seed
from versatune_plugin.knowledge.judges import JUDGES, Judge, JudgeContext
from versatune_plugin.knowledge.options import DetectionOptions

DEFAULT_OUT = Path("knowledge.json")
# With a single iteration nothing shows how far iterations differ, so detection does not end earlier than here.
LEAST_ITERATIONS = 2


def detect(config_path: Path, options: DetectionOptions) -> Knowledge:
    """Detect what the base model of an Axolotl configuration knows, and write the knowledge file.

    Texts and judgements are on the disk as soon as they are made; called again after an interruption, it goes on where
    it stopped and ends with the same result.

    Args:
        config_path: the Axolotl YAML of the run that the knowledge is for.
        options: what to do; ``out`` is by default the file that ``versatune.knowledge`` names, or ``knowledge.json``.

    Raises:
        VersaTuneError: a configuration, model or judge that cannot be used; files of a detection with other settings;
            too many texts without a usable judgement.

    Source: VersaTune, Algorithm 1 and equation 1.
    """
    from versatune_plugin.host.base_model import BaseModel
    from versatune_plugin.host.configuration import load_run_config

    _one_process()
    # Sharding over processes is left out: this is work for one.
    cfg, section = load_run_config(config_path, deepspeed=None, fsdp=None, fsdp_config=None)
    named = section.knowledge if isinstance(section.knowledge, Path) else DEFAULT_OUT
    options = replace(options, out=options.out or named)
    check_writable(options.out or named)
    base = BaseModel(cfg)
    judge = JUDGES[options.judge](JudgeContext(section.domains, options, cfg, section.dataset_domains, base.tokenizer))
    origin = base.settings() | {
        "start_token": asdict(StartToken.of(base.tokenizer)),
        "seed": options.seed,
        "temperature": options.temperature,
        "max_new_tokens": options.max_new_tokens,
        "texts_per_iteration": options.texts,
        "batch_size": options.batch_size,
    }

    def source() -> TextSource:
        model = base.load(options.seed)
        return BaseModelSampler(model, base.tokenizer, options.max_new_tokens, options.temperature)

    return run_detection(section.domains, options, origin, source, judge, options.command(config_path))


def _one_process() -> None:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes > 1:
        raise ArtifactError(
            f"detection runs in one process, but {processes} were started (WORLD_SIZE): call `axolotl versatune "
            "detect` without torchrun or accelerate launch; `device_map: auto` spreads a large model over GPUs"
        )


def run_detection(
    domains: tuple[str, ...],
    options: DetectionOptions,
    origin: Mapping[str, Any],
    source: Callable[[], TextSource],
    judge: Judge,
    command: str,
) -> Knowledge:
    """Algorithm 1 with any source of texts and any judge.

    Args:
        domains: the names, in the order of the judge's columns.
        options: with ``out`` set.
        origin: what decides the texts, as plain JSON; kept texts are used again only under an equal origin.
        source: makes the source of texts; called only when texts are missing.
        judge: the judge.
        command: what a user would type, for the file.

    Raises:
        VersaTuneError: see `detect`; also when another process works on the same file.
    """
    out = options.out
    assert out is not None
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out.with_name(f".{out.name}.lock"), timeout=0):
            work = _Work(domains, options, out, origin, source, judge)
            found, ended = work.run()
            knowledge = _knowledge(domains, found)
            made_by = {
                "command": command,
                **origin,
                "judge": {"name": options.judge, **judge.describe()},
                **work.facts(found, ended),
            }
            knowledge = replace(knowledge, made_by=made_by, path=out)
            write_knowledge(out, knowledge)
    except Timeout as error:
        raise ArtifactError(
            f"{out}: another detection is writing this file; wait for it, or choose another --out"
        ) from error
    return knowledge


class _Work:
    """One detection: its two journals, its source of texts (made when first needed) and its judge."""

    def __init__(
        self,
        domains: tuple[str, ...],
        options: DetectionOptions,
        out: Path,
        origin: Mapping[str, Any],
        source: Callable[[], TextSource],
        judge: Judge,
    ) -> None:
        self._domains = domains
        self._options = options
        self._judge = judge
        self._make_source = source
        self._source: TextSource | None = None
        paths = [out.with_name(f"{out.stem}.{what}.jsonl") for what in ("texts", "judgements")]
        sizes = {"texts": options.texts, "batch_size": options.batch_size}
        both = f"remove it and {paths[1].name}, or choose another --out"
        self._texts = Journal(paths[0], "versatune.knowledge_texts", origin, remedy=both, **sizes)
        self._judgements = Journal(
            paths[1],
            "versatune.knowledge_judgements",
            {"domains": list(domains), "judge": judge.settings()},
            remedy="remove it (the texts can stay), or choose another --out",
            **sizes,
        )

    def run(self) -> tuple[Estimate, str]:
        """Iterate until the tolerance is met or the iterations are done; says which of the two ended it."""
        options = self._options
        judged: list[np.ndarray] = []
        for iteration in range(1, options.iterations + 1):
            self._write_texts(iteration)
            self._judge_texts(iteration)
            judged.append(self._rows(iteration))
            self._check_unparsed(judged)
            if options.tolerance and LEAST_ITERATIONS <= iteration < options.iterations:
                found = estimate(judged, options.seed)
                if found.half_widths.max() <= options.tolerance:
                    return found, "tolerance"
        return estimate(judged, options.seed), "iterations"

    def facts(self, found: Estimate, ended: str) -> dict[str, Any]:
        """What the file says beside the result itself."""
        return {
            "half_width": dict(zip(self._domains, found.half_widths.tolist(), strict=True)),
            "spread": dict(zip(self._domains, found.spread.tolist(), strict=True)),
            "blank": sum(not record["text"].strip() for record in self._texts.records[: found.texts]),
            "ended_by": ended,
            "tolerance": self._options.tolerance,
            "bootstrap_resamples": RESAMPLES,
            "texts_file": self._texts.path.name,
            "judgements_file": self._judgements.path.name,
            "versions": {
                "versatune": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("axolotl", "transformers", "torch", "scikit-learn")},
            },
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _write_texts(self, iteration: int) -> None:
        missing = list(self._texts.missing(iteration))
        if missing and self._source is None:
            self._source = self._make_source()
        with self._progress("texts", iteration, self._texts) as progress:
            for number, indices in missing:
                assert self._source is not None
                seed = batch_seed(self._options.seed, iteration, number)
                written = self._source.generate(len(indices), seed)
                self._texts.append(
                    [
                        {"iteration": iteration, "index": index, "text": one.text, "tokens": one.tokens}
                        for index, one in zip(indices, written, strict=True)
                    ]
                )
                progress.update(len(indices))

    def _judge_texts(self, iteration: int) -> None:
        texts = [record["text"] for record in self._texts.of_iteration(iteration)]
        for text, kept in zip(texts, self._judgements.of_iteration(iteration), strict=False):
            if kept["text"] != _mark(text):
                raise ArtifactError(
                    f"{self._judgements.path}: iteration {iteration}, index {kept['index']} judges another text than "
                    f"{self._texts.path.name} has there: remove {self._judgements.path.name}"
                )
        with self._progress("judgements", iteration, self._judgements) as progress:
            for _, indices in self._judgements.missing(iteration):
                rows = self._judge_batch([texts[index] for index in indices])
                self._judgements.append(
                    [
                        {
                            "iteration": iteration,
                            "index": index,
                            "text": _mark(texts[index]),
                            "probabilities": None if np.isnan(row).any() else row.tolist(),
                        }
                        for index, row in zip(indices, rows, strict=True)
                    ]
                )
                progress.update(len(indices))

    def _judge_batch(self, texts: list[str]) -> np.ndarray:
        """Shape (texts, k). A blank text says nothing about any domain: it is not judged, and counts as unparsed."""
        rows = np.full((len(texts), len(self._domains)), np.nan)
        asked = [place for place, text in enumerate(texts) if text.strip()]
        if asked:
            given = self._judge.probabilities([texts[place] for place in asked])
            totals = given.sum(axis=1, keepdims=True)
            if given.shape != (len(asked), len(self._domains)) or (given < 0).any() or (abs(totals - 1) > 1e-6).any():
                raise ArtifactError(f"the judge {self._options.judge!r} gave rows that are no probabilities")
            rows[asked] = given / totals
        return rows

    def _rows(self, iteration: int) -> np.ndarray:
        unparsed = [np.nan] * len(self._domains)
        kept = [record["probabilities"] for record in self._judgements.of_iteration(iteration)]
        return np.array([unparsed if row is None else row for row in kept], dtype=np.float64)

    def _check_unparsed(self, judged: list[np.ndarray]) -> None:
        texts = sum(len(rows) for rows in judged)
        unparsed = sum(int(np.isnan(rows).any(axis=1).sum()) for rows in judged)
        if unparsed > self._options.max_unparsed * texts:
            blank = sum(not record["text"].strip() for record in self._texts.records[:texts])
            raise ArtifactError(
                f"{unparsed} of {texts} texts ({unparsed / texts:.1%}) have no usable judgement ({blank} of them are "
                f"blank); --max-unparsed allows {self._options.max_unparsed:.1%}. Everything is kept: look at "
                f"{self._texts.path} and {self._judgements.path}, then run again with a higher --max-unparsed, or "
                "remove the judgements and choose another judge"
            )

    def _progress(self, what: str, iteration: int, journal: Journal) -> tqdm[Any]:
        return tqdm(
            total=self._options.texts,
            initial=min(len(journal.of_iteration(iteration)), self._options.texts),
            desc=f"iteration {iteration}/{self._options.iterations}: {what}",
            unit="text",
            mininterval=1.0,
        )


def _knowledge(domains: tuple[str, ...], found: Estimate) -> Knowledge:
    return Knowledge(
        probabilities=dict(zip(domains, found.probabilities.tolist(), strict=True)),
        interval95=dict(zip(domains, found.interval95.tolist(), strict=True)),
        iterations=[dict(zip(domains, row.tolist(), strict=True)) for row in found.iterations],
        texts=found.texts,
        unparsed=found.unparsed,
    )


def _mark(text: str) -> str:
    """Ties a judgement to its text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
