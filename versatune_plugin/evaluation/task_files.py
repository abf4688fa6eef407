"""The YAML of groups, and of benchmarks with many sub-tasks: one small file for each, and the group that holds them.

lm-eval 0.4.11 gives sub-tasks that are written inside a group no name, so each has a file of its own. What they have in
common stands in a template beside them (``_<template>``, without a suffix, hence not indexed). Every benchmark has two
variants: the plain one (``versatune_<benchmark>``, ``vt_<benchmark>_<sub-task>``) and the one for chat models
(``versatune-chat_<benchmark>``, ``vt-chat_...``), which the pattern ``versatune_*`` does not select.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from versatune_plugin.evaluation.benchmarks import BENCHMARKS, CHAT, DOMAINS, PREFIXES

WITH_SUB_TASKS = tuple(name for name, benchmark in BENCHMARKS.items() if benchmark.mean)
CHAT_VERSION = 1.0
# Of a benchmark by log-likelihood, and of the same when an answer is generated.
CHOICE_METRICS = (("acc", "acc_norm"), ("exact_match",))


@dataclass(frozen=True)
class SubTasks:
    """The sub-tasks of a benchmark.

    Attributes:
        benchmark: its name and that of its folder.
        names: of the sub-tasks, by the template that they follow.
        version: of the tasks.
        usual: further metrics by their usual names, in the plain variant and in the one for chat models.
    """

    benchmark: str
    names: Mapping[str, Sequence[str]]
    version: float = 1.0
    usual: tuple[Sequence[str], Sequence[str]] = ((), ())

    def files(self) -> dict[str, str]:
        """Path below the benchmark's folder -> text."""
        plain, chat = self.usual
        return self._variant("", "_", self.version, plain) | self._variant(CHAT, "_chat_", CHAT_VERSION, chat)

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
        by_size = str(BENCHMARKS[self.benchmark].mean == "rows").lower()
        metrics = "\n".join(
            f"  - {{metric: {metric}, aggregation: mean, weight_by_size: {by_size}, filter_list: none}}"
            for metric in ("vt_score", "vt_unparsed", *usual)
        )
        name = PREFIXES[suffix] + self.benchmark
        found[f"{name}.yaml"] = group(name, leaves, f"aggregate_metric_list:\n{metrics}\n", version)
        return found


def group(name: str, members: Sequence[str], further: str = "", version: float = 1.0) -> str:
    """The YAML of a group."""
    listed = "".join(f"  - {member}\n" for member in members)
    return f"group: {name}\ntask:\n{listed}{further}metadata:\n  version: {version}\n"


def group_files() -> Iterator[tuple[str, str]]:
    """Name and text of the groups of all benchmarks and of those of a domain, of both variants."""
    for top in ("versatune", f"versatune{CHAT}"):
        yield f"{top}.yaml", group(top, [f"{top}-{domain}" for domain in DOMAINS])
        for domain, benchmarks in DOMAINS.items():
            yield f"{top}-{domain}.yaml", group(f"{top}-{domain}", [f"{top}_{name}" for name in benchmarks])
