"""A campaign: every contender with every seed, a folder and a YAML each, and what is known of them all."""

from __future__ import annotations

import hashlib
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from versatune_plugin.artifacts.fingerprint import settings_differences, weights_identity
from versatune_plugin.artifacts.io import read_artifact, write_json, write_text
from versatune_plugin.artifacts.record import RECORD_FILE
from versatune_plugin.artifacts.reference import read_reference
from versatune_plugin.comparing.contenders import Contender
from versatune_plugin.comparing.tables import Question
from versatune_plugin.errors import ArtifactError, ConfigurationError
from versatune_plugin.host.configuration import load_run_config
from versatune_plugin.host.loss_settings import loss_settings
from versatune_plugin.host.run_settings import plain
from versatune_plugin.host.section import Section
from versatune_plugin.host.yaml_file import read_yaml
from versatune_plugin.schema.model import StrictModel

KIND, SCHEMA = "versatune.campaign", 1
FILE = "campaign.json"
DEFAULT_HELDOUT = 32
DEFAULT_SEED = 42
# Of the user's section, what every contender takes besides its mixture; the rest are options of the user's own mixture.
OF_ALL = set(Section.model_fields) - {"mixture", "test_rows", "accept_changes", "heldout", "split_seed"}


class JobFile(StrictModel):
    """A run of the campaign.

    Attributes:
        folder: of the run, within the campaign's ``jobs``.
        mixture: the contender's name.
        seed: of the run.
        after: the folder of the run whose record it replays.
    """

    folder: str
    mixture: str
    seed: int
    after: str | None = None


class QuestionFile(StrictModel):
    """What the comparison is to answer: see `versatune_plugin.comparing.tables.Question`."""

    baseline: str
    unit: Literal["nats_per_token", "bits_per_byte"]
    training_unit: Literal["rows", "supervised_tokens"]
    importance: dict[str, float] | None
    targets: list[str]
    worth: float | None


class CampaignFile(StrictModel):
    """What ``campaign.json`` holds.

    Attributes:
        config: the user's YAML.
        directory: where its paths are relative to.
        question: what is asked.
        jobs: all runs.
        made_under: what decides a run besides its YAML.
        launcher: the command that trains a YAML.
        keep_models: whether trained weights are kept.
        prior_seconds: what finding the prior took.
        reference_seconds: what finding the reference losses took.
        command: that wrote it.
    """

    config: str
    directory: str
    question: QuestionFile
    jobs: list[JobFile]
    made_under: dict[str, Any]
    launcher: list[str]
    keep_models: bool
    prior_seconds: float = Field(ge=0)
    reference_seconds: float = Field(ge=0)
    command: str


@dataclass(frozen=True)
class Plan:
    """What a user asks for.

    Attributes:
        config: the Axolotl YAML; relative paths in it are relative to the working directory, as for Axolotl.
        contenders: who is compared.
        seeds: of the runs.
        question: what is asked of them.
        out: the campaign's folder.
        test_rows: rows of each domain that no mixture sees, on which all are compared.
        launcher: the command that trains a YAML; empty: Axolotl is imported once and forked for every run.
        keep_models: whether trained weights are kept.
        prior_seconds: what finding the prior took, charged to every mixture that needs it.
        reference_seconds: what finding the reference losses took, charged to every mixture that needs them.
        command: how it was asked for.
    """

    config: Path
    contenders: tuple[Contender, ...]
    seeds: tuple[int, ...]
    question: Question
    out: Path
    test_rows: int
    launcher: tuple[str, ...] = ()
    keep_models: bool = False
    prior_seconds: float = 0.0
    reference_seconds: float = 0.0
    command: str = ""


