"""The twelve benchmarks of VersaTune (section 4.1, table 3): facts that their tasks and their scores share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# Of the variant for chat models: behind ``versatune`` and ``vt`` in the names of tasks, and behind a run's name.
CHAT = "-chat"
# What the names of a variant's tasks begin with, by what is behind a run's name.
PREFIXES: Mapping[str, str] = {suffix: f"versatune{suffix}_" for suffix in ("", CHAT)}


@dataclass(frozen=True)
class Benchmark:
    """A benchmark.

    Attributes:
        name: behind ``versatune_`` and ``versatune-chat_`` in the names of its tasks, and that of its folder.
        domain: of the paper's six.
        rows: of the whole test set, as far as labels are public and we score it. The size of LegalBench's test split is
            not known here, only that 710 rows are scored without it.
        mean: of a benchmark with sub-tasks, whether its score is their mean or that over their rows.
        generated: whether (some of) its answers are generated in the variant for base models, too.
    """

    name: str
    domain: str
    rows: int
    mean: Literal["rows", "sub-tasks"] | None = None
    generated: bool = False


BENCHMARKS: Mapping[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark("legalbench", "law", 711, "sub-tasks", generated=True),
        Benchmark("lawbench", "law", 9492, "sub-tasks", generated=True),
        Benchmark("medqa", "medicine", 1273),
        Benchmark("medmcqa", "medicine", 4183),
        Benchmark("fineval", "finance", 1151, "rows"),
        Benchmark("financeiq", "finance", 7123, "sub-tasks"),
        Benchmark("scieval", "science", 13011, generated=True),
        Benchmark("mmlu_sci", "science", 2606, "rows"),
        Benchmark("humaneval", "code", 164, generated=True),
        Benchmark("mbpp", "code", 974, generated=True),
        Benchmark("agieval", "general", 8062, "sub-tasks", generated=True),
        Benchmark("hellaswag", "general", 10042),
    )
}
DOMAINS: Mapping[str, tuple[str, ...]] = {
    domain: tuple(name for name, benchmark in BENCHMARKS.items() if benchmark.domain == domain)
    for domain in dict.fromkeys(benchmark.domain for benchmark in BENCHMARKS.values())
}
