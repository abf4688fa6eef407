"""LawBench: each rule on small cases, all real rows, and one model's real predictions with their official scores."""

# ruff: noqa: RUF001  The rows are Chinese.

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from lm_eval.tasks import TaskManager

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.eval_tasks.lawbench.rows import LETTERS, REPOSITORY, REVISION, TITLES, labels
from versatune_plugin.eval_tasks.lawbench.utils import SUB_TASKS, answer_score, load
from versatune_plugin.evaluation.benchmark_files import VARIABLE

TASKS = Path(__file__).parents[2] / "eval_tasks" / "lawbench"
real = pytest.mark.skipif(not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name a folder with lawbench")

# Sentences of death or for life have no score.
SKIPPED = {"3-4": 4, "3-5": 4}
# Right answers of 3-3 that the official rule does not give a 1: rows, and the mean of a perfect model.
CHARGES_BELOW_ONE, PERFECT_CHARGES = 87, 0.9322428571428572
# Sub-tasks for which the official evaluation counts no abstentions, not even empty answers.
NEVER_ABSTAINED = {"1-1", "2-5", "2-6", "2-7", "2-10", "3-2", "3-8"}


def score(subtask: str, right: str, answer: str) -> tuple[float, float]:
    doc = {"subtask": subtask, "answer": right, "question": "", "reference": right}
    found = answer_score(doc, [answer])
    return found["vt_score"], found["vt_unparsed"]


@pytest.mark.parametrize(
    ("subtask", "right", "answer", "expected"),
    [
        # One option and no other, wherever it stands and however often.
        ("1-2", "正确答案：B。", "[正确答案]B", (1, 0)),
        ("1-2", "正确答案：B。", "B，因为B最合适", (1, 0)),
        ("1-2", "正确答案：B。", "B，不是A", (0, 0)),
        ("1-2", "正确答案：B。", "C", (0, 0)),
        ("1-2", "正确答案：B。", "b", (0, 1)),
        ("1-2", "正确答案：B。", "E", (0, 1)),
        ("2-8", "[正确答案]E<eoa>", "E", (1, 0)),
        ("3-6", "正确答案:C。", "C<eoa>", (1, 0)),
        ("2-2", "争议焦点类别：利息。", "[争议焦点]利息", (1, 0)),
        ("2-2", "争议焦点类别：利息。", "利息和违约", (0, 0)),
        ("2-2", "争议焦点类别：利息。", "不清楚", (0, 1)),
        ("2-4", "婚姻家庭", "[类别]婚姻家庭", (1, 0)),
        # Sets of labels: F1.
        ("2-3", "类别:婚后有子女、准予离婚。", "准予离婚、婚后有子女", (1, 0)),
        ("2-3", "类别:婚后有子女、准予离婚。", "准予离婚", (2 / 3, 0)),
        ("2-3", "类别:婚后有子女、准予离婚。", "离婚", (0, 1)),
        ("2-9", "受伤;赔偿", "受伤;赔偿;欺骗", (0.8, 0)),
        ("3-3", "罪名:盗窃", "[罪名]盗窃;诈骗", (2 / 3, 0)),
        # A charge within a charge counts as named.
        ("3-3", "罪名:合同诈骗", "合同诈骗", (2 / 3, 0)),
        # Articles: the first number of each part, as digits or in Chinese; not the paragraph's.
        ("3-1", "法条:刑法第264、65条", "刑法第264条、刑法第65条", (1, 0)),
        ("3-1", "法条:刑法第264、65条", "第二百六十四条、第六十五条", (1, 0)),
        ("3-1", "法条:刑法第264条", "264条第1款", (1, 0)),
        ("3-1", "法条:刑法第264条", "第264条第1款", (0, 1)),
        ("3-1", "法条:刑法第264条", "第264条、第266条", (2 / 3, 0)),
        ("3-1", "法条:刑法第264条", "第264条和第266条", (1, 0)),
        ("3-1", "法条:刑法第264条", "刑法", (0, 1)),
        # An amount among all amounts.
        ("3-7", "上文涉及到的犯罪金额:8500.0元。", "[金额]8500元", (1, 0)),
        ("3-7", "上文涉及到的犯罪金额:8500.0元。", "7000.5或8500.", (1, 0)),
        ("3-7", "上文涉及到的犯罪金额:8500.0元。", "8,500元", (0, 0)),
        ("3-7", "上文涉及到的犯罪金额:8500.0元。", "八千五百元", (0, 1)),
        # Characters that both have, punctuation aside.
        ("2-5", "回答:律师费4000元", "律师费，4000元。", (1, 0)),
        ("2-5", "回答:AB", "a", (2 / 3, 0)),
        ("2-5", "回答:AB", "。", (0, 0)),
        ("2-5", "回答:AB", "", (0, 1)),
        # Triggers by position.
        ("2-10", "查扣;退给", "查扣;退给", (1, 0)),
        ("2-10", "查扣;退给", "退给;查扣", (0, 0)),
        ("2-10", "查扣;退给", "查扣", (2 / 3, 0)),
        # One kind of entity a line, up to a space; the last mention that names something.
        ("2-6", "受害人:严某;地点:家", "受害人:严某\n地点：家。", (1, 0)),
        ("2-6", "受害人:严某;地点:家", "受害人:严某\n", (2 / 3, 0)),
        ("2-6", "受害人:严某;地点:家", "地点:家", (0, 1)),
        ("2-6", "受害人:严某;地点:家", "受害人:无\n地点:未提及", (0, 1)),
        ("2-6", "受害人:严某", "受害人:严某 1998年", (1, 0)),
        ("2-6", "受害人:严某", "受害人:李\n受害人:严某。", (1, 0)),
        ("2-6", "", "无", (1, 0)),
        ("2-6", "", "受害人:严某。", (0, 0)),
        ("2-6", "", "", (0, 1)),
        # Longest common subsequence of words.
        ("1-1", "答案:合同成立", "合同成立", (1, 0)),
        ("3-2", "合同 成立", "合同 生效", (0.5, 0)),
        ("3-8", "合同成立", "天气", (0, 0)),
        ("2-7", "合同成立", " \n", (0, 1)),
        # A line of nothing but space is one empty word, as officially.
        ("2-7", "合同。\n \n成立", "合同。\n成立", (8 / 9, 0)),
    ],
)
def test_rules(subtask: str, right: str, answer: str, expected: tuple[float, float]) -> None:
    assert score(subtask, right, answer) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("[刑期]11个月", 1.0),
        ("十一个月", 1.0),
        # Months before years, "个月" before "月".
        ("2年，11个月", 1.0),
        ("12月前，11个月", 1.0),
        ("1年", 1 - 0.08004271 / 5.37527841),
        ("0个月", 1 - 2.48490665 / 5.37527841),
        # Further off than no answer.
        ("99999个月", 1 - 9.02801878 / 5.37527841),
    ],
)
def test_prison_terms(answer: str, expected: float) -> None:
    assert score("3-4", "刑期:11个月", answer) == (pytest.approx(expected), 0.0)


