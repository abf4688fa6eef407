"""Runs Axolotl's real command line many times for the price of one import.

The process imports Axolotl once and forks a child for every command, which then is ``python -m axolotl.cli.train`` in
all but the import: its own arguments, environment, working directory, output file and exit status.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import traceback


def _child(job: dict[str, object]) -> int:
    log = os.open(str(job["log"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(str(job["cwd"]))
    os.environ.update({str(key): str(value) for key, value in job["env"].items()})  # type: ignore[attr-defined]
    sys.argv = [str(part) for part in job["argv"]]  # type: ignore[attr-defined]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


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
        if pid := os.fork():
            _, status, used = os.wait4(pid, 0)
            print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, file=answers, flush=True)
        else:
            code = _child(job)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


if __name__ == "__main__":
    main()
