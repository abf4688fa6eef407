"""Does the runs of a campaign: trains through Axolotl, keeps what a run came to, and removes its model.

Any number of processes, on any machines that see the folder, may do so at once: a run is locked while it is trained,
and one that is finished is left as it is.
"""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from versatune_plugin.artifacts.io import write_json
from versatune_plugin.artifacts.record import RECORD_FILE, read_record
from versatune_plugin.comparing.campaign import (
    CampaignFile,
    JobFile,
    config_file,
    job_folder,
    jobs_of,
    read_campaign,
    result_file,
    run_folder,
)
from versatune_plugin.errors import ArtifactError, ConfigurationError

KIND, SCHEMA = "versatune.compared_run", 1
LOG_FILE = "train.log"
LAST_LINES = 15
WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Failure:
    """A run that did not end as it should.

    Attributes:
        folder: the run.
        said: what its log ends with, and where the log is.
    """

    folder: str
    said: str


def work(out: Path, names: Sequence[str] = ()) -> list[Failure]:
    """Do what is left of a campaign, and wait for what others are doing if something of ours needs it.

    Args:
        out: the campaign's folder.
        names: folders of the runs to do; none: all.

    Returns:
        The runs that failed; the others are done, or under way elsewhere.

    Raises:
        ConfigurationError: a name is none of the runs; a single run waits for another that nobody does.
        ArtifactError: the campaign cannot be read.
    """
    campaign = read_campaign(out)
    left = jobs_of(campaign, names)
    failed: dict[str, Failure] = {}
    while True:
        left = [job for job in left if not result_file(out, job.folder).is_file() and job.folder not in failed]
        ready = [job for job in left if job.after is None or result_file(out, job.after).is_file()]
        waiting = [job for job in left if job not in ready]
        if names and waiting and not ready:
            raise ConfigurationError(
                f"--run {waiting[0].folder}: replays {waiting[0].after}, which is not finished: do that first"
            )
        done = [_locked(out, campaign, job, failed) for job in ready]
        if any(done):
            continue
        # What replays a failed run, or one that others have and lost, is left for the next time.
        hopeless = [job for job in waiting if job.after in failed]
        if not waiting or len(hopeless) == len(waiting):
            return list(failed.values())
        time.sleep(WAIT_SECONDS)


def _locked(out: Path, campaign: CampaignFile, job: JobFile, failed: dict[str, Failure]) -> bool:
    """Do one run, unless somebody else does; says whether it was ours."""
    try:
        with FileLock(job_folder(out, job.folder) / ".lock", timeout=0):
            if not result_file(out, job.folder).is_file():
                failure = _do(out, campaign, job)
                if failure is not None:
                    failed[job.folder] = failure
            return True
    except Timeout:
        return False


def _do(out: Path, campaign: CampaignFile, job: JobFile) -> Failure | None:
    run = run_folder(out, job.folder)
    # What a killed run left would be taken for this one's.
    shutil.rmtree(run, ignore_errors=True)
    log = job_folder(out, job.folder) / LOG_FILE
    began = time.perf_counter()
    train = _forked if not campaign.launcher else _launched
    status = train(campaign, config_file(out, job.folder), log)
    seconds = time.perf_counter() - began
    if status:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        return Failure(job.folder, "\n".join([f"status {status}; {log} ends:", *lines]))
    try:
        result = _result(campaign, job, run, seconds)
    except ArtifactError as error:
        return Failure(job.folder, str(error))
    write_json(result_file(out, job.folder), result)
    if not campaign.keep_models:
        for path in run.iterdir():
            if path.name != RECORD_FILE:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    return None


def _result(campaign: CampaignFile, job: JobFile, run: Path, seconds: float) -> dict[str, Any]:
    """What the record of a run says of it, as it is compared.

    Raises:
        ArtifactError: the record is not that of a whole run.
    """
    record = read_record(run)
    start, end = record[0], record[-1]
    tests = [line for line in record if line["kind"] == "test"]
    if end["kind"] != "end" or len(tests) != 2:
        raise ArtifactError(f"{run / RECORD_FILE}: has no end, or no losses of the test rows: train the run anew")
    from versatune_plugin.mixtures.registry import known_mixtures

    mixture = known_mixtures()[start["mixture"]]
    needs = mixture.requirements(mixture.Options.model_validate(start["options"]))
    # Where nothing is learnt from them, held-out losses are measured for the record alone.
    measuring = end["measuring_seconds"] if needs.measures else 0.0
    reporting = sum(line["seconds"] for line in tests)
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "mixture": job.mixture,
        "seed": job.seed,
        "start": {unit: tests[0][unit] for unit in ("loss", "bits_per_byte")},
        "end": {unit: tests[1][unit] for unit in ("loss", "bits_per_byte")},
        "cost": {
            "training_seconds": end["seconds_since_start"] - end["measuring_seconds"] - reporting,
            "measuring_seconds": measuring,
            "prior_seconds": campaign.prior_seconds if needs.prior else 0.0,
            "reference_seconds": campaign.reference_seconds if needs.reference else 0.0,
            "rows": end["rows"],
            "supervised_tokens": end["tokens"],
            "passes": end["passes"],
        },
        "steps": end["step"],
        "exhausted": end["exhausted"],
        "weights": start["weights"],
        "versions": start["versions"],
        "wall_seconds": seconds,
    }


def _launched(campaign: CampaignFile, config: Path, log: Path) -> int:
    with log.open("wb") as file:
        return subprocess.run(
            [*campaign.launcher, str(config)], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        ).returncode


def _forked(campaign: CampaignFile, config: Path, log: Path) -> int:
    """``python -m axolotl.cli.train`` in a child of this process, which has imported Axolotl once for all runs."""
    import axolotl.cli.train
    import axolotl.common.datasets
    import axolotl.train  # noqa: F401
    import torch

    if torch.cuda.is_initialized():
        raise ConfigurationError(
            "this process uses CUDA already, and no child of it could: give --launcher 'python -m axolotl.cli.train'"
        )
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    code = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((nothing, 0), (file, 1), (file, 2)):
            os.dup2(old, new)
        code = _axolotl(str(config))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Nothing of the parent's goes on in the child.
        os._exit(code)


def _axolotl(config: str) -> int:
    """Its exit status."""
    sys.argv = ["axolotl.cli.train", config]
    try:
        runpy.run_module("axolotl.cli.train", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException as error:
        # As the interpreter would; ours ends the process with a status of its own.
        try:
            sys.excepthook(type(error), error, error.__traceback__)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        return 1
    return 0
