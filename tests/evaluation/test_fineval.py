"""FinEval: what is asked, what is scored, and where the rows come from."""

# ruff: noqa: RUF001  The prompts are Chinese.

from __future__ import annotations

import csv
import os
import zipfile
from pathlib import Path

import pytest
from lm_eval.tasks import TaskManager, get_task_dict

from tests.helpers.runs import ours
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.eval_tasks.fineval.utils import ARCHIVE, REPOSITORY, REVISION, SUB_TASKS, SUBJECTS, load
from versatune_plugin.evaluation.benchmark_files import VARIABLE
from versatune_plugin.evaluation.choices import choice_score

TASKS = Path(__file__).parents[2] / "eval_tasks" / "fineval"
real = pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name a folder with fineval/data")

# As the files are: a byte order mark, a stray column, cells that pandas would take for missing ones.
DEV = (
    "\ufeffid,question,A,B,C,D,answer,explanation\r\n"
    '0,一加一等于____。,1,2,3,4,B,"因为,\n如此"\r\n'
    "1,不用,a,b,c,d,A,\r\n"
)
VAL = "\ufeffid,question,A,B,C,D,answer,Unnamed: 7\r\n0, 二加二等于____。 ,None,NA, 4,5,C,\r\n"


def write(folder: Path) -> None:
    for split, text in (("dev", DEV), ("val", VAL)):
        path = folder / "fineval" / "data" / split / f"accounting_{split}.csv"
        path.parent.mkdir(parents=True)
        path.write_bytes(text.encode())


def test_the_whole_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    task = get_task_dict(["vt_fineval_accounting"], manager)["vt_fineval_accounting"]
    doc = task.dataset["val"][0]
    prompt = task.fewshot_context(doc, num_fewshot=task.config.num_fewshot)
    assert prompt == (
        "以下是中国关于会计考试的单项选择题，请选出其中的正确答案。\n\n"
        "一加一等于____。\nA. 1\nB. 2\nC. 3\nD. 4\n答案：B\n\n"
        "二加二等于____。\nA. None\nB. NA\nC. 4\nD. 5\n答案："
    )
    requests = task.construct_requests(doc, prompt)
    assert [request.args for request in requests] == [(prompt, letter) for letter in "ABCD"]


def test_an_answer_is_right_wrong_or_none(tmp_path: Path) -> None:
    write(tmp_path)
    doc = load("accounting", str(tmp_path))["val"][0]
    assert ours(choice_score(doc, [(-3, False), (-2, False), (-1, False), (-4, False)])) == {
        "vt_score": 1.0,
        "vt_unparsed": 0.0,
    }
    assert ours(choice_score(doc, [(-1, True), (-2, False), (-3, False), (-4, False)])) == {
        "vt_score": 0.0,
        "vt_unparsed": 0.0,
    }
    assert ours(choice_score(doc, [(0.0, False)] * 4)) == {"vt_score": 0.0, "vt_unparsed": 1.0}


@pytest.mark.parametrize("inside", ["", "FinEval/", "data/"])
def test_the_hub_has_one_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str) -> None:
    archive = tmp_path / ARCHIVE
    with zipfile.ZipFile(archive, "w") as written:
        for split, text in (("dev", DEV), ("val", VAL)):
            written.writestr(f"{inside}{split}/accounting_{split}.csv", text.encode())
            # Names that end alike, and what macOS adds, are not taken for it.
            written.writestr(f"{inside}{split}/cost_accounting_{split}.csv", b"")
            written.writestr(f"__MACOSX/{inside}{split}/._accounting_{split}.csv", b"")
    asked = []

    def download(repository: str, name: str, **how: str) -> str:
        asked.append((repository, name, how))
        return str(archive)

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    from_hub = load("accounting")
    assert asked == [(REPOSITORY, ARCHIVE, {"repo_type": "dataset", "revision": REVISION})] * 2
    write(tmp_path)
    from_folder = load("accounting", str(tmp_path))
    assert {split: list(rows) for split, rows in from_hub.items()} == {
        split: list(rows) for split, rows in from_folder.items()
    }


def test_an_archive_without_the_subject_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zipfile.ZipFile(tmp_path / ARCHIVE, "w").close()
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(tmp_path / ARCHIVE))
    with pytest.raises(VersaTuneError, match=r"holds 0 files named accounting_dev\.csv"):
        load("accounting")


def test_the_files_of_the_tasks_are_current() -> None:
    for name, text in SUB_TASKS.files().items():
        assert (TASKS / name).read_text(encoding="utf-8") == text, name
    assert {path.name for path in (TASKS / "leaves").glob("vt_*")} == {f"vt_fineval_{name}.yaml" for name in SUBJECTS}
    # The micro average: the mean over questions.
    assert "weight_by_size: true" in SUB_TASKS.files()["versatune_fineval.yaml"]


@real
def test_every_question_of_the_34_subjects() -> None:
    folder = Path(os.environ[VARIABLE]) / "fineval" / "data"
    scored = examples = unlabelled = 0
    for subject in SUBJECTS:
        rows = load(subject)
        examples += len(rows["dev"])
        with (folder / "val" / f"{subject}_val.csv").open(encoding="utf-8-sig", newline="") as lines:
            raw = list(csv.DictReader(lines))
        with (folder / "test" / f"{subject}_test.csv").open(encoding="utf-8-sig", newline="") as lines:
            hidden = list(csv.DictReader(lines))
        assert "answer" not in hidden[0]
        unlabelled += len(hidden)
        assert len(raw) == len(rows["val"])
        for source, doc in zip(raw, rows["val"], strict=True):
            scored += 1
            assert doc["choices"][doc["gold"]] == source["answer"]
            assert source[source["answer"]].strip() in doc["query"].split(f"\n{source['answer']}. ", 1)[1]
            likely = [(0.0 if number == doc["gold"] else -9.0, False) for number in range(4)]
            assert choice_score(doc, likely)["vt_score"] == 1.0
            assert ours(choice_score(doc, [(0.0, False)] * 4)) == {"vt_score": 0.0, "vt_unparsed": 1.0}
    # The paper counts all three splits; `test` has no public labels, so `val` is scored.
    assert (examples, scored, unlabelled) == (170, 1151, 3340)
    assert examples + scored + unlabelled == 4661
