"""LawBench's scores, row by row: the rules of the official evaluation, abstentions as unparsed answers."""

# ruff: noqa: RUF001  The answers are Chinese.

from __future__ import annotations

import contextlib
import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from versatune_plugin.eval_tasks.lawbench.rows import labels

# Months, less one, that are as far from the right sentence as no answer at all.
FURTHEST = 216
# What stands before the right labels, and between them.
_SETS = {"2-3": ("类别:", "、"), "2-9": ("", ";"), "3-3": ("罪名:", ";")}
# Where the official score begins a line: in this order, behind each first group (rouge-chinese 1.0.3, `cut_sent`).
_SENTENCE_ENDS = [
    re.compile(rf"({mark})({behind})")
    for mark, behind in (
        ("[。！？?]", "[^”’]"),
        (r"\.{6}", "[^”’]"),
        ("…{2}", "[^”’]"),
        ("[。！？?][”’]", "[^，。！？?]"),
    )
]

Rule = Callable[[Mapping[str, Any], str], tuple[float, bool]]


def answer_score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """The row's score under ``vt_score``, and whether no answer could be read.

    An answer of nothing but space is unparsed in every sub-task.

    Args:
        doc: the row, as `rows.load` makes it.
        results: the one generated text.
    """
    answer = results[0]
    score, parsed = _RULES[doc["subtask"]](doc, answer)
    return {"vt_score": score, "vt_unparsed": 0.0 if parsed and answer.strip() else 1.0}


def overlap_f(right: str, answered: str) -> float:
    """F1 of the characters that two texts share, as often as they occur; only letters and digits, in lower case."""
    one, other = map(_characters, (right, answered))
    if not one or not other:
        return float(one == other)
    return 2 * (one & other).total() / (one.total() + other.total())


def _characters(text: str) -> Counter[str]:
    return Counter(char for char in text.lower() if char.isdigit() or char.isalpha())


def f1(shared: float, answered: int, right: int) -> float:
    """F1 from how many are shared, answered and right."""
    return 2 * shared / (answered + right) if shared else 0.0


def _one_label(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    named = _named(doc, answer)
    return float(named == _named(doc, doc["reference"]) and len(named) == 1), bool(named)


def _label_set(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    named = _named(doc, answer)
    return label_f1(doc, named), bool(named)


def label_f1(doc: Mapping[str, Any], named: set[str]) -> float:
    """F1 of the labels named in an answer to 2-3, 2-9 or 3-3."""
    prefix, mark = _SETS[doc["subtask"]]
    wanted = set(doc["answer"].removeprefix(prefix).removesuffix("。" if mark == "、" else "").split(mark))
    return f1(len(named & wanted), len(named), len(wanted))


def _named(doc: Mapping[str, Any], text: str) -> set[str]:
    return {label for label in labels()[doc["subtask"]] if label in text}


def _rouge(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    from rapidfuzz.distance import LCSseq

    if not answer.strip():
        return 0.0, False
    right = _words(doc["answer"].replace("答案:", "") if doc["subtask"] == "1-1" else doc["answer"])
    answered = _words(answer)
    # ROUGE-L; the table of rouge-chinese, which the official score takes, needs seconds for long answers.
    return f1(LCSseq.similarity(right, answered), len(answered), len(right)), True


def _words(text: str) -> list[str]:
    """The words as the official score counts them: a line without any is one empty word."""
    segmented = " ".join(_segmenter().cut(text))
    for end in _SENTENCE_ENDS:
        segmented = end.sub(r"\1\n\2", segmented)
    return [word for line in segmented.rstrip().split("\n") if line for word in line.split() or [""]]


@functools.cache
def _segmenter() -> Any:
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba.Tokenizer()


def _reading(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    return overlap_f(doc["answer"].replace("回答:", ""), answer), bool(answer.strip())


def _entities(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    found = _entities_in(answer)
    if not doc["answer"].strip():
        # Right is to name nothing, but not to say nothing.
        return float(not found and bool(answer.strip())), bool(answer.strip())
    wanted = dict(part.split(":")[:2] for part in doc["answer"].split(";"))
    shared = sum(overlap_f(wanted[kind], value) for kind, value in found.items() if kind in wanted)
    return f1(shared, len(found), len(wanted)), bool(found)


def _entities_in(answer: str) -> dict[str, str]:
    found = {}
    for kind in labels()["2-6"]:
        # What stands at the very end has no room for a value; the last mention counts.
        for mention in re.finditer(f"{kind}[:：](?=..)", answer, re.DOTALL):
            value = re.split("[\n ]", answer[mention.end() :].strip(), maxsplit=1)[0].strip()
            if value not in ("无", "未提及"):
                found[kind] = value
    return found


def _triggers(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    wanted, answered = doc["answer"].split(";"), answer.split(";")
    shared = sum(overlap_f(one, other) for one, other in zip(wanted, answered, strict=False))
    return f1(shared, len(answered), len(wanted)), bool(answer.strip())


def _articles(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    wanted = set(_integers(r"(\d+)", doc["answer"]))
    named = set()
    for part in answer.split("、"):
        # Paragraphs are not asked for, and go with all that stands between them and the first ordinal before them.
        bare = re.sub("第(.*?)条", r"\1", re.sub("第.*?款", "", part.replace("万元", "元")))
        if numbers := _integers(r"(\d+)", arabic(bare)):
            named.add(numbers[0])
    return f1(len(named & wanted), len(named), len(wanted)), bool(named)


def _months(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    text = arabic(answer)
    months = _integers(r"(\d+)个月", text) or _integers(r"(\d+)月", text)
    months = months or [12 * years for years in _integers(r"(\d+)年", text)]
    if not months:
        return 0.0, False
    return months_score(doc, months[0]), True


def months_score(doc: Mapping[str, Any], months: int) -> float:
    """The score of a sentence of so many months."""
    (right,) = _integers(r"(\d+)个月", doc["answer"])
    return 1 - abs(math.log(right + 1) - math.log(months + 1)) / math.log(FURTHEST)


def _amount(doc: Mapping[str, Any], answer: str) -> tuple[float, bool]:
    (right,) = re.findall(r"\d+\.?\d*", doc["answer"])
    named = [float(number) for number in re.findall(r"\d+\.?\d*", answer)]
    return float(float(right) in named), bool(named)


def _integers(pattern: str, text: str) -> list[int]:
    # Python reads no longer ones.
    return [int(number) for number in re.findall(pattern, text) if len(number) <= 4300]


def arabic(text: str) -> str:
    """With Chinese numerals as digits, where the library can read all of them."""
    import cn2an

    with contextlib.suppress(ValueError, KeyError, IndexError):
        return str(cn2an.transform(text, "cn2an"))
    return text


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(("1-2", "2-2", "2-4", "2-8", "3-6"), _one_label),
    **dict.fromkeys(("1-1", "2-7", "3-2", "3-8"), _rouge),
    **dict.fromkeys(("3-4", "3-5"), _months),
    **dict.fromkeys(("2-3", "2-9", "3-3"), _label_set),
    "2-5": _reading,
    "2-6": _entities,
    "2-10": _triggers,
    "3-1": _articles,
    "3-7": _amount,
}
