"""How long the prompts of the twelve benchmarks are, in tokens: the share over 2048, 4096 and 8192.

The prompts are those that lm-eval builds, examples included, with the longest choice or the room for an answer added.
A model whose context is shorter sees them cut at the left; docs/benchmarks.md says what is kept.

    VERSATUNE_EVAL_DATA=... python benchmarks/prompt_lengths.py --tokenizer PATH_OR_HUB_ID [--rows 500]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from versatune_plugin.evaluation.scores import BENCHMARKS
from versatune_plugin.host.startup import eval_tasks_directory

BOUNDS = (2048, 4096, 8192)


def leaves(task: Any) -> Iterator[Any]:
    """The tasks at the ends of nested groups."""
    if isinstance(task, dict):
        for inner in task.values():
            yield from leaves(inner)
    else:
        yield task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--rows", type=int, default=500, help="at most so many rows of each sub-task")
    options = parser.parse_args()
    from lm_eval.tasks import TaskManager
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    manager = TaskManager(include_path=eval_tasks_directory(), include_defaults=False)
    for benchmark in BENCHMARKS:
        lengths: list[int] = []
        for task in leaves(manager.load_task_or_group(f"versatune_{benchmark}")):
            task.build_all_requests(limit=options.rows, rank=0, world_size=1)
            longest: dict[int, int] = {}
            for request in task.instances:
                context, rest = request.args[0], request.args[1]
                answer = rest if isinstance(rest, str) else ""
                room = 0 if answer else rest.get("max_gen_toks", 256)
                tokens = len(tokenizer(context + answer)["input_ids"]) + room
                longest[request.doc_id] = max(longest.get(request.doc_id, 0), tokens)
            lengths += longest.values()
        found = np.array(lengths)
        line = {
            "benchmark": benchmark,
            "rows": len(found),
            "median": int(np.median(found)),
            "longest": int(found.max()),
        }
        line |= {f"over {bound}": round(float((found > bound).mean()), 4) for bound in BOUNDS}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
