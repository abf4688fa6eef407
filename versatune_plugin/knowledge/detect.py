"""From a configuration to its knowledge file: what `axolotl versatune detect` runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from versatune_plugin.artifacts.fingerprint import tokenizer_fingerprint
from versatune_plugin.artifacts.io import check_output
from versatune_plugin.artifacts.judge_check import read_judge_check
from versatune_plugin.artifacts.knowledge import KIND, SCHEMA, Knowledge
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.knowledge.correction import ESTIMATORS, LabelledJudgements
from versatune_plugin.knowledge.detection import Detection, beside, check_file
from versatune_plugin.knowledge.generation import GeneratedText, StartToken, TextBatch
from versatune_plugin.knowledge.judges import Judge, JudgeContext, judge_problems, known_judges
from versatune_plugin.knowledge.judges.domain_rows import DomainRows
from versatune_plugin.knowledge.kept import Write
from versatune_plugin.knowledge.options import DetectionOptions, JudgeOptions
from versatune_plugin.knowledge.ranks import Ranks, alone

if TYPE_CHECKING:
    from versatune_plugin.host.base_model import BaseModel
    from versatune_plugin.host.section import Section
    from versatune_plugin.knowledge.local_generation import BaseModelSampler

DEFAULT_OUT = Path("knowledge.json")
# Judges that run a model here, which every process can do for its share.
HERE = ("model", "embedding")
CORRECTED = ("adjusted", "em")


def detect(
    config_path: Path, options: DetectionOptions, tell: Callable[[str], None] = lambda _: None
) -> Knowledge | None:
    """Detect what the base model of an Axolotl configuration knows, and write the knowledge file.

    Texts and judgements are on the disk as soon as they are made; called again after an interruption, it goes on where
    it stopped and ends with the same result. Started by ``accelerate launch``, every process writes its share of the
    texts.

    Args:
        config_path: the Axolotl YAML of the run that the knowledge is for.
        options: what to do; ``out`` is by default the file that ``versatune.knowledge`` names, or ``knowledge.json``.
        tell: says a line to the user.

    Returns:
        What the file holds; None in a process that only helped, or where only an estimate of the work was asked for.

    Raises:
        ConfigurationError: options, a configuration, a model, a server or a judge that cannot be used; all that is
            wrong with the options is in one message, before any work.
        DataError: rows that the judge cannot be trained on.
        ArtifactError: files of a detection with other settings; too many texts without a usable judgement; a place
            that cannot be written; another process that works on the same file.

    Source: VersaTune, Algorithm 1 and equation 1.
    """
    from versatune_plugin.host.base_model import BaseModel

    problems = [*options.problems(), *judge_problems(options)]
    if options.estimator not in ESTIMATORS:
        problems.append(f"--estimator is {options.estimator!r}, but must be one of {', '.join(ESTIMATORS)}")
    if options.server_url and not alone():
        problems.append("--server-url: the servers write the texts, so start one process alone")
    if problems:
        raise ConfigurationError.collected("the options of `axolotl versatune detect` cannot be used", problems)
    cfg, section = load_run(config_path)
    out = options.out or default_out(section)
    check_output(out, KIND, SCHEMA, *(beside(out, what).name for what in ("texts", "judgements", "answers")))
    base = BaseModel(cfg)
    context = judge_context(cfg, section, base, options, out)
    judge = _Judge(context)
    ranks = Ranks({"texts": _LocalWriter(base, options).write, "judge": judge.probabilities})
    if not ranks.leads:
        ranks.follow()
        return None
    if options.server_url:
        source = _served(cfg.base_model, base, options)
    else:
        source = _Source(base.settings(), {"kind": "local"}, partial(ranks.spread, "texts"))
    judging = settings_of(judge.made, context)
    found = Detection(
        out=out,
        command=replace(options, out=out).command(config_path),
        domains=section.domains,
        options=options,
        origin={
            **source.origin,
            "start_token": asdict(StartToken.of(base.tokenizer)),
            "seed": options.seed,
            "temperature": options.temperature,
            "max_new_tokens": options.max_new_tokens,
            "texts_per_iteration": options.texts,
            "batch_size": options.batch_size,
        },
        about_source=source.about,
        write=source.write,
        read=context.rows.read,
        judging={name: value for name, value in judging.items() if name != "domains"},
        judge=partial(ranks.spread, "judge") if options.judge in HERE else judge.each,
        describe_judge=judge.made.describe,
        tokens=getattr(judge.made, "tokens", lambda: (0, 0)),
        labelled=_labelled(out, judge.made, judging, options),
        tell=tell,
    ).run()
    ranks.end()
    return found


def load_run(config_path: Path) -> tuple[Any, Section]:
    """A configuration without what only training needs: sharding over processes."""
    from versatune_plugin.host.configuration import load_run_config
    from versatune_plugin.host.cpu_processes import admit_cpu_processes

    cfg, section = load_run_config(config_path, deepspeed=None, fsdp=None, fsdp_config=None)
    admit_cpu_processes(cfg)
    return cfg, section


def default_out(section: Section) -> Path:
    """The knowledge file that a configuration names, or `DEFAULT_OUT`."""
    return section.knowledge if isinstance(section.knowledge, Path) else DEFAULT_OUT


def judge_context(cfg: Any, section: Section, base: BaseModel, options: JudgeOptions, out: Path) -> JudgeContext:
    """What a judge of a configuration is made from.

    Args:
        cfg: Axolotl's validated configuration.
        section: its section ``versatune:``.
        base: its base model, of which only the tokenizer is used.
        options: what the user chose.
        out: the file that is made, beside which answers are kept.

    Raises:
        DataError: a file of rows is not there, or cannot be read.
    """
    rows = DomainRows.of_run(
        cfg,
        section.dataset_domains,
        base.tokenizer,
        max_new_tokens=options.max_new_tokens,
        training_rows=options.training_rows,
        seed=options.seed,
    )
    return JudgeContext(
        domains=section.domains,
        descriptions=section.descriptions,
        options=options,
        rows=rows,
        trust_remote_code=bool(cfg.trust_remote_code),
        answers=beside(out, "answers") if options.judge == "http" else None,
    )


def settings_of(judge: Judge, context: JudgeContext) -> dict[str, Any]:
    """What decides judgements beside the texts: the domains, the judge, and what is not read."""
    return {
        "domains": list(context.domains),
        "judge": {**judge.settings(), "not_read": context.rows.not_read()},
    }


def _labelled(out: Path, judge: Judge, judging: dict[str, Any], options: DetectionOptions) -> LabelledJudgements | None:
    """What the judge says of labelled rows: its check's, or its own of rows that it was not trained on."""
    path = check_file(out)
    if path.exists():
        rows = read_judge_check(path, judging)
        k, columns = len(judging["domains"]), {name: column for column, name in enumerate(judging["domains"])}
        given = [[np.nan] * k if row.probabilities is None else row.probabilities for row in rows]
        return LabelledJudgements(np.array(given, dtype=np.float64), np.array([columns[row.domain] for row in rows]))
    found: LabelledJudgements | None = getattr(judge, "labelled", lambda: None)()
    if found is None and options.estimator in CORRECTED:
        raise ConfigurationError(
            f"--estimator {options.estimator} corrects by what the judge says of rows whose domain is known: run "
            f"`axolotl versatune judge-check` with the same judge first, which makes {path}"
        )
    return found


