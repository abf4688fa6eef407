"""LegalBench: prompts and rows. Its scoring rules: test_legalbench_scores.py."""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.eval_tasks.legalbench import rows
from versatune_plugin.eval_tasks.legalbench.rows import KNOWN, reference
from versatune_plugin.eval_tasks.legalbench.utils import SUB_TASKS, answer_score, balanced_accuracy, f1, load
from versatune_plugin.evaluation.reading.text import normalise

TASKS = Path(__file__).parents[2] / "eval_tasks" / "legalbench"


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


AGGREGATIONS = {"labels": balanced_accuracy, "answers": mean, "names": f1}
LEAVES = [(leaf, template) for template, leaves in SUB_TASKS.names.items() for leaf in leaves]


@pytest.fixture(scope="module")
def real() -> dict[str, list[dict[str, Any]]]:
    """All rows at hand, by leaf."""
    if not os.environ.get("VERSATUNE_EVAL_DATA"):
        pytest.skip("VERSATUNE_EVAL_DATA does not name a folder with legalbench/tasks")
    return {leaf: list(load(leaf)["test"]) for leaf, _ in LEAVES}


def write(folder: Path, name: str, split: str, table: list[dict[str, str]]) -> None:
    path = folder / "legalbench" / "tasks" / name / f"{split}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), delimiter="\t")
        writer.writeheader()
        writer.writerows(table)


# --- what is asked


def test_161_subtasks_are_scored_155_of_them_by_balanced_accuracy() -> None:
    assert {template: len(leaves) for template, leaves in SUB_TASKS.names.items()} == {
        "labels": 155,
        "answers": 3,
        "names": 3,
    }
    assert "rule_qa" not in {subtask.name for subtask in KNOWN.values()}
    assert Counter(subtask.kind for subtask in KNOWN.values()) == {
        "label": 154,
        "labels": 1,
        "contained": 1,
        "stemmed": 1,
        "number": 1,
        "names": 3,
    }


def test_the_task_files_are_current() -> None:
    files = SUB_TASKS.files()
    there = {path.relative_to(TASKS).as_posix() for path in TASKS.rglob("*.yaml")}
    assert there == set(files)
    assert all((TASKS / name).read_text(encoding="utf-8") == text for name, text in files.items())
    assert all((TASKS / f"_{template}").is_file() for template in SUB_TASKS.names)


def test_leaf_names_can_be_written_on_a_command_line() -> None:
    assert len(KNOWN) == 161
    assert all(leaf.replace("_", "").isalnum() and leaf.isascii() for leaf in KNOWN)
    assert KNOWN["opp115_user_access_edit_and_deletion"].name == "opp115_user_access,_edit_and_deletion"


@pytest.mark.parametrize("subtask", KNOWN.values(), ids=list(KNOWN))
def test_each_subtask_says_what_its_kind_needs(subtask: rows.SubTask) -> None:
    assert subtask.instruction
    assert subtask.licence
    assert subtask.fields
    assert set(subtask.shared) <= set(subtask.fields)
    if subtask.kind in ("label", "labels"):
        assert len({normalise(label) for label in subtask.labels}) == len(subtask.labels) > 1
        assert not any("," in label for label in subtask.labels)
    else:
        assert not subtask.labels


# --- rows


def table(*answers: str) -> list[dict[str, str]]:
    return [{"index": str(place), "text": f"text {place}", "answer": answer} for place, answer in enumerate(answers)]


def test_a_local_test_split_is_scored_with_the_first_train_row_as_the_example(tmp_path: Path) -> None:
    write(tmp_path, "hearsay", "train", table("No", "Yes"))
    write(tmp_path, "hearsay", "test", table("Yes", "No", "No"))
    found = list(load("hearsay", str(tmp_path))["test"])
    assert [(doc["split"], doc["shots"], doc["reference"]) for doc in found] == [
        ("test", 1, "Yes"),
        ("test", 1, "No"),
        ("test", 1, "No"),
    ]
    asked = (
        "Hearsay is a statement made out of court that is offered to prove that what it asserts is true. Is there "
        "hearsay?\nPossible answers: Yes, No"
    )
    assert found[1]["query"] == f"Evidence: text 0\n{asked}\nAnswer: No\n\nEvidence: text 1\n{asked}\nAnswer:"


def test_without_a_test_split_train_rows_are_scored_less_the_example_and_that_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "hearsay", "train", table("No", "Yes", "No"))
    write(tmp_path, "overruling", "train", table("Yes"))
    with caplog.at_level(logging.WARNING, "versatune.evaluation"):
        found = list(load("hearsay", str(tmp_path))["test"])
        alone = list(load("overruling", str(tmp_path))["test"])
    assert [(doc["split"], doc["shots"], doc["reference"]) for doc in found] == [
        ("train", 1, "Yes"),
        ("train", 1, "No"),
    ]
    assert [(doc["split"], doc["shots"]) for doc in alone] == [("train", 0)]
    assert len(caplog.messages) == 1
    assert "no test split of LegalBench" in caplog.text
    assert str(tmp_path) in caplog.text


