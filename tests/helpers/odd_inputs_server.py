"""Runs our commands many times for the price of one import, each within the memory and time of a usual start.

Every line on the standard input is a job; a child is forked for it, which is the command ``versatune ARGV`` in all but
the import. It may take `MEMORY` more than it begins with and `SECONDS` of processor time, else it is ended.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import traceback

MEMORY = 3 << 30
SECONDS = 60


def _child(job: dict[str, object]) -> int:
    log = os.open(str(job["log"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(str(job["cwd"]))
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - of this very process
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    argv = [str(part) for part in job["argv"]]  # type: ignore[attr-defined]
    sys.argv = ["versatune", *argv]
    from versatune_plugin.cli import versatune

    try:
        versatune.main(argv, prog_name="versatune")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    import versatune_plugin.console.knowledge_files
    import versatune_plugin.console.run_plan
    import versatune_plugin.console.scores
    import versatune_plugin.evaluation.results
    import versatune_plugin.host.base_model
    import versatune_plugin.knowledge.counts
    import versatune_plugin.knowledge.detect
    import versatune_plugin.plugin
    import versatune_plugin.quickstart.run
    import versatune_plugin.reference.measure
    import versatune_plugin.training.run  # noqa: F401

    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            code = _child(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status, used = os.wait4(pid, 0)
        print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, file=answers, flush=True)


if __name__ == "__main__":
    main()