@dataclass(frozen=True)
class _Source:
    """What writes texts: what decides them, more about it for the file, and how."""

    origin: dict[str, Any]
    about: dict[str, Any]
    write: Write


def _served(base_model: str, base: BaseModel, options: DetectionOptions) -> _Source:
    from versatune_plugin.knowledge.served_generation import ServedSampler

    sampler = ServedSampler.from_options(base.tokenizer, options)
    origin = {
        "base_model": base_model,
        "tokenizer": tokenizer_fingerprint(base.tokenizer),
        "server": sampler.settings(),
    }
    return _Source(origin, sampler.describe(), sampler.write)


@dataclass(frozen=True)
class _LocalWriter:
    base: BaseModel
    options: DetectionOptions

    def write(self, batch: TextBatch) -> list[GeneratedText]:
        return self._sampler.write_batch(batch)

    @cached_property
    def _sampler(self) -> BaseModelSampler:
        """Loaded when the first text is missing."""
        from versatune_plugin.knowledge.local_generation import BaseModelSampler

        options = self.options
        model = self.base.load(options.seed)
        tokenizer = self.base.tokenizer
        return BaseModelSampler(model, tokenizer, options.max_new_tokens, options.temperature, options.batch_size)


@dataclass(frozen=True)
class _Judge:
    """Made when it is first asked: a process that only writes texts needs none."""

    context: JudgeContext

    @cached_property
    def made(self) -> Judge:
        return known_judges()[self.context.options.judge](self.context)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        return self.made.probabilities(texts)

    def each(self, batches: Sequence[Sequence[str]]) -> Any:
        return map(self.probabilities, batches)