def write_campaign(plan: Plan) -> CampaignFile:
    """Write a folder and a YAML for every run, and ``campaign.json``; what is there and unchanged is left as it is.

    All runs of a seed begin with the same model and draw the same rows in the same order within a domain, under the
    same learning rates, for as many steps; which rows are held out, test and validation rows is the same in all runs.

    Raises:
        ConfigurationError: the YAML, or a contender in it, cannot be trained.
        ArtifactError: the folder is another campaign's, or a finished run was made under other settings.
    """
    cfg, section = load_run_config(plan.config)
    raw = read_yaml(plan.config)
    split_seed = section.split_seed if section.split_seed is not None else _seed(cfg)
    heldout = section.heldout
    if heldout is None:
        heldout = read_reference(section.reference).heldout if isinstance(section.reference, Path) else DEFAULT_HELDOUT
    common = {"heldout": heldout, "test_rows": plan.test_rows, "split_seed": split_seed}
    settings, _ = loss_settings(raw, kinds=("whole data set", "length"), without=("push_dataset_to_hub",))
    jobs = list(_jobs(plan))
    yamls = {}
    for job in jobs:
        contender = next(one for one in plan.contenders if one.name == job.mixture)
        record = None if job.after is None else str(run_folder(plan.out, job.after) / RECORD_FILE)
        yamls[job.folder] = {
            **settings,
            "seed": job.seed,
            "versatune": _section(raw["versatune"], section, contender, job.seed, record) | common,
            "output_dir": str(run_folder(plan.out, job.folder)),
        }
    # The first of every contender shows whether all can be trained; one that replays has no record to read yet.
    for contender in plan.contenders:
        if contender.replays is None:
            _check(contender, next(yamls[job.folder] for job in jobs if job.mixture == contender.name))
    made_under = {"weights": weights_identity(str(cfg.base_model), cfg.revision_of_model)}
    question = plan.question
    campaign = CampaignFile(
        config=str(plan.config),
        directory=str(Path.cwd()),
        question=QuestionFile(**{**vars(question), "targets": list(question.targets), "importance": _plain(question)}),
        jobs=jobs,
        made_under=made_under,
        launcher=list(plan.launcher),
        keep_models=plan.keep_models,
        prior_seconds=plan.prior_seconds,
        reference_seconds=plan.reference_seconds,
        command=plan.command,
    )
    _check_same(plan.out, campaign, yamls)
    for folder, values in yamls.items():
        file = config_file(plan.out, folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, _as_yaml(values))
    write_json(plan.out / FILE, {"kind": KIND, "schema": SCHEMA, **campaign.model_dump(mode="json")})
    return campaign


def read_campaign(out: Path) -> CampaignFile:
    """What a campaign's folder says of it.

    Raises:
        ArtifactError: it is none, or damaged.
    """
    if not (out / FILE).is_file():
        raise ArtifactError(f"{out}: no campaign (it has no {FILE}); make one with `axolotl versatune compare CONFIG`")
    return read_artifact(out / FILE, KIND, SCHEMA, CampaignFile)


def job_folder(out: Path, folder: str) -> Path:
    """Where all of one run is."""
    return out / "jobs" / folder


def config_file(out: Path, folder: str) -> Path:
    """The YAML of a run."""
    return job_folder(out, folder) / "config.yml"


def run_folder(out: Path, folder: str) -> Path:
    """Axolotl's output directory of a run."""
    return job_folder(out, folder) / "run"


def result_file(out: Path, folder: str) -> Path:
    """What a finished run came to."""
    return job_folder(out, folder) / "result.json"