def test_no_prison_term() -> None:
    assert score("3-5", "刑期:11个月", "无期徒刑") == (0.0, 1.0)
    assert score("3-5", "刑期:11个月", "9" * 5000 + "个月") == (0.0, 1.0)


def write(folder: Path, subtask: str, rows: list[dict[str, str]], zipped: bool) -> None:
    (folder / "lawbench" / "one_shot").mkdir(parents=True, exist_ok=True)
    text = json.dumps(rows).encode()
    name = f"{subtask}.json.gz" if zipped else f"{subtask}.json"
    (folder / "lawbench" / "one_shot" / name).write_bytes(gzip.compress(text) if zipped else text)


@pytest.mark.parametrize("zipped", [True, False])
def test_rows(tmp_path: Path, zipped: bool) -> None:
    rows = [{"instruction": "选", "question": "问", "answer": f"刑期:{term}"} for term in ("4个月", "死刑", "无期")]
    write(tmp_path, "3-4", rows, zipped)
    (row,) = load("3-4", str(tmp_path))["test"]
    assert row == {
        "query": "选\n问",
        "reference": "[刑期]4个月",
        "guesses": ["[刑期]4个月"],
        "subtask": "3-4",
        "question": "问",
        "answer": "刑期:4个月",
    }


def test_rows_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(VersaTuneError, match=r"1-1\.json\.gz is missing"):
        load("1-1", str(tmp_path))


def test_rows_from_github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(kind: str, data_files: dict[str, str], split: str) -> list[dict[str, str]]:
        asked.append((kind, data_files, split))
        return [{"instruction": "选", "question": "问", "answer": "婚姻家庭"}]

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("versatune_plugin.eval_tasks.lawbench.rows.load_dataset", download)
    assert load("2-4")["test"]["query"] == ["选\n问"]
    address = f"https://raw.githubusercontent.com/{REPOSITORY}/{REVISION}/data/one_shot/2-4.json"
    assert asked == [("json", {"test": address}, "test")]


def test_a_download_that_cannot_be_had_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("versatune_plugin.eval_tasks.lawbench.rows.load_dataset", fail)
    with pytest.raises(
        VersaTuneError, match=rf"no network.*lawbench/one_shot/2-4\.json.*{VARIABLE}=FOLDER.*--metadata"
    ):
        load("2-4")