def test_an_answer_that_is_not_listed_becomes_possible_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "hearsay", "train", table("No"))
    write(tmp_path, "hearsay", "test", table("Yes", "Perhaps"))
    with caplog.at_level(logging.WARNING, "versatune.evaluation"):
        found = list(load("hearsay", str(tmp_path))["test"])
    assert all("Possible answers: Yes, No, Perhaps\n" in doc["query"] for doc in found)
    assert answer_score(found[1], ["perhaps"])["vt_score"] == ("perhaps", "perhaps")
    assert "Perhaps" in caplog.text


def test_a_column_all_rows_share_is_shown_once(tmp_path: Path) -> None:
    def statute(text: str, place: int) -> dict[str, str]:
        return {"statute": text, "description": f"facts {place}", "question": f"question {place}", "answer": "$5"}

    write(tmp_path, "sara_numeric", "train", [statute("law", 0)])
    write(tmp_path, "sara_numeric", "test", [statute("law", 1), statute("other law", 2)])
    first, second = load("sara_numeric", str(tmp_path))["test"]
    asked = KNOWN["sara_numeric"].instruction
    assert first["query"] == (
        f"Statute: law\n\nFacts: facts 0\nQuestion: question 0\n{asked}\nAnswer: $5\n\n"
        f"Facts: facts 1\nQuestion: question 1\n{asked}\nAnswer:"
    )
    assert second["query"].endswith(f"Statute: other law\nFacts: facts 2\nQuestion: question 2\n{asked}\nAnswer:")
    assert second["query"].count("Statute:") == 2


@pytest.mark.parametrize(
    ("written", "read"),
    [("['Not named']", "Not named"), ("['a', 'b']", "a, b"), ("[Smith v. Jones]", "[Smith v. Jones]"), ("['x", "['x")],
)
def test_answers_in_brackets(written: str, read: str) -> None:
    assert reference(written) == read


def test_missing_files_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(VersaTuneError, match="hearsay/train.tsv is missing"):
        load("hearsay", str(tmp_path))
    write(tmp_path, "hearsay", "train", [{"words": "x", "answer": "Yes"}])
    with pytest.raises(VersaTuneError, match="hearsay: the rows have no column text"):
        load("hearsay", str(tmp_path))
    (tmp_path / "legalbench" / "tasks" / "hearsay" / "train.tsv").write_text("index\ttext\tanswer\n")
    with pytest.raises(VersaTuneError, match="has no rows"):
        load("hearsay", str(tmp_path))


def test_on_the_hub_exactly_the_two_files_of_a_subtask_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VERSATUNE_EVAL_DATA", raising=False)
    write(tmp_path, "any", "train", table("A"))
    write(tmp_path, "any", "test", table("A", "B"))
    scalr = {f"choice_{number}": f"holding {number}" for number in range(5)} | {"question": "q", "answer": "3"}
    write(tmp_path, "scalr", "test", [scalr])
    asked = []

    def download(repository: str, name: str, *, repo_type: str, revision: str) -> str:
        asked.append((repository, name, repo_type, revision))
        task, split = name.split("/")[1:]
        return str(tmp_path / "legalbench" / "tasks" / (task if task == "scalr" else "any") / split)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    found = list(load("maud_cor_standard_superior_offer")["test"])
    assert [doc["split"] for doc in found] == ["test", "test"]
    (holding,) = load("scalr")["test"]
    assert (holding["split"], holding["shots"], holding["reference"]) == ("test", 0, "3")
    revision = "daec8237410aa23e3faf4bc41ad8b3a7e1696826"
    assert asked == [
        ("nguha/legalbench", "data/maud_cor_standard_(superior_offer)/train.tsv", "dataset", revision),
        ("nguha/legalbench", "data/maud_cor_standard_(superior_offer)/test.tsv", "dataset", revision),
        ("nguha/legalbench", "data/scalr/test.tsv", "dataset", revision),
    ]


# --- the real rows


def test_counts_of_the_real_rows(real: dict[str, list[dict[str, Any]]]) -> None:
    """The paper counts 90394 rows in 164 sub-tasks: the test split, which is on the hub only, of an unknown version."""
    whole = [doc for docs in real.values() for doc in docs]
    print(f"LegalBench: {len(whole)} train rows of {len(real)} sub-tasks; paper: 90394 test rows of 164")
    assert Counter((doc["split"], doc["shots"]) for doc in whole) == {
        ("train", 1): 675,
        ("train", 0): 34,
        ("prompt", 0): 1,
    }
    assert {doc["subtask"] for doc in whole if doc["shots"] == 0} == {
        subtask.name for leaf, subtask in KNOWN.items() if leaf.startswith("maud_") or leaf == "scalr"
    }


