"""AGIEval: official exams in English and Chinese (Zhong et al., 2023)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from versatune_plugin.evaluation.benchmark_files import BenchmarkFiles, Splits, loader
from versatune_plugin.evaluation.choices import LETTERS, chat_score, choice_row, choice_score
from versatune_plugin.evaluation.examples import no_examples
from versatune_plugin.evaluation.reading.formulas import formula, phrase, readable, same_formula, same_phrase
from versatune_plugin.evaluation.reading.text import answer
from versatune_plugin.evaluation.task_files import CHOICE_METRICS, SubTasks

__all__ = ["SUB_TASKS", "chat_free_score", "chat_score", "exam_score", "examples", "free_score", "load"]

# The 21 of the repository less sat-en-without-passage, which is sat-en again.
CHOICE = (
    "aqua-rat",
    "gaokao-biology",
    "gaokao-chemistry",
    "gaokao-chinese",
    "gaokao-english",
    "gaokao-geography",
    "gaokao-history",
    "gaokao-mathqa",
    "gaokao-physics",
    "jec-qa-ca",
    "jec-qa-kd",
    "logiqa-en",
    "logiqa-zh",
    "lsat-ar",
    "lsat-lr",
    "lsat-rc",
    "sat-en",
    "sat-math",
)
FREE = ("gaokao-mathcloze", "math")
# Exams whose questions may have several right options.
SEVERAL = ("gaokao-mathqa", "gaokao-physics", "jec-qa-ca", "jec-qa-kd")
# Those that are known; of the others it is written down which one was taken.
REVISIONS = {"jec-qa-kd": "970133b139bcf1cc07f944851dba0e6b715d5659"}
SUB_TASKS = SubTasks("agieval", {"exams": CHOICE, "free": FREE}, version=1.2, usual=CHOICE_METRICS)

examples = no_examples("AGIEval", "all its rows are scored, and no others are published in this form")

# The letter before an option.
MARK = re.compile(r"\s*[(（]?\s*([A-J])\s*[)）.．、,:：]\s*")  # noqa: RUF001
# What a sentence says before its answer.
LEAD = re.compile(r"^.*(?:\banswer is|答案[是为]?)[ \t]*[:：]?", re.IGNORECASE)  # noqa: RUF001
BOX = re.compile(r"\\boxed\{(.*)\}")
# A number among words, and not a part of a formula.
NUMBER = re.compile(r"(?<![!-#%-~])-?\d+(?:\.\d+)?(?=[.,;:!?]?(?:[^!-~]|$))")


@loader("agieval", "hails/agieval-{subtask}", REVISIONS)
def load(files: BenchmarkFiles, subtask: str) -> Splits:
    """The rows of one exam.

    Args:
        subtask: one of `CHOICE` or `FREE`.
    """
    rows = files.rows("test", f"converted/{subtask}.jsonl")
    # One row of jec-qa-kd has no right answer.
    return {"test": [_row(subtask, row) for row in rows if row.get("gold") or row.get("answer")]}


def exam_score(doc: Mapping[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """1 if the likeliest option is right; where several are, any of them counts, as in lm-eval's own tasks."""
    return choice_score(doc, results)


def free_score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """1 if the answer is the reference up to notation, by lm-eval's normalisation of LaTeX.

    The answer is the first line, or what `_found` finds in the text. Unparsed: neither is right, and a careful human
    reads none in it, or the right one. ``acc`` beside it is that of lm-eval's own task.
    """
    from lm_eval.tasks.agieval.utils import process_results

    # That of agieval.utils reads both sides again and compares their last numbers: 3/2 would equal 1/2.
    from lm_eval.tasks.hendrycks_math.utils import is_equiv

    usual = {"acc": float(process_results(doc, list(results))["acc"])}
    text = results[0].replace("\\$", "").strip()
    if not text:
        return {"vt_score": 0.0, "vt_unparsed": 1.0, **usual}
    line = LEAD.sub("", text.split("\n", 1)[0])
    box = BOX.search(line)
    found = _found(text)
    answers = [box.group(1) if box else line, *([found] if found else [])]
    right = any(is_equiv(_plain(given), _plain(doc["answer"])) for given in answers)
    read = chat_free_score(doc, results)
    unread = not right and (read["vt_unparsed"] or read["vt_score"])
    return {"vt_score": float(right), "vt_unparsed": float(bool(unread)), **usual}


def chat_free_score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """1 if a careful human reads the reference, up to notation, in what the model says to the user.

    All that the reference asks for has to be there, in its order. Unparsed: no one answer can be read.
    """
    text = answer(results[0])
    read, same = (formula(text), same_formula) if readable(doc["answer"]) else (phrase(text), same_phrase)
    right = read is not None and same(read, doc["answer"])
    return {"vt_score": float(right), "vt_unparsed": float(read is None), "exact_match": float(right)}


def _found(text: str) -> str | None:
    """What stands in a box, between dollars or after an equals sign, by lm-eval's parser; else the last number."""
    from lm_eval.tasks.agieval.utils import parse_math_answer

    if "\\boxed" in text or "=" in text or text.count("$") > 1:
        found: str | None = parse_math_answer(text)
        return found
    # The parser's own last number has no sign, and may be a denominator.
    numbers = [] if "\\" in text else NUMBER.findall(text)
    return numbers[-1] if numbers else None


def _plain(answer: str) -> str:
    """Without dollars and a final full stop; Chinese punctuation as in the references."""
    plain = answer.replace("\\$", "").replace("$", "").replace("；", ";").replace("，", ",")  # noqa: RUF001
    return plain.strip().rstrip(".。").strip()


def _row(subtask: str, row: Mapping[str, Any]) -> dict[str, Any]:
    if "choices" in row:
        further = {"several": subtask in SEVERAL}
        return choice_row(row["query"], row["choices"], list(row["gold"]), _options(row["choices"]), **further)
    return {"query": row["query"], "answer": row["answer"], "reference": row["answer"], "guesses": []}


def _options(choices: Sequence[str]) -> list[str]:
    """What the options say, in the order of their letters: some questions of LogiQA list them as A, C, B, D."""
    marks = [MARK.match(choice) for choice in choices]
    texts = [choice[mark.end() :] if mark else choice for choice, mark in zip(choices, marks, strict=True)]
    letters = [mark[1] for mark in marks if mark]
    if sorted(letters) != list(LETTERS[: len(choices)]):
        return texts
    return [text for _, text in sorted(zip(letters, texts, strict=True))]
