"""The benchmarks that lm-eval has too, beside its own tasks: same prompts, same continuations, same log-likelihoods."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lm_eval.tasks
import pytest
from datasets import Dataset
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager
from lm_eval.utils import load_yaml_config

from tests.helpers import smollm
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.eval_tasks.agieval.utils import CHOICE as EXAMS
from versatune_plugin.eval_tasks.mmlu_sci.utils import SUBJECTS
from versatune_plugin.evaluation.benchmark_files import VARIABLE
from versatune_plugin.host.startup import eval_tasks_directory

THEIRS = Path(lm_eval.tasks.__file__).parent
Rows = list[dict[str, Any]]
Requests = list[tuple[str, str]]

MEDQA = [
    {"sent1": f"Case {n}?", "sent2": "", **{f"ending{k}": f"drug {k}" for k in range(4)}, "label": n % 4}
    for n in range(4)
]
MEDMCQA = [
    {"question": f"Nerve {n}?", "opa": "a", "opb": "b", "opc": "c", "opd": "d", "cop": n % 4, "exp": None}
    for n in range(4)
]
MMLU = [
    {"question": f" Gene {n}?\n", "choices": ["1", "2", "3", "4"], "answer": n % 4, "subject": "college_biology"}
    for n in range(3)
]
EXAM = [
    {"query": f"Q: {asked}? (A)one (B)two\nA: The answer is", "choices": ["(A)one", "(B)two"], "gold": gold}
    for asked, gold in (("Which", [0, 1]), ("And", [1]))
]
HELLASWAG = [
    {
        "activity_label": "Roofing",
        "ctx_a": "A man [step] sits.",
        "ctx_b": f"he {n}",
        "endings": ["is  up [title] Down.", "goes.", "a", "b"],
        "label": "1",
    }
    for n in range(3)
]
FILES = {
    "medqa/train_gbaker_shape.jsonl": MEDQA[:2],
    "medqa/test_gbaker_shape.jsonl": MEDQA[2:],
    "medmcqa/train.jsonl": MEDMCQA[:2],
    "medmcqa/validation_subset_hf_shape.jsonl": MEDMCQA[2:],
    "mmlu/college_biology_dev.jsonl": MMLU[:2],
    "mmlu/college_biology_test.jsonl": MMLU[2:],
    "agieval/converted/sat-en.jsonl": EXAM,
    "hellaswag/hellaswag_train.jsonl": HELLASWAG[:2],
    "hellaswag/hellaswag_val.jsonl": HELLASWAG[2:],
}


@dataclass(frozen=True)
class Pair:
    """One of our tasks, lm-eval's YAML of the same benchmark, and our files by lm-eval's splits."""

    ours: str
    theirs: str
    splits: Mapping[str, str]


def subject(name: str) -> Pair:
    splits = {"dev": f"mmlu/{name}_dev.jsonl", "test": f"mmlu/{name}_test.jsonl"}
    return Pair(f"vt_mmlu_sci_{name}", f"mmlu/default/mmlu_{name}.yaml", splits)


def exam(name: str) -> Pair:
    splits = {"test": f"agieval/converted/{name}.jsonl"}
    return Pair(f"vt_agieval_{name.replace('-', '_')}", f"agieval/{name}.yaml", splits)


PAIRS = (
    Pair(
        "versatune_medqa",
        "medqa/medqa.yaml",
        {"train": "medqa/train_gbaker_shape.jsonl", "test": "medqa/test_gbaker_shape.jsonl"},
    ),
    Pair(
        "versatune_medmcqa",
        "medmcqa/medmcqa.yaml",
        {"train": "medmcqa/train.jsonl", "validation": "medmcqa/validation_subset_hf_shape.jsonl"},
    ),
    Pair(
        "versatune_hellaswag",
        "hellaswag/hellaswag.yaml",
        {"train": "hellaswag/hellaswag_train.jsonl", "validation": "hellaswag/hellaswag_val.jsonl"},
    ),
    subject("college_biology"),
    exam("sat-en"),
)
ALL = (*PAIRS[:3], *map(subject, SUBJECTS), *map(exam, EXAMS))


def write(folder: Path, name: str, rows: Rows) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read(path: Path) -> Rows:
    # Not splitlines: rows hold other line separators.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for name, rows in FILES.items():
        write(folder, name, rows)
    return folder


def part(data: Path, folder: Path, count: int) -> Path:
    """Real rows: so many of each scored split, behind one example, from that split where no other is at hand."""
    for pair in ALL:
        *_, scored = pair.splits.values()
        # Ours leaves one row of jec-qa-kd out, which has no right answer.
        rows = [row for row in read(data / scored) if row.get("gold", True)]
        write(folder, scored, rows[1 : count + 1])
        for name in pair.splits.values():
            if name != scored:
                write(folder, name, (read(data / name) if (data / name).is_file() else rows)[:1])
    return folder


def ours(pair: Pair, folder: Path) -> ConfigurableTask:
    manager = TaskManager(
        include_path=eval_tasks_directory(), include_defaults=False, metadata={"versatune_eval_data": str(folder)}
    )
    return manager.load_task_or_group(pair.ours)[pair.ours]


def theirs(pair: Pair, folder: Path) -> ConfigurableTask:
    """lm-eval's own task on our rows. One example, twice: some of its tasks draw one too many."""
    config = load_yaml_config(str(THEIRS / pair.theirs), mode="full")
    rows = {split: read(folder / name) for split, name in pair.splits.items()}
    rows |= {split: rows[split][:1] * 2 for split in ("train", "dev") if split in rows}

    def load(**_: Any) -> dict[str, Dataset]:
        return {split: Dataset.from_list(found) for split, found in rows.items()}

    return ConfigurableTask(config=config | {"custom_dataset": load})


