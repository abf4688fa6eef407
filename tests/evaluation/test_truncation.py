"""What lm-eval's own model class cuts of a prompt that is too long for the model: never the question."""

# ruff: noqa: RUF001  Questions of AGIEval are Chinese.

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from benchmarks.prompt_lengths import leaves
from tests.helpers.tiny import write_model
from versatune_plugin.eval_tasks.legalbench.rows import KNOWN
from versatune_plugin.evaluation.benchmarks import BENCHMARKS
from versatune_plugin.host.startup import eval_tasks_directory

LEAVES = 6
ROWS = 3
LONGEST = 6000
WHOLE = ("humaneval", "mbpp", "hellaswag")  # no example and no instruction: the prompt is the question


class Recording(HFLM):  # type: ignore[misc]
    """Keeps the tokens that reach the model. They are bytes: the tokenizer knows no longer ones."""

    seen: list[list[int]]

    def _model_call(self, inps: Any, *arguments: Any, **further: Any) -> Any:
        self.seen += inps.tolist()
        return super()._model_call(inps, *arguments, **further)

    def _model_generate(self, context: Any, *_: Any, **__: Any) -> Any:
        self.seen += context.tolist()
        return context


def question(benchmark: str, doc: Mapping[str, Any]) -> str:
    """The end of the prompt that has to be kept (docs/benchmarks.md)."""
    query: str = doc["query"]
    if benchmark == "legalbench":
        # What is asked in the sub-task stands behind the row's text, which may be longer than the context.
        asked = next(subtask for subtask in KNOWN.values() if subtask.name == doc["subtask"])
        return query[query.rindex(asked.instruction) :]
    if benchmark == "lawbench":
        return str(doc["question"])
    if benchmark == "scieval":
        return query[query.rindex("Then, the question is:\n") :]
    if benchmark == "agieval":
        # A passage may stand in front of the question and its options.
        return query[max(query.rfind("Q: "), query.rfind("问题："), 0) :]
    return query


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return Recording(
        pretrained=str(write_model(tmp_path_factory.mktemp("model"))), device="cpu", dtype="float32", batch_size=1
    )


@pytest.fixture(scope="module")
def manager() -> TaskManager:
    if not os.environ.get("VERSATUNE_EVAL_DATA"):
        pytest.skip("VERSATUNE_EVAL_DATA does not name a folder with rows of the twelve benchmarks")
    return TaskManager(include_path=eval_tasks_directory(), include_defaults=False)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_question_survives_in_a_model_that_has_room_for_nothing_else(
    benchmark: str, model: Recording, manager: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")
    tasks = list(leaves(manager.load_task_or_group(f"versatune_{benchmark}")))
    cut = 0
    for task in tasks[:: max(1, len(tasks) // LEAVES)]:
        task.build_all_requests(limit=ROWS, rank=0, world_size=1)
        for request in task.instances:
            kept = list(question(benchmark, request.doc).encode())
            if len(kept) > LONGEST:
                continue
            context, rest = request.args
            answer = list(rest.encode()) if isinstance(rest, str) else []
            room = len(answer) - 1 if answer else rest["max_gen_toks"]
            model.seen = []
            model._max_length = len(kept) + room
            getattr(model, request.request_type)([request], disable_tqdm=True)
            (tokens,) = model.seen
            assert model.tok_decode(tokens) == bytes(kept + answer[:-1]).decode(errors="replace")
            cut += len(context.encode()) > len(kept)
    assert (cut == 0) == (benchmark in WHOLE)
