"""SciEval: its three kinds of answers, the example that fits, and where the rows come from."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks import TaskManager, get_task_dict

from tests.helpers.runs import ours
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.eval_tasks.scieval.utils import (
    EXAMPLES,
    REPOSITORY,
    REVISION,
    SHARED,
    TEST,
    VALIDATION,
    load,
    score,
)
from versatune_plugin.evaluation.benchmark_files import VARIABLE

TASKS = Path(__file__).parents[2] / "eval_tasks" / "scieval"
real = pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name a folder with scieval")

# Of a guess among the possible answers.
CHANCE = 0.2687
REAGENTS = "Given the rest:\nbase: CC\nSolvents list for selection:\nC1CCOC1, CN(C)C=O,CO\nOptimal solvent:"


def row(question: str, answer: str, kind: str, **further: str) -> dict[str, Any]:
    return {
        "id": question,
        "question": question,
        "answer": [answer],
        "type": kind,
        "task_name": "QA",
        "ability": "Base Knowledge",
        "category": "physics",
        "prompt": "Choose.",
        "topic": None,
        "cot_prompt": "",
        **further,
    }


def write(folder: Path, examples: list[dict[str, Any]], rows: list[dict[str, Any]], name: str = TEST) -> None:
    (folder / "scieval").mkdir(exist_ok=True)
    (folder / "scieval" / EXAMPLES).write_text(json.dumps(examples), encoding="utf-8")
    (folder / "scieval" / name).write_text(json.dumps(rows), encoding="utf-8")


@pytest.fixture
def docs(tmp_path: Path) -> list[dict[str, Any]]:
    """One row of each kind: multiple choice (B), judging (no), filling (CN(C)C=O)."""
    rows = [row("Q\n\nAnswer:", "B", "multiple-choice"), row("Q?", "no", "judge"), row(REAGENTS, "CN(C)C=O", "filling")]
    write(tmp_path, [row("E\n\nAnswer:", "D", "multiple-choice")], rows)
    return list(load(versatune_eval_data=str(tmp_path))["test"])


@pytest.mark.parametrize(
    ("kind", "printed", "expected", "unparsed"),
    [
        # The first character, whatever follows, in either case.
        (0, "B", 1, 0),
        (0, " b. because", 1, 0),
        (0, "Because", 1, 0),
        (0, "C", 0, 0),
        (0, "AB", 0, 0),
        # Letters further on do not count.
        (0, "(B)", 0, 1),
        (0, "The answer is B", 0, 1),
        (0, "E", 0, 1),
        (0, "", 0, 1),
        (0, " \n ", 0, 1),
        # A part of what was printed.
        (1, "No", 1, 0),
        (1, "I think no.", 1, 0),
        (1, "unknown", 1, 0),
        (1, "yes", 0, 0),
        (1, "Maybe", 0, 0),
        (1, "perhaps", 0, 1),
        (1, "", 0, 1),
        (2, "CN(C)C=O", 1, 0),
        (2, "cn(c)c=o is best", 1, 0),
        (2, "C1CCOC1,CN(C)C=O,CO", 1, 0),
        (2, "C1CCOC1", 0, 0),
        (2, "water", 0, 1),
        (2, "", 0, 1),
    ],
)
def test_the_rule_of_each_kind(
    docs: list[dict[str, Any]], kind: int, printed: str, expected: int, unparsed: int
) -> None:
    assert ours(score(docs[kind], [printed])) == {"vt_score": float(expected), "vt_unparsed": float(unparsed)}


def test_what_could_be_guessed(docs: list[dict[str, Any]]) -> None:
    assert [doc["guesses"] for doc in docs] == [
        ["A", "B", "C", "D"],
        ["yes", "no", "maybe"],
        ["C1CCOC1", "CN(C)C=O", "CO"],
    ]


def test_the_whole_prompt_has_the_first_example_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    near = [row(f"near {name}", "A", "multiple-choice", **{name: "other"}) for name in SHARED]
    fits = [row("First\n\nAnswer:", "D", "multiple-choice"), row("Second", "C", "multiple-choice")]
    write(tmp_path, near + fits, [row("Asked\n\nAnswer:", "B", "multiple-choice")])
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    task = get_task_dict(["versatune_scieval"], manager)["versatune_scieval"]
    doc = task.dataset["test"][0]
    assert task.fewshot_context(doc, num_fewshot=0) == (
        "Choose.\n\nHere are some examples:\nFirst\n\nAnswer: D\n\n"
        "Then, the question is:\nAsked\n\nAnswer: The answer is"
    )
    assert task.doc_to_target(doc) == "B"
    assert task.config.generation_kwargs == {"max_gen_toks": 128, "do_sample": False, "until": ["\n"]}


def test_a_question_that_no_example_fits_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [row("E", "D", "multiple-choice", category="biology")], [row("Q7", "B", "multiple-choice")])
    with pytest.raises(VersaTuneError, match=f"no example of {EXAMPLES} fits the question Q7 of {TEST}"):
        load(versatune_eval_data=str(tmp_path))


def test_a_local_folder_may_hold_the_validation_questions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    examples = [row("E", "D", "multiple-choice")]
    write(tmp_path, examples, [row("validation", "B", "multiple-choice")], VALIDATION)
    with caplog.at_level(logging.WARNING):
        assert load(versatune_eval_data=str(tmp_path))["test"]["id"] == ["validation"]
    assert f"has no {TEST}: the questions of {VALIDATION} are scored instead" in caplog.text
    caplog.clear()
    write(tmp_path, examples, [row("test", "B", "multiple-choice")])
    assert load(versatune_eval_data=str(tmp_path))["test"]["id"] == ["test"]
    assert not caplog.text


def test_the_hub_has_the_test_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, [row("E", "D", "multiple-choice")], [row("Q", "B", "multiple-choice")])
    asked = []

    def download(repository: str, name: str, **how: str) -> str:
        asked.append((repository, name, how))
        return str(tmp_path / "scieval" / name)

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert load()["test"]["id"] == ["Q"]
    how = {"repo_type": "dataset", "revision": REVISION}
    assert asked == [(REPOSITORY, EXAMPLES, how), (REPOSITORY, TEST, how)]


@real
def test_every_validation_question() -> None:
    rows = load()["test"]
    # The 15901 of the paper are test questions, static and dynamic, which only the hub has.
    assert len(rows) == len(set(rows["id"])) == 1441
    assert Counter(rows["kind"]) == {"multiple-choice": 1187, "judge": 99, "filling": 155}
    by_chance = 0.0
    for doc in rows:
        assert doc["reference"] in doc["guesses"]
        assert ours(score(doc, [doc["reference"]])) == {"vt_score": 1.0, "vt_unparsed": 0.0}
        assert ours(score(doc, [""])) == {"vt_score": 0.0, "vt_unparsed": 1.0}
        assert len(doc["guesses"]) == len(set(doc["guesses"])) >= 2
        guessed = [score(doc, [guess]) for guess in doc["guesses"]]
        assert not any(result["vt_unparsed"] for result in guessed)
        by_chance += sum(result["vt_score"] for result in guessed) / len(guessed)
    # More than the share of guesses that are right: as substrings go, CO is a part of C1CCOC1.
    assert round(by_chance / len(rows), 4) == CHANCE
