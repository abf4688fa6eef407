"""The YAML of benchmarks with many sub-tasks: one small file for each, and the groups that hold them.

lm-eval 0.4.11 gives sub-tasks that are written inside a group no name, so each has a file of its own. What they have in
common stands in a template beside them (``_<template>``, without a suffix, hence not indexed). Every benchmark has two
variants: the plain one (``versatune_<benchmark>``, ``vt_<benchmark>_<sub-task>``) and the one for chat models
(``versatune-chat_<benchmark>``, ``vt-chat_...``), which the pattern ``versatune_*`` does not select.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BENCHMARKS = ("legalbench", "lawbench", "fineval", "financeiq", "mmlu_sci", "agieval")
CHAT_VERSION = 1.0
# Of a benchmark by log-likelihood, and of the same when an answer is generated.
CHOICE_METRICS = (("acc", "acc_norm"), ("exact_match",))


@dataclass(frozen=True)
class SubTasks:
    """The sub-tasks of a benchmark.

    Attributes:
        benchmark: its name and that of its folder.
        names: of the sub-tasks, by the template that they follow.
        by_size: the benchmark's score is the mean over rows (else over sub-tasks).
        version: of the tasks.
        usual: further metrics by their usual names, in the plain variant and in the one for chat models.
    """

    benchmark: str
    names: Mapping[str, Sequence[str]]
    by_size: bool
    version: float = 1.0
    usual: tuple[Sequence[str], Sequence[str]] = ((), ())

    def files(self) -> dict[str, str]:
        """Path below the benchmark's folder -> text."""
        plain, chat = self.usual
        return self._variant("", "_", self.version, plain) | self._variant("-chat", "_chat_", CHAT_VERSION, chat)

    def _variant(self, suffix: str, mark: str, version: float, usual: Sequence[str]) -> dict[str, str]:
        found = {}
        leaves = []
        for template, names in self.names.items():
            for name in names:
                leaf = f"vt{suffix}_{self.benchmark}_{name.replace('-', '_')}"
                leaves.append(leaf)
                found[f"leaves/{leaf}.yaml"] = (
                    f'task: {leaf}\ninclude: ../{mark}{template}\ndataset_kwargs: {{subtask: "{name}", source: {{}}}}\n'
                )
        listed = "\n".join(f"  - {leaf}" for leaf in leaves)
        by_size = str(self.by_size).lower()
        metrics = "\n".join(
            f"  - {{metric: {metric}, aggregation: mean, weight_by_size: {by_size}, filter_list: none}}"
            for metric in ("vt_score", "vt_unparsed", *usual)
        )
        group = f"versatune{suffix}_{self.benchmark}"
        found[f"{group}.yaml"] = (
            f"group: {group}\ntask:\n{listed}\naggregate_metric_list:\n{metrics}\nmetadata:\n  version: {version}\n"
        )
        return found


def sub_tasks(benchmark: str) -> SubTasks:
    """The sub-tasks of one of `BENCHMARKS`."""
    found: SubTasks = importlib.import_module(f"versatune_plugin.evaluation.{benchmark}").SUB_TASKS
    return found


def write_all(folder: Path) -> None:
    """Write the files of all benchmarks below ``folder`` (eval_tasks), and remove leaves that are no more."""
    for benchmark in BENCHMARKS:
        home = folder / benchmark
        files = sub_tasks(benchmark).files()
        for old in (home / "leaves").glob("*.yaml"):
            if f"leaves/{old.name}" not in files:
                old.unlink()
        for name, text in files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
