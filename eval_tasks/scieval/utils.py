"""SciEval: questions of biology, chemistry and physics (Sun et al., 2023), answered in free text, one example each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from versatune_plugin.errors import DataError
from versatune_plugin.evaluation.benchmark_files import LOG, BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.examples import no_examples
from versatune_plugin.evaluation.reading.options import candidate, label, option_letter
from versatune_plugin.evaluation.reading.text import answer, normalise

REPOSITORY = "OpenDFM/SciEval"
REVISION = "370117e4ee95dd8553f6a053ee00a4932429fe5f"
EXAMPLES = "scieval-dev.json"
# The test questions with their answers; `scieval-test.json` has none.
TEST = "scieval-test-local.json"
VALIDATION = "scieval-valid.json"

# An example fits a question that agrees with it in all of these.
SHARED = ("task_name", "ability", "category", "prompt")
CHOICE, JUDGE, FILLING = "multiple-choice", "judge", "filling"
ANSWERS = {CHOICE: ["A", "B", "C", "D"], JUDGE: ["yes", "no", "maybe"]}
LIST = "list for selection:\n"

examples = no_examples("SciEval", "the one that fits a question stands in its prompt")


@loader("scieval", REPOSITORY, REVISION)
def load(files: BenchmarkFiles) -> Splits:
    """The test questions with their answers, each behind the first example that fits it.

    A local folder may hold the validation questions in their place, which is logged.

    Raises:
        VersaTuneError: no example fits a question, or a file cannot be had.
    """
    scored = TEST
    if files.local is not None and not (files.local / TEST).is_file():
        LOG.warning("%s has no %s: the questions of %s are scored instead", files.local, TEST, VALIDATION)
        scored = VALIDATION
    examples: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for row in _read(files.get(EXAMPLES, EXAMPLES)):
        examples.setdefault(_shared(row), row)
    rows = []
    for row in _read(files.get(scored, scored)):
        if _shared(row) not in examples:
            raise DataError(f"no example of {EXAMPLES} fits the question {row['id']} of {scored}")
        rows.append(_row(row, examples[_shared(row)]))
    return {"test": rows}


def score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """1 if the answer is right by the rule of its kind; case does not matter.

    Multiple choice: the first character is the right letter. Judging and filling: the right answer is a part of what
    was printed. What names none of the possible answers is unparsed. ``exact_match`` beside it leaves out case and
    punctuation only.
    """
    printed = results[0].strip().lower()
    exact = normalise(printed) == normalise(doc["reference"])
    if doc["kind"] == CHOICE:
        printed = printed[:1]
    right = doc["reference"].lower() in printed
    parsed = right or any(guess.lower() in printed for guess in doc["guesses"])
    return {"vt_score": float(right), "vt_unparsed": float(not parsed), "exact_match": float(exact)}


def chat_score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """1 if a careful human reads the right answer in what the model says to the user; unparsed if he reads none."""
    text = answer(results[0])
    if doc["kind"] == CHOICE:
        read = option_letter(text, ANSWERS[CHOICE])
    else:
        read = (label if doc["kind"] == JUDGE else candidate)(text, doc["guesses"])
    right = read is not None and read.lower() == doc["reference"].strip().lower()
    return {"vt_score": float(right), "vt_unparsed": float(read is None), "exact_match": float(right)}


def _read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return rows


def _shared(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in SHARED)


def _row(row: Mapping[str, Any], example: Mapping[str, Any]) -> dict[str, Any]:
    query = (
        f"{row['prompt']}\n\nHere are some examples:\n{example['question']} {example['answer'][0]}\n\n"
        f"Then, the question is:\n{row['question']} The answer is"
    )
    kind = row["type"]
    guesses = ANSWERS[kind] if kind in ANSWERS else _candidates(row["question"])
    further = {name: row[name] for name in ("id", "task_name", "ability", "category")}
    return {"query": query, "reference": row["answer"][0], "guesses": guesses, "kind": kind, **further}


def _candidates(question: str) -> list[str]:
    line = question.partition(LIST)[2].partition("\n")[0]
    return [candidate.strip() for candidate in line.split(",") if candidate.strip()]
