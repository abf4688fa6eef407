"""The variants for chat models: what they ask, what they read, and through which interfaces they run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager
from lm_eval.utils import load_yaml_config

from tests.helpers.runs import ROOT, Evaluation, evaluate, read
from tests.helpers.server import ANSWER, serving
from tests.helpers.tiny import write_model
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.eval_tasks.agieval.utils import load as load_agieval
from versatune_plugin.evaluation.benchmark_files import VARIABLE
from versatune_plugin.evaluation.benchmarks import BENCHMARKS
from versatune_plugin.evaluation.choices import chat_score, choice_row
from versatune_plugin.evaluation.results import read_runs
from versatune_plugin.evaluation.sandbox.executor import CONSENT
from versatune_plugin.evaluation.unread import warnings

TASKS = ROOT / "eval_tasks"
CHAT = {f"versatune-chat_{benchmark}" for benchmark in BENCHMARKS}
FILES = sorted(path for path in TASKS.rglob("v*-chat_*.yaml") if "task: v" in path.read_text(encoding="utf-8"))
real = pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name a folder of benchmarks")

FORMS = (
    "{}",
    "**{}**",
    "The answer is {}.",
    "Answer: {}",
    "<think>\nFirst I thought of something else.\n</think>\n\n{}",
    "\n\n{}<|im_end|>",
)


def test_nothing_ends_an_answer_but_the_model() -> None:
    assert len(FILES) == 6 + 258
    for path in FILES:
        config = load_yaml_config(str(path), mode="simple")
        generation = config["generation_kwargs"]
        assert generation["until"] == [], path
        assert generation["max_gen_toks"] >= 1024, path
        assert generation["do_sample"] is False, path
        assert config["output_type"] == "generate_until", path


def row(gold: int | list[int], several: bool = False) -> dict[str, Any]:
    return choice_row("Q", "ABCD", gold, ["a cat", "a dog", "an ox", "none"], several=several)


@pytest.mark.parametrize(
    ("doc", "text", "score", "unparsed"),
    [
        (row(1), "B", 1, 0),
        (row(1), "A dog", 1, 0),
        (row(1), "**B. a dog**, because it barks.", 1, 0),
        (row(1), "B. a cat", 0, 1),
        (row(1), "C", 0, 0),
        (row(1), "B and C", 0, 1),
        (row(1), "Because of that", 0, 1),
        (row(1), "B)\n\nB)\n\nC)\n\nD)\n\nB)\n\nB)\n\nC)", 0, 1),
        (row(1), "B\n\nB", 1, 0),
        (row(1), "B\n\nA is wrong: it purrs.\nC is wrong, too.", 1, 0),
        # One of several right options is enough, as by log-likelihood; a list has to be all of them.
        (row([1, 2], several=True), "C", 1, 0),
        (row([1, 2], several=True), "BC", 1, 0),
        (row([1, 2], several=True), "答案：C、B", 1, 0),  # noqa: RUF001
        (row([1, 2], several=True), "The answer is B, C.", 1, 0),
        (row([1, 2], several=True), "BCD", 0, 0),
        (row([1, 2], several=True), "BD", 0, 0),
        (row([1, 2], several=True), "D", 0, 0),
        (row([1], several=True), "BC", 0, 0),
    ],
)
def test_the_letter_of_an_option(doc: dict[str, Any], text: str, score: float, unparsed: float) -> None:
    assert chat_score(doc, [text]) == {"vt_score": score, "vt_unparsed": unparsed, "exact_match": score}


@real
def test_options_in_another_order_are_read_by_the_letters_that_the_question_shows() -> None:
    rows = [row for row in load_agieval("logiqa-en")["test"] if row["choices"][:2] == ["(A)F", "(C)L"]]
    assert [(row["choices"], row["options"], row["reference"]) for row in rows] == [
        (["(A)F", "(C)L", "(B)G", "(D)M"], ["F", "G", "L", "M"], "B")
    ]
    assert chat_score(rows[0], ["G"])["vt_score"] == 1
    assert chat_score(rows[0], ["(C) L"])["vt_score"] == 0


@pytest.fixture(scope="module")
def tasks() -> dict[str, ConfigurableTask]:
    """Every leaf, with its real rows."""
    os.environ[CONSENT] = "1"
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    found: dict[str, ConfigurableTask] = {}
    for name in sorted(CHAT):
        loaded = manager.load_task_or_group(name)
        for key, value in loaded.items():
            found |= value if isinstance(value, dict) else {key: value}
    return found


def some(task: ConfigurableTask, count: int) -> Iterator[dict[str, Any]]:
    rows = task.dataset[task.config.test_split]
    yield from (rows[at] for at in range(0, len(rows), max(1, len(rows) // count)))


@real
def test_the_reference_is_right_in_every_form_and_nothing_else_is(tasks: dict[str, ConfigurableTask]) -> None:
    """On rows of every task whose answer is a letter, a label or a name; LawBench's labels stand inside its marks."""
    compared = 0
    for name, task in tasks.items():
        if "lawbench" in name or name.endswith(("humaneval", "mbpp", "agieval_math", "mathcloze")):
            continue
        for doc in some(task, 3):
            for form in FORMS:
                scored = task.process_results(doc, [form.format(doc["reference"])])
                assert (scored["exact_match"], scored["vt_unparsed"]) == (1, 0), (name, form, doc["reference"])
                for other in [guess for guess in doc["guesses"] if guess not in doc["reference"].split(", ")][:3]:
                    wrong = task.process_results(doc, [form.format(other)])
                    assert wrong["exact_match"] == 0, (name, form, other, doc["reference"])
                    compared += 1
            for nothing in ("", "I cannot help with that.", "<think>\nIt could be"):
                assert task.process_results(doc, [nothing])["exact_match"] == 0, (name, nothing)
                assert task.process_results(doc, [nothing])["vt_unparsed"] == 1, (name, nothing)
    assert compared > 2000


