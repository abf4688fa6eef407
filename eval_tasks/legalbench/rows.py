"""The rows of LegalBench's sub-tasks, with prompts of our own: ``subtasks.json`` says what is asked in each.

The benchmark's own prompts are not in its data set on the hub, and their licences differ from ours.
"""

from __future__ import annotations

import ast
import csv
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from versatune_plugin.errors import DataError
from versatune_plugin.evaluation.benchmark_files import LOG, VARIABLE, BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.task_files import SubTasks

REPOSITORY = "nguha/legalbench"
REVISION = "daec8237410aa23e3faf4bc41ad8b3a7e1696826"
# The kinds whose scores are aggregated alike, by the template of their YAML.
TEMPLATES = {"labels": ("label", "labels"), "answers": ("contained", "stemmed", "number"), "names": ("names",)}
ZERO_SHOT = "scalr"


@dataclass(frozen=True)
class SubTask:
    """What is asked in one sub-task.

    Attributes:
        name: the benchmark's own.
        kind: how an answer is scored: ``label`` (one of `labels`), ``labels`` (some of them), ``contained`` (the right
            answer stands in it), ``stemmed`` (a part has the right answer's stem), ``number`` (within 10 %), ``names``.
        instruction: what the model is told first.
        fields: column -> its heading in the prompt.
        labels: possible answer -> what it means, which may be empty.
        licence: of the rows.
        shared: columns that all rows have in common, hence shown once.
    """

    name: str
    kind: str
    instruction: str
    fields: Mapping[str, str]
    labels: Mapping[str, str]
    licence: str
    shared: Sequence[str] = ()

    @property
    def leaf(self) -> str:
        """The name in letters, digits and underscores only: lm-eval separates tasks by commas."""
        return re.sub(r"[^a-z0-9]+", "_", self.name).strip("_")


def _read_subtasks() -> dict[str, SubTask]:
    written = json.loads(Path(__file__).with_name("subtasks.json").read_text(encoding="utf-8"))
    known = [SubTask(name, **rest) for name, rest in written.items()]
    return {subtask.leaf: subtask for subtask in known}


KNOWN: Mapping[str, SubTask] = _read_subtasks()
SUB_TASKS = SubTasks(
    "legalbench",
    {
        template: [leaf for leaf, subtask in KNOWN.items() if subtask.kind in kinds]
        for template, kinds in TEMPLATES.items()
    },
    version=1.1,
    usual=(("exact_match",), ("exact_match",)),
)


@loader("legalbench", REPOSITORY, REVISION)
def load(files: BenchmarkFiles, subtask: str) -> Splits:
    """The rows of one sub-task, the first train row being the example in all of them.

    A local folder without the test split has its train rows scored instead, less the example. A single train row is
    scored without an example. Column ``split`` says where a row comes from, ``shots`` how many examples it has.

    Args:
        subtask: a key of `KNOWN`.

    Raises:
        VersaTuneError: a file or a column of it is missing.
    """
    asked = KNOWN[subtask]
    example, scored, split = _example_and_rows(asked, files)
    missing = {*asked.fields, "answer"} - set(scored[0])
    if missing:
        raise DataError(f"LegalBench, {asked.name}: the rows have no column {', '.join(sorted(missing))}")
    labels = _labels(asked, [row["answer"] for row in (*example, *scored)])
    rows = [
        {
            "query": _prompt(asked, labels, example, row),
            "reference": reference(row["answer"]),
            "guesses": list(labels),
            "labels": list(labels),
            "kind": asked.kind,
            "subtask": asked.name,
            "split": split,
            "shots": len(example),
        }
        for row in scored
    ]
    return {"test": rows}


def reference(answer: str) -> str:
    """The right answer as a model would print it; some are written as a list of Python."""
    try:
        return ", ".join(ast.literal_eval(answer)) if answer.startswith("['") else answer.strip()
    except (SyntaxError, ValueError):
        return answer.strip()


