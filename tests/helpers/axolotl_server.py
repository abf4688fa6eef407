"""Runs Axolotl's real command line many times for the price of one import.

The process imports Axolotl once and forks a child for every command, which then is ``python -m axolotl.cli.train`` in
all but the import: its own arguments, environment, working directory, output file and exit status. A command of several
processes is forked once for each, as torchrun would start them.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from pathlib import Path


def _child(job: dict[str, object], rank: int) -> int:
    log = os.open(f"{job['log']}.{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(str(job["cwd"]))
    os.environ.update({str(key): str(value) for key, value in job["env"].items()})  # type: ignore[attr-defined]
    if job["processes"] != 1:
        os.environ.update({"RANK": str(rank), "LOCAL_RANK": str(rank)})
    sys.argv = [str(part) for part in job["argv"]]  # type: ignore[attr-defined]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException as error:
        # As the interpreter would.
        try:
            sys.excepthook(type(error), error, error.__traceback__)
        except SystemExit as end:
            return int(end.code or 0)
        return 1
    return 0


def _run(job: dict[str, object]) -> tuple[int, float]:
    """Fork the processes of a job and wait: its exit status and CPU seconds. The first to fail ends the others."""
    children: list[int] = []
    for rank in range(int(job["processes"])):  # type: ignore[call-overload]
        pid = os.fork()
        if not pid:
            code = _child(job, rank)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        children.append(pid)
    if file := job["env"].get("PROCESS_GROUP"):  # type: ignore[attr-defined]
        # Whoever wants to kill them from outside finds their process group there.
        for pid in children:
            os.setpgid(pid, children[0])
        Path(file).write_text(str(children[0]))
    failed, seconds = 0, 0.0
    while children:
        pid, status, used = os.wait4(-1, 0)
        children.remove(pid)
        seconds += used.ru_utime + used.ru_stime
        if status and not failed:
            failed = os.waitstatus_to_exitcode(status)
            for other in children:
                os.kill(other, signal.SIGTERM)
    return failed, seconds


def main() -> None:
    # Imports print to the standard output too; the answers go where nothing else does.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import axolotl.cli.train
    import axolotl.common.datasets
    import axolotl.train  # noqa: F401

    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        print(*_run(job), file=answers, flush=True)


if __name__ == "__main__":
    main()