@pytest.mark.parametrize(("leaf", "template"), LEAVES)
def test_right_answers_score_one_and_empty_ones_nothing(
    real: dict[str, list[dict[str, Any]]], leaf: str, template: str
) -> None:
    for answers, expected in (([doc["reference"] for doc in real[leaf]], 1.0), ([""] * len(real[leaf]), 0.0)):
        found = [answer_score(doc, [answer]) for doc, answer in zip(real[leaf], answers, strict=True)]
        assert AGGREGATIONS[template]([item["vt_score"] for item in found]) == expected
        assert {item["vt_unparsed"] for item in found} == {1.0 - expected}


def test_the_listed_labels_cover_the_real_answers(real: dict[str, list[dict[str, Any]]]) -> None:
    for leaf, docs in real.items():
        assert docs[0]["labels"] == list(KNOWN[leaf].labels), leaf


def test_random_answers_score_at_chance(real: dict[str, list[dict[str, Any]]]) -> None:
    """The mean over sub-tasks of one of the possible answers at random, within three standard deviations."""
    numbers = random.Random(20)
    scores, expected, variance = [], [], 0.0
    for leaf, docs in real.items():
        if KNOWN[leaf].kind != "label":
            continue
        found = [answer_score(doc, [numbers.choice(doc["guesses"])]) for doc in docs]
        scores.append(balanced_accuracy([item["vt_score"] for item in found]))
        chance = 1 / len(docs[0]["labels"])
        rows_of_class = Counter(doc["reference"] for doc in docs).values()
        expected.append(chance)
        variance += chance * (1 - chance) * mean([1 / count for count in rows_of_class]) / len(rows_of_class)
    deviation = math.sqrt(variance) / len(scores)
    assert abs(mean(scores) - mean(expected)) < 3 * deviation
    assert deviation < 0.03


def test_no_prompt_shows_its_own_row_as_the_example(real: dict[str, list[dict[str, Any]]]) -> None:
    for docs in real.values():
        for doc in docs:
            assert doc["query"].endswith("\nAnswer:")
            assert doc["query"].count("\nAnswer: ") == doc["shots"]
        assert len({doc["query"] for doc in docs}) == len(docs)


def test_one_real_prompt_by_the_letter(real: dict[str, list[dict[str, Any]]]) -> None:
    doc = real["abercrombie"][0]
    assert (doc["reference"], doc["labels"]) == (
        "descriptive",
        ["generic", "descriptive", "suggestive", "arbitrary", "fanciful"],
    )
    asked = (
        "How distinctive is the mark for the product?\n"
        "Possible answers:\n"
        "generic: it is the product's common name\n"
        "descriptive: it describes a purpose, nature or attribute of the product\n"
        "suggestive: it suggests or implies a quality of the product\n"
        "arbitrary: it is a real word that has nothing to do with the product\n"
        "fanciful: it is an invented word\n"
    )
    assert doc["query"] == (
        'Mark: The mark "Ivory" for a product made of elephant tusks.\n'
        f"{asked}Answer: generic\n"
        "\n"
        'Mark: The mark "Tasty" for bread.\n'
        f"{asked}Answer:"
    )


def test_the_row_of_scalr_is_read_from_its_prompt(real: dict[str, list[dict[str, Any]]]) -> None:
    (doc,) = real["scalr"]
    assert doc["reference"] == "1"
    assert "\nWhich holding best answers the question that was presented to the court?\n" in doc["query"]
    assert [f"\n{number}: holding that" in doc["query"] for number in range(5)] == [True] * 5


def test_labels_are_those_that_the_benchmarks_own_prompts_offer() -> None:
    """For merger agreements, where one train row says too little: as many lettered options as the prompt has."""
    if not os.environ.get("VERSATUNE_EVAL_DATA"):
        pytest.skip("VERSATUNE_EVAL_DATA does not name a folder with legalbench/tasks")
    home = Path(os.environ["VERSATUNE_EVAL_DATA"]) / "legalbench" / "tasks"
    for leaf, subtask in KNOWN.items():
        if leaf.startswith("maud_"):
            text = (home / subtask.name / "base_prompt.txt").read_text(encoding="utf-8")
            offered = [line[len("Option ")] for line in text.splitlines() if line.startswith("Option ")]
            assert offered == list(subtask.labels), leaf


def test_the_file_of_subtasks_is_sorted_one_a_line() -> None:
    path = Path(rows.__file__).with_name("subtasks.json")
    names = list(json.loads(path.read_text(encoding="utf-8")))
    assert names == sorted(names)
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(names) + 2