def requests(task: ConfigurableTask, shots: int, template: Any) -> Requests:
    task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(1234)
    task.build_all_requests(rank=0, world_size=1, apply_chat_template=template is not None, chat_template=template)
    return [request.args for request in task.instances]


def plain(pair: Pair, found: Requests) -> Requests:
    """Without what differs on purpose: HellaSwag's blanks, and the line above MedMCQA's options, which is lm-eval's."""
    if pair.ours == "versatune_hellaswag":
        return [(" ".join(context.split()), " ".join(ending.split())) for context, ending in found]
    return [(context.replace("\nChoices:\nA. ", "\nA. "), choice) for context, choice in found]


def chatml(messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
    turns = "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in messages)
    return turns + "<|im_start|>assistant\n" * add_generation_prompt


@pytest.mark.parametrize("template", [None, chatml])
@pytest.mark.parametrize("shots", [0, 1])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.ours)
def test_made_rows(made: Path, pair: Pair, shots: int, template: Any) -> None:
    if pair.ours.startswith("vt_agieval") and shots:
        # lm-eval's own takes the number of the example's option for its text.
        with pytest.raises(AssertionError, match="not a string"):
            requests(theirs(pair, made), shots, template)
        with pytest.raises(VersaTuneError, match="--num_fewshot 1: AGIEval takes no examples"):
            requests(ours(pair, made), shots, template)
        return
    found = requests(ours(pair, made), shots, template)
    assert found
    assert plain(pair, found) == plain(pair, requests(theirs(pair, made), shots, template))


CASE = "Question: Case 3?\nA. drug 0\nB. drug 1\nC. drug 2\nD. drug 3\nAnswer:"
GENE = (
    "The following are multiple choice questions (with answers) about college biology.\n\n"
    "Gene 2?\nA. 1\nB. 2\nC. 3\nD. 4\nAnswer:"
)
STRINGS = {
    "versatune_medqa": (CASE, [" A", " B", " C", " D"]),
    "versatune_medmcqa": ("Question: Nerve 3?\nA. a\nB. b\nC. c\nD. d\nAnswer:", [" A", " B", " C", " D"]),
    "versatune_hellaswag": ("Roofing: A man sits. He 2", [" is up. Down.", " goes.", " a", " b"]),
    "vt_mmlu_sci_college_biology": (GENE, [" A", " B", " C", " D"]),
    "vt_agieval_sat_en": (EXAM[1]["query"], [" (A)one", " (B)two"]),
}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.ours)
def test_the_very_strings(made: Path, pair: Pair) -> None:
    query, choices = STRINGS[pair.ours]
    task = ours(pair, made)
    assert requests(task, 0, None)[-len(choices) :] == [(query, choice) for choice in choices]
    behind = requests(task, 0, chatml)[-len(choices) :]
    assert [choice for _, choice in behind] == [choice.strip() for choice in choices]
    assert {context.endswith("<|im_start|>assistant\n") for context, _ in behind} == {True}


def test_more_examples_than_there_are_is_an_error_with_a_name(made: Path) -> None:
    for pair, name in zip(PAIRS, ("MedQA", "MedMCQA", "HellaSwag", "MMLU"), strict=False):
        assert len(requests(ours(pair, made), 2, None)[0][0]) > len(requests(ours(pair, made), 1, None)[0][0])
        with pytest.raises(VersaTuneError, match=f"--num_fewshot 3: {name} has 2 examples here"):
            requests(ours(pair, made), 3, None)


@pytest.mark.slow
def test_real_rows_on_a_real_model(tmp_path: Path) -> None:
    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} does not name a folder with rows of the twelve benchmarks")
    if not smollm.installed():
        pytest.skip(f"SmolLM2 is not installed: {smollm.INSTALL}")
    from lm_eval.models.huggingface import HFLM

    model = HFLM(
        pretrained=str(smollm.write(tmp_path / "model")), device="cpu", dtype="float32", batch_size=8, max_length=2048
    )
    folder = part(Path(os.environ[VARIABLE]), tmp_path / "rows", 2)
    compared = 0
    for pair in ALL:
        for shots in (0,) if "agieval" in pair.ours else (0, 1):
            for template in (None, model.apply_chat_template):
                one, other = (
                    requests(ours(pair, folder), shots, template),
                    requests(theirs(pair, folder), shots, template),
                )
                assert plain(pair, one) == plain(pair, other)
                same = [at for at, request in enumerate(one) if request == other[at]]
                values = [
                    model.loglikelihood([tasks[at] for at in same], disable_tqdm=True)
                    for tasks in (instances(one), instances(other))
                ]
                assert values[0] == values[1]
                compared += len(same)
    assert compared > 500


def instances(found: Requests) -> list[Instance]:
    return [Instance("loglikelihood", {}, arguments, 0) for arguments in found]