def test_the_files_of_the_tasks_are_current() -> None:
    for name, text in SUB_TASKS.files().items():
        assert (TASKS / name).read_text(encoding="utf-8") == text, name
    assert {path.name for path in (TASKS / "leaves").glob("vt_*")} == {
        f"vt_lawbench_{name.replace('-', '_')}.yaml" for name in TITLES
    }
    group = yaml.safe_load((TASKS / "versatune_lawbench.yaml").read_text())
    assert not any(metric["weight_by_size"] for metric in group["aggregate_metric_list"])
    found = TaskManager(include_path=str(TASKS), include_defaults=False)
    names = {name for name in found.all_tasks if "_lawbench" in name and "chat" not in name}
    assert names == {"versatune_lawbench"} | {f"vt_lawbench_{n.replace('-', '_')}" for n in TITLES}


@real
def test_all_sub_tasks_have_500_rows() -> None:
    counts = {name: len(load(name)["test"]) for name in TITLES}
    print(f"LawBench: {sum(counts.values())} rows, 10000 in the paper, less 500 of 2-1 and 8 that have no score")
    assert counts == {name: 500 - SKIPPED.get(name, 0) for name in TITLES}


@real
@pytest.mark.parametrize("subtask", TITLES)
def test_gold_and_empty_answers_of_every_row(subtask: str) -> None:
    docs = list(load(subtask)["test"])
    gold = [answer_score(doc, [doc["reference"]]) for doc in docs]
    below = [doc["reference"] for doc, item in zip(docs, gold, strict=True) if item["vt_score"] != 1]
    if subtask == "3-3":
        assert len(below) == CHARGES_BELOW_ONE
        assert sum(item["vt_score"] for item in gold) / len(gold) == pytest.approx(PERFECT_CHARGES)
        assert sum(item["vt_unparsed"] for item in gold) == 7
    else:
        assert below == []
        assert not any(item["vt_unparsed"] for item in gold)
    for doc in docs:
        for empty in ("", " \n"):
            assert answer_score(doc, [empty]) == {"vt_score": 0.0, "vt_unparsed": 1.0}


@real
@pytest.mark.parametrize("subtask", [name for name in TITLES if name not in ("2-9", "2-10")])
def test_real_predictions_score_as_officially(subtask: str) -> None:
    folder = Path(os.environ[VARIABLE]) / "lawbench" / "golden"
    official, abstained = json.loads((folder / "official_scores.json").read_text())["llama-2-7b"][subtask]
    with gzip.open(folder / "llama-2-7b.one_shot.json.gz") as file:
        predicted = json.load(file)[subtask]
    docs = list(load(subtask)["test"])
    kept = [row for row in predicted if subtask not in SKIPPED or "个月" in row["refr"]]
    assert [row["refr"] for row in kept] == [doc["answer"] for doc in docs]
    items = [answer_score(doc, [row["prediction"]]) for doc, row in zip(docs, kept, strict=True)]
    assert sum(item["vt_score"] for item in items) / len(items) == pytest.approx(official, abs=5e-5)
    unparsed = sum(item["vt_unparsed"] for item in items)
    if subtask in NEVER_ABSTAINED:
        assert abstained == 0
        assert unparsed >= sum(not row["prediction"].strip() for row in kept)
    else:
        # The official rate has all 500 rows below the line.
        assert unparsed / len(predicted) == pytest.approx(abstained)


@real
def test_labels_are_those_that_the_instructions_list() -> None:
    for subtask, mark in {"2-2": "、", "2-3": "、", "2-4": "、", "2-6": "、", "2-9": "，"}.items():
        listed = mark.join(labels()[subtask])
        assert all(listed in query for query in load(subtask)["test"]["query"]), subtask
    assert len(labels()["3-3"]) == len(set(labels()["3-3"])) == 189
    assert {name: "".join(labels()[name]) for name in LETTERS} == LETTERS


@real
def test_a_prompt_literally() -> None:
    assert load("2-4")["test"][0]["query"] == (
        "确定以下咨询的类别，每个咨询仅属于一个类别，类别包括：婚姻家庭、劳动纠纷、交通事故、债权债务、刑事辩护、"
        "合同纠纷、房产纠纷、侵权、公司法、医疗纠纷、拆迁安置、行政诉讼、建设工程、知识产权、综合咨询、人身损害、"
        "涉外法律、海事海商、消费权益、抵押担保。将答案写在[类别]和<eoa>之间，例如[类别]婚姻家庭<eoa>。"
        "请严格按照这个格式回答。\n下面是一个例子：\n咨询：交通事故中，保险公司及肇事者司机方全部不闻不问。"
        "把伤者拖在医院，一直由家属自行在治疗请问律师该如何处理？\n答案：[类别]婚姻家庭<eoa>\n请你回答：\n咨询：\n"
        "母亲突然离家出走不管儿童应该由谁来起诉"
    )