def _example_and_rows(asked: SubTask, files: BenchmarkFiles) -> tuple[list[dict[str, str]], list[dict[str, str]], str]:
    """The example (none or one), the rows to score, and their split."""
    on_hub, local_path = f"data/{asked.name}", f"tasks/{asked.name}"
    whole = files.local is None or (files.local / local_path / "test.tsv").is_file()
    if asked.name == ZERO_SHOT:
        if whole:
            return [], _table(files.get(f"{on_hub}/test.tsv", f"{local_path}/test.tsv")), "test"
        _warn_once(str(files.local))
        return [], [_row_of_prompt(files.get("", f"{local_path}/base_prompt.txt"))], "prompt"
    train = _table(files.get(f"{on_hub}/train.tsv", f"{local_path}/train.tsv"))
    if whole:
        return train[:1], _table(files.get(f"{on_hub}/test.tsv", f"{local_path}/test.tsv")), "test"
    _warn_once(str(files.local))
    if len(train) == 1:
        return [], train, "train"
    return train[:1], train[1:], "train"


@cache
def _warn_once(folder: str) -> None:
    LOG.warning(
        "%s has no test split of LegalBench: the rows of the train split are scored, less the one that is the example "
        "(a single row without an example; %s by the example in its prompt). This checks the set-up and is no result; "
        "unset %s to take the test split from the hub (%s)",
        folder,
        ZERO_SHOT,
        VARIABLE,
        REPOSITORY,
    )


def _table(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{key: value or "" for key, value in row.items()} for row in csv.DictReader(file, delimiter="\t")]
    if not rows:
        raise DataError(f"{path} has no rows")
    return rows


def _row_of_prompt(path: Path) -> dict[str, str]:
    """The example that the benchmark's own prompt for `ZERO_SHOT` shows, as a row."""
    text = path.read_text(encoding="utf-8")
    question = re.search(r"^Question: (.+)$", text, re.MULTILINE)
    choices = re.findall(r"^([0-4]): (.+)$", text, re.MULTILINE)[:5]
    answer = re.search(r"^Answer: ([0-4])$", text, re.MULTILINE)
    if question is None or answer is None or len(choices) < 5:
        raise DataError(f"{path} does not show one question with five choices and its answer")
    return {
        "question": question[1],
        **{f"choice_{number}": choice.removeprefix('"').removesuffix('"') for number, choice in choices},
        "answer": answer[1],
    }


def _labels(asked: SubTask, answers: Sequence[str]) -> dict[str, str]:
    """The possible answers with their meanings; those that only the rows know come last."""
    if asked.kind != "label":
        return dict(asked.labels)
    further = sorted({reference(answer) for answer in answers} - set(asked.labels))
    if further:
        LOG.warning("LegalBench, %s: answers that subtasks.json does not list: %s", asked.name, ", ".join(further))
    return {**asked.labels, **dict.fromkeys(further, "")}


def _prompt(
    asked: SubTask, labels: Mapping[str, str], example: Sequence[Mapping[str, str]], row: Mapping[str, str]
) -> str:
    shared = [name for name in asked.shared if all(shot[name] == row[name] for shot in example)]
    own = [name for name in asked.fields if name not in shared]
    blocks = [f"{asked.fields[name]}: {row[name].strip()}" for name in shared]
    for shown in (*example, row):
        lines = [f"{asked.fields[name]}: {shown[name].strip()}" for name in own]
        # Behind the text, which may be longer than a model's context: left truncation must not cut what is asked.
        lines.append(asked.instruction + _possible(labels))
        lines.append("Answer:" if shown is row else f"Answer: {reference(shown['answer'])}")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _possible(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    if not any(labels.values()):
        return "\nPossible answers: " + ", ".join(labels)
    lines = [f"{label}: {meaning}" if meaning else label for label, meaning in labels.items()]
    return "\n".join(["\nPossible answers:", *lines])
