"""MMLU-Sci: which subjects, what is asked, what is scored, and where the rows come from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks import TaskManager, get_task_dict

from tests.helpers.runs import ours
from versatune_plugin.eval_tasks.mmlu_sci.utils import REPOSITORY, REVISION, SUB_TASKS, SUBJECTS, load
from versatune_plugin.evaluation.benchmark_files import VARIABLE
from versatune_plugin.evaluation.choices import choice_score

TASKS = Path(__file__).parents[2] / "eval_tasks" / "mmlu_sci"
real = pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name a folder with mmlu")

ROW = {"question": " What is 2 + 2?\n", "subject": "college_physics", "choices": ["3", "None", "4", "NA"], "answer": 2}


def write(folder: Path) -> None:
    (folder / "mmlu").mkdir()
    (folder / "mmlu" / "college_physics_test.jsonl").write_text(json.dumps(ROW) + "\n", encoding="utf-8")


def test_the_whole_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    task = get_task_dict(["vt_mmlu_sci_college_physics"], manager)["vt_mmlu_sci_college_physics"]
    doc = task.dataset["test"][0]
    prompt = task.fewshot_context(doc, num_fewshot=0)
    assert prompt == (
        "The following are multiple choice questions (with answers) about college physics.\n\n"
        "What is 2 + 2?\nA. 3\nB. None\nC. 4\nD. NA\nAnswer:"
    )
    requests = task.construct_requests(doc, prompt)
    assert [request.args for request in requests] == [(prompt, f" {letter}") for letter in "ABCD"]


def test_an_answer_is_right_wrong_or_none(tmp_path: Path) -> None:
    write(tmp_path)
    doc = load("college_physics", str(tmp_path))["test"][0]
    assert choice_score(doc, [(-3.0, False), (-4.0, False), (-1.0, False), (-2.0, False)])["vt_score"] == 1.0
    assert choice_score(doc, [(-1.0, False), (-4.0, False), (-2.0, False), (-3.0, False)])["vt_score"] == 0.0
    assert ours(choice_score(doc, [(-1.0, False)] * 4)) == {"vt_score": 0.0, "vt_unparsed": 1.0}


def test_the_hub_has_one_configuration_for_each_subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(*what: str, **how: str) -> list[dict[str, Any]]:
        asked.append((what, how))
        return [ROW]

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    from_hub = load("college_physics")["test"]
    assert asked == [
        ((REPOSITORY, "college_physics"), {"split": split, "revision": REVISION}) for split in ("dev", "test")
    ]
    write(tmp_path)
    assert list(from_hub) == list(load("college_physics", str(tmp_path))["test"])


def test_the_files_of_the_tasks_are_current() -> None:
    for name, text in SUB_TASKS.files().items():
        assert (TASKS / name).read_text(encoding="utf-8") == text, name
    assert {path.name for path in (TASKS / "leaves").glob("vt_*")} == {f"vt_mmlu_sci_{name}.yaml" for name in SUBJECTS}
    assert "weight_by_size: true" in SUB_TASKS.files()["versatune_mmlu_sci.yaml"]


@real
def test_every_question_of_the_14_subjects() -> None:
    scored = 0
    for subject in SUBJECTS:
        lines = (Path(os.environ[VARIABLE]) / "mmlu" / f"{subject}_test.jsonl").read_text(encoding="utf-8").splitlines()
        for line, doc in zip(lines, load(subject)["test"], strict=True):
            scored += 1
            source = json.loads(line)
            letter = doc["choices"][doc["gold"]].strip()
            assert f"\n{letter}. {source['choices'][source['answer']]}\n" in doc["query"]
            likely = [(0.0 if number == doc["gold"] else -9.0, False) for number in range(4)]
            assert choice_score(doc, likely)["vt_score"] == 1.0
            assert ours(choice_score(doc, [(0.0, False)] * 4)) == {"vt_score": 0.0, "vt_unparsed": 1.0}
    # The paper's 2999 rows belong to a list of 14 subjects that is published nowhere.
    assert (len(SUBJECTS), scored) == (14, 2606)
