"""FinanceIQ: what is asked, what is scored, and where the rows come from."""

# ruff: noqa: RUF001  The prompts are Chinese.

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from lm_eval.tasks import TaskManager, get_task_dict

from tests.helpers.runs import ours
from versatune_plugin.eval_tasks.financeiq.utils import REPOSITORY, REVISION, SUB_TASKS, SUBJECTS, load
from versatune_plugin.evaluation.benchmark_files import VARIABLE
from versatune_plugin.evaluation.choices import choice_score

TASKS = Path(__file__).parents[2] / "eval_tasks" / "financeiq"
real = pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name a folder with financeiq/data")

HEAD = ",Question,A,B,C,D,Answer\n"


def write(folder: Path) -> None:
    examples = "".join(f"{number},例{number},a,b,c,d,{'ABCDA'[number]}\n" for number in range(5))
    for split, text in (("dev", HEAD + examples), ("test", HEAD + '0,"甲,乙?",None,NA,丙 ,丁,D\n')):
        path = folder / "financeiq" / "data" / split / "税务师.csv"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")


def test_the_whole_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    task = get_task_dict(["vt_financeiq_tax_advisor"], manager)["vt_financeiq_tax_advisor"]
    doc = task.dataset["test"][0]
    prompt = task.fewshot_context(doc, num_fewshot=task.config.num_fewshot)
    assert prompt == (
        "以下是关于税务师的单项选择题，请直接给出正确答案的选项。\n\n"
        "题目：例0\nA. a\nB. b\nC. c\nD. d\n答案是：A\n\n"
        "题目：例1\nA. a\nB. b\nC. c\nD. d\n答案是：B\n\n"
        "题目：例2\nA. a\nB. b\nC. c\nD. d\n答案是：C\n\n"
        "题目：例3\nA. a\nB. b\nC. c\nD. d\n答案是：D\n\n"
        "题目：例4\nA. a\nB. b\nC. c\nD. d\n答案是：A\n\n"
        "题目：甲,乙?\nA. None\nB. NA\nC. 丙\nD. 丁\n答案是："
    )
    requests = task.construct_requests(doc, prompt)
    assert [request.args for request in requests] == [(prompt, letter) for letter in "ABCD"]


def test_an_answer_is_right_wrong_or_none_but_never_drawn(tmp_path: Path) -> None:
    write(tmp_path)
    doc = load("tax_advisor", str(tmp_path))["test"][0]
    right = [(-4.0, False), (-3.0, False), (-2.0, False), (-1.0, False)]
    assert ours(choice_score(doc, right)) == {"vt_score": 1.0, "vt_unparsed": 0.0}
    assert ours(choice_score(doc, right[::-1])) == {"vt_score": 0.0, "vt_unparsed": 0.0}
    assert ours(choice_score(doc, [(-1.0, False)] * 4)) == {"vt_score": 0.0, "vt_unparsed": 1.0}


def test_the_hub_has_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    asked = []

    def download(repository: str, name: str, **how: str) -> str:
        asked.append((repository, name, how))
        return str(tmp_path / "financeiq" / name)

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    from_hub = load("tax_advisor")
    how = {"repo_type": "dataset", "revision": REVISION}
    assert asked == [(REPOSITORY, f"data/{split}/税务师.csv", how) for split in ("dev", "test")]
    from_folder = load("tax_advisor", str(tmp_path))
    assert all(list(from_hub[split]) == list(from_folder[split]) for split in ("dev", "test"))


def test_the_files_of_the_tasks_are_current() -> None:
    for name, text in SUB_TASKS.files().items():
        assert (TASKS / name).read_text(encoding="utf-8") == text, name
    assert {path.name for path in (TASKS / "leaves").glob("vt_*")} == {f"vt_financeiq_{name}.yaml" for name in SUBJECTS}
    # The mean over the subjects, however many questions they have.
    assert "weight_by_size: false" in SUB_TASKS.files()["versatune_financeiq.yaml"]


@real
def test_every_question_of_the_10_subjects() -> None:
    folder = Path(os.environ[VARIABLE]) / "financeiq" / "data"
    assert {path.stem for path in (folder / "test").glob("*.csv")} == set(SUBJECTS.values())
    scored = examples = 0
    for subject, file in SUBJECTS.items():
        rows = load(subject)
        examples += len(rows["dev"])
        with (folder / "test" / f"{file}.csv").open(encoding="utf-8-sig", newline="") as lines:
            raw = list(csv.DictReader(lines))
        for source, doc in zip(raw, rows["test"], strict=True):
            scored += 1
            assert doc["choices"][doc["gold"]] == source["Answer"]
            likely = [(0.0 if number == doc["gold"] else -9.0, False) for number in range(4)]
            assert choice_score(doc, likely)["vt_score"] == 1.0
            assert ours(choice_score(doc, [(0.0, False)] * 4)) == {"vt_score": 0.0, "vt_unparsed": 1.0}
    # The paper counts the examples too.
    assert (examples, scored, examples + scored) == (50, 7123, 7173)
