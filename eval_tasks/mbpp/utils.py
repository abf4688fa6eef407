"""MBPP (Austin et al., 2021): pass@1 of one greedy completion, 0-shot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from versatune_plugin.evaluation import completions
from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.completions import CONSTANTS, chat_score, fenced, unix
from versatune_plugin.evaluation.examples import no_examples
from versatune_plugin.evaluation.sandbox.executor import require_protection

__all__ = ["chat_score", "examples", "load", "program", "read_rows", "score"]

REPOSITORY = "google-research-datasets/mbpp"
REVISION = "4bb6404fdc6cacfda99d4ac4205087b89d32030c"
# In the order of their task numbers, which is that of the original file.
SPLITS = ("prompt", "test", "validation", "train")
# Where a completion has left the program that was asked for; the same as in the YAML.
STOPS = ('\n"""', "\nassert", "\nprint", "\nif __name__")

examples = no_examples("MBPP", "a prompt is a docstring, and all rows are scored")


@loader("mbpp", REPOSITORY, REVISION)
def load(files: BenchmarkFiles) -> Splits:
    """All 974 rows, as split ``test``.

    Raises:
        VersaTuneError: as HumanEval's.
    """
    require_protection()
    return {"test": read_rows(files)}


def read_rows(files: BenchmarkFiles) -> list[dict[str, Any]]:
    """The rows, in the shape of HumanEval's; ``head`` is empty."""
    splits = (None,) if files.local is not None else SPLITS
    return [_row(row) for split in splits for row in files.rows(split or "", "mbpp.jsonl", "full")]


def program(completion: str) -> str:
    """The program in a completion: its fenced block, or the code before it, up to the first of `STOPS`."""
    before, block = completions.unfenced(unix(completion))
    found = completions.cut(before, STOPS)
    return found if block is None or completions.is_code(before, found) else completions.cut(block, STOPS)


def score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """``vt_score`` 1.0 if the program passes its tests; ``vt_unparsed`` 1.0 if it is empty or no Python."""
    return completions.completion_score(doc, program(results[0]))


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    asserts = "\n".join(test.strip() for test in row["test_list"])
    reference = unix(row["code"])
    defined = re.findall(r"^def\s+(\w+)", reference, re.MULTILINE)
    called = [name for name in defined if re.search(rf"\b{name}\s*\(", asserts)]
    task = row["text"].strip()
    return {
        "task_id": str(row["task_id"]),
        "query": f'"""\n{task}\n{asserts}\n"""\n',
        "chat_query": f"{task}\n\nThe program has to pass these tests; write it in one block.\n\n{fenced(asserts)}",
        "head": "",
        "name": called[-1] if called else "",
        "tests": f"{unix(row['test_setup_code'])}\n{asserts}\n",
        "reference": reference,
        "guesses": [f"def {called[-1]}(*_):\n    return {constant}\n" for constant in CONSTANTS] if called else [],
    }
