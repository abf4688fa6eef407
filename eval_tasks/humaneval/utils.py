"""HumanEval (Chen et al., 2021): pass@1 of one greedy completion, 0-shot."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from versatune_plugin.evaluation import completions
from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.completions import CONSTANTS, chat_score, fenced, unix
from versatune_plugin.evaluation.examples import no_examples
from versatune_plugin.evaluation.sandbox.executor import require_protection

__all__ = ["body", "chat_score", "examples", "load", "read_rows", "score"]

REPOSITORY = "openai/openai_humaneval"
REVISION = "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544"
# Where a completion has left the function that was asked for; the same as in the YAML.
STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")

examples = no_examples("HumanEval", "a prompt is the head of a function, and all rows are scored")


@loader("humaneval", REPOSITORY, REVISION)
def load(files: BenchmarkFiles) -> Splits:
    """All 164 rows, as split ``test``.

    Raises:
        VersaTuneError: as of `require_protection`, here, before a model has generated anything; or no rows.
    """
    require_protection()
    return {"test": read_rows(files)}


def read_rows(files: BenchmarkFiles) -> list[dict[str, Any]]:
    """The rows, which nobody needs consent to look at.

    Each has ``query`` (the head of the function), ``chat_query`` (the same, asked for in words), ``head`` (the head
    again: it belongs to the program), ``name`` of the function, ``tests``, ``reference``, ``guesses`` and ``task_id``.
    """
    if files.local is not None:
        with gzip.open(files.get("", "HumanEval.jsonl.gz"), "rt", encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
    else:
        rows = files.rows("test", "HumanEval.jsonl.gz", "openai_humaneval")
    return [
        {
            "task_id": row["task_id"],
            "query": row["prompt"],
            "chat_query": f"Complete this function, and write all of it in one block.\n\n{fenced(row['prompt'])}",
            "head": row["prompt"],
            "name": row["entry_point"],
            "tests": f"{row['test']}\ncheck({row['entry_point']})\n",
            "reference": row["canonical_solution"],
            "guesses": [f"    return {constant}\n" for constant in CONSTANTS],
        }
        for row in rows
    ]


def body(head: str, completion: str) -> str:
    """What goes behind the head of the function.

    A fenced block is taken as it is, unless there is code before it. Else the completion ends at the first of
    `STOPS`. Where its first line is indented by one blank less than the head's last, the blank is put back: tokenizers
    of the SentencePiece kind lose it when they decode a completion by itself.

    Args:
        head: the prompt.
        completion: what the model wrote.
    """
    before, block = completions.unfenced(unix(completion))
    found = _indented(head, completions.cut(before, STOPS))
    return found if block is None or completions.is_code(before, head + found) else _indented(head, block)


def score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """``vt_score`` 1.0 if the completed function passes its tests; ``vt_unparsed`` 1.0 if it is empty or no Python."""
    return completions.completion_score(doc, body(doc["head"], results[0]))


def _indented(head: str, text: str) -> str:
    first, margin = text.split("\n", 1)[0], _margin(head.rstrip().rsplit("\n", 1)[-1])
    return f" {text}" if first.strip() and margin and _margin(first) == margin - 1 else text


def _margin(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