@real
@pytest.mark.parametrize("benchmark", ["humaneval", "mbpp"])
def test_a_program_is_read_in_every_form(tasks: dict[str, ConfigurableTask], benchmark: str) -> None:
    task = tasks[f"versatune-chat_{benchmark}"]
    forms = ("```python\n{}\n```", "Sure!\n\n```\n{}\n```\nIt works because\n\nof this.", "<think>```x```</think>\n{}")
    for doc in some(task, 3):
        whole = doc["head"] + doc["reference"]
        for form in forms:
            assert task.process_results(doc, [form.format(whole)])["pass@1"] == 1, (form, doc["task_id"])
        assert task.process_results(doc, ["I do not know."])["vt_unparsed"] == 1
        assert doc["chat_query"].rstrip().endswith("```")


@real
@pytest.mark.parametrize("benchmark", ["legalbench", "lawbench", "scieval", "humaneval", "mbpp", "agieval"])
def test_examples_where_there_are_none_are_refused_by_name(tasks: dict[str, ConfigurableTask], benchmark: str) -> None:
    for name, task in tasks.items():
        if f"_{benchmark}" in name:
            doc = next(some(task, 1))
            assert doc.get("chat_query", doc["query"]) == task.fewshot_context(doc, num_fewshot=0)
            with pytest.raises(VersaTuneError, match=f"(?i)--num_fewshot 1: {benchmark} takes no examples: "):
                task.fewshot_context(doc, num_fewshot=1)


@pytest.fixture
def limited(tmp_path: Path) -> list[str]:
    return ["--limit", "1", "--output_path", str(tmp_path / "results"), "--confirm_run_unsafe_code"]


def lm_eval(*arguments: str) -> str:
    surroundings = os.environ | {"HF_HUB_OFFLINE": "1", "HF_ALLOW_CODE_EVAL": "1", "OPENAI_API_KEY": "none"}
    command = [sys.executable, "-m", "lm_eval", *arguments]
    finished = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-4000:]
    return finished.stderr


@real
def test_the_reference_scores_one_and_nothing_is_unparsed(tmp_path: Path) -> None:
    gold = evaluate("gold", tmp_path / "gold", "--limit", "3", tasks="versatune-chat_*")
    assert gold.results.keys() >= CHAT
    low = {name: gold.score(name) for name in gold.results if gold.score(name) != 1}
    assert low == {}
    nothing = evaluate("nothing", tmp_path / "nothing", "--limit", "1", tasks="versatune-chat_*")
    assert {name for name in nothing.results if nothing.unparsed(name) != 1 or nothing.score(name) != 0} == set()


@real
def test_a_server_of_chat_completions_is_asked_all_twelve(tmp_path: Path, limited: list[str]) -> None:
    with serving() as (address, asked):
        printed = lm_eval(
            *("--model", "local-chat-completions", "--apply_chat_template", "--tasks", "versatune-chat_*"),
            *("--model_args", f"model=tiny,base_url={address}/v1/chat/completions,num_concurrent=4", *limited),
        )
    assert "Custom kwargs can be passed" not in printed
    found: Evaluation = read(tmp_path / "results")
    assert found.results.keys() >= CHAT
    assert len(asked) == len(found.rows)
    assert {path for path, _ in asked} == {"/v1/chat/completions"}
    assert {body["messages"][-1]["role"] for _, body in asked} == {"user"}
    assert {tuple(body["stop"]) for _, body in asked} == {()}
    assert "**A**" in ANSWER
    assert found.unparsed("versatune-chat_medqa") == 0
    assert found.unparsed("versatune-chat_humaneval") == 1
    (run,) = read_runs([tmp_path / "results"])
    assert run.name == "results-chat"
    assert not any("without a template" in message for message in warnings(run))


@real
def test_a_server_of_completions_is_asked_all_twelve(tmp_path: Path, limited: list[str]) -> None:
    model = write_model(tmp_path / "model")
    with serving() as (address, asked):
        arguments = f"model=tiny,tokenizer={model},tokenizer_backend=huggingface,max_length=100000,num_concurrent=4"
        lm_eval(
            *("--model", "local-completions", "--tasks", "versatune_*"),
            *("--model_args", f"{arguments},base_url={address}/v1/completions", *limited),
        )
    found = read(tmp_path / "results")
    assert {name for name in found.results if name.startswith("versatune_")} == {f"versatune_{b}" for b in BENCHMARKS}
    assert {bool(body.get("echo")) for _, body in asked} == {True, False}
    assert found.unparsed("versatune_medqa") == 0
    assert 0 <= found.score("versatune_hellaswag") <= 1
