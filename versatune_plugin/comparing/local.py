"""Does a campaign on this machine: some workers side by side, each of which imports Axolotl once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from versatune_plugin.artifacts.io import read_json_lines
from versatune_plugin.artifacts.record import RECORD_FILE
from versatune_plugin.comparing.campaign import job_folder, read_campaign, result_file, run_folder
from versatune_plugin.errors import ArtifactError
from versatune_plugin.progress import Progress

POLL_SECONDS = 0.5
WORKER = "import sys; from versatune_plugin.cli import versatune; sys.exit(versatune())"


def run_campaign(out: Path, workers: int) -> None:
    """Do what is left of a campaign, showing how far it is. Workers end when this process does, however it ends.

    Args:
        out: the campaign's folder.
        workers: how many runs are trained at a time.

    Raises:
        ArtifactError: runs failed; which, and what they said. The others are done and kept.
    """
    campaign = read_campaign(out)
    folders = [job.folder for job in campaign.jobs]
    finished = _finished(out, folders)
    if len(finished) == len(folders):
        return
    # As many threads as there are cores, all workers together; whoever set a number knows better.
    threads = str(max((os.cpu_count() or 1) // workers, 1))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-c", WORKER, "compare", "work", str(out), "--tied"]
    running: list[subprocess.Popen[bytes]] = []
    logs = [out / f"worker-{number}.log" for number in range(1, workers + 1)]
    try:
        for log in logs:
            with log.open("wb") as file:
                running.append(
                    subprocess.Popen(
                        command,
                        stdin=subprocess.PIPE,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        env=environment,
                        start_new_session=True,
                    )
                )
        with Progress("runs", len(folders), "run", done=len(finished)) as progress:
            shown = len(finished)
            while any(worker.poll() is None for worker in running):
                time.sleep(POLL_SECONDS)
                finished = _finished(out, folders)
                progress.note(**_steps(out, [name for name in folders if name not in finished]))
                progress.advance(len(finished) - shown)
                shown = len(finished)
            progress.advance(len(_finished(out, folders)) - shown)
    finally:
        for worker in running:
            _end(worker)
    lacking = [name for name in folders if name not in _finished(out, folders)]
    if lacking:
        said = [log.read_text(encoding="utf-8", errors="replace").strip() for log in logs]
        raise ArtifactError.collected(
            f"{out}: {len(lacking)} of {len(folders)} runs are not finished: {', '.join(lacking)}. The others are "
            "kept: mend what is wrong and give the same command again",
            [text for text in said if text] or [f"see {job_folder(out, lacking[0])}"],
        )


def tie_to_parent() -> None:
    """End this process and its children as soon as the one that started it is gone: its pipe to us closes."""

    def wait() -> None:
        # Not through `sys.stdin`, whose lock a thread may not hold when Python ends.
        while os.read(0, 1):
            pass
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def _end(worker: subprocess.Popen[bytes]) -> None:
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    if worker.stdin is not None:
        worker.stdin.close()


def _finished(out: Path, folders: Sequence[str]) -> set[str]:
    return {name for name in folders if result_file(out, name).is_file()}


def _steps(out: Path, folders: Sequence[str]) -> dict[str, str]:
    """How far the runs are that have begun, by their records."""
    found = {}
    for name in folders:
        record = run_folder(out, name) / RECORD_FILE
        try:
            lines = read_json_lines(record, may_be_cut=True) if record.is_file() else []
        except ArtifactError:
            # It is just being written, or set aside.
            continue
        if lines and "total_steps" in lines[0]:
            found[name] = f"{lines[-1].get('step', 0)}/{lines[0]['total_steps']}"
    return found