def write_scripts(out: Path, campaign: CampaignFile) -> tuple[Path, ...]:
    """Files for queues: the commands, a line each, and examples of a Slurm array and of a shell that run them.

    Each command may be run any number of times, in any order, by any machine that sees the folder: a finished run is
    left as it is, and one that is under way elsewhere is left to that.
    """
    work = ["versatune", "compare", "work", str(out.absolute()), "--run"]
    commands = [shlex.join([*work, job.folder]) for job in campaign.jobs]
    into = f"cd {shlex.quote(campaign.directory)}"
    array = f"#!/bin/bash\n#SBATCH --array=1-{len(commands)}\n#SBATCH --job-name=versatune-compare\n"
    if any(job.after for job in campaign.jobs):
        array += "# Replays come last, and end with status 2 before what they replay: run the array again for them.\n"
    listed = shlex.quote(str((out / "jobs.txt").absolute()))
    texts = {
        "jobs.txt": "".join(f"{command}\n" for command in commands),
        "jobs.sh": "#!/bin/sh\n# One after the other; started several times, they share the work.\n"
        + f"{into} || exit 1\n"
        + "".join(f"{command}\n" for command in commands),
        "jobs.slurm": f'{array}{into} || exit 1\neval "$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" {listed})"\n',
    }
    files = []
    for name, text in texts.items():
        write_text(out / name, text)
        files.append(out / name)
    return tuple(files)


def _jobs(plan: Plan) -> Iterator[JobFile]:
    folders = {(one.name, seed): f"{_slug(one.name)}-{seed}" for one in plan.contenders for seed in plan.seeds}
    in_order = sorted(plan.contenders, key=lambda one: one.replays is not None)
    for replays in (False, True):
        for seed in plan.seeds:
            for one in in_order:
                if (one.replays is not None) == replays:
                    after = None if one.replays is None else folders[one.replays, seed]
                    yield JobFile(folder=folders[one.name, seed], mixture=one.name, seed=seed, after=after)


def _slug(name: str) -> str:
    """A name for a folder: readable, and another one for every name."""
    plain = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.")[:40]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _section(
    written: Mapping[str, Any], section: Section, contender: Contender, seed: int, record: str | None
) -> dict[str, Any]:
    """The section of a run: what stands in the user's besides the mixture, and the contender."""
    own = contender.section(section.domains, seed, record)
    taken = {name: value for name, value in written.items() if name in OF_ALL}
    if own["mixture"] == section.mixture:
        # The user's own mixture is meant with the user's own options, but for those that are given.
        taken |= {name: value for name, value in written.items() if name not in Section.model_fields}
    return taken | own


def _check(contender: Contender, values: Mapping[str, Any]) -> None:
    """See that a run of the contender could be trained.

    Raises:
        ConfigurationError: it could not.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yml"
        write_text(file, _as_yaml(values))
        try:
            load_run_config(file)
        except ConfigurationError as error:
            raise ConfigurationError(f"--mixtures: {contender.name!r}: {error}") from error


def _as_yaml(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def _check_same(out: Path, campaign: CampaignFile, yamls: Mapping[str, Mapping[str, Any]]) -> None:
    """What is finished must have been made under these very settings."""
    if not (out / FILE).is_file():
        if out.exists() and any(out.iterdir()):
            raise ArtifactError(f"{out}: holds something, and no campaign; choose another --out")
        return
    before = read_campaign(out)
    problems = list(settings_differences(before.made_under, campaign.made_under, "there").values())
    for folder, values in yamls.items():
        if result_file(out, folder).is_file():
            there, now = read_yaml(config_file(out, folder)), yaml.safe_load(_as_yaml(values))
            found = settings_differences(plain(there), plain(now), "there")
            problems += [f"{folder}: {one}" for one in found.values()]
    if problems:
        raise ArtifactError.collected(
            f"{out}: its finished runs were made under other settings; choose another --out, or undo the change",
            problems,
        )


def _plain(question: Question) -> dict[str, float] | None:
    return None if question.importance is None else dict(question.importance)


def _seed(cfg: Any) -> int:
    return int(cfg.seed) if cfg.seed is not None else DEFAULT_SEED


def jobs_of(campaign: CampaignFile, names: Sequence[str]) -> list[JobFile]:
    """The runs of these folders, or all.

    Raises:
        ConfigurationError: a name is none of them.
    """
    unknown = [name for name in names if name not in {job.folder for job in campaign.jobs}]
    if unknown:
        raise ConfigurationError(f"--run {unknown[0]}: the campaign has no such run")
    return [job for job in campaign.jobs if not names or job.folder in names]
