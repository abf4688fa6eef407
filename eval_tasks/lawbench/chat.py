"""LawBench's answers as a careful human reads them: for models that answer in sentences."""

# ruff: noqa: RUF001  The answers are Chinese.

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from versatune_plugin.eval_tasks.lawbench.rows import LETTERS, labels
from versatune_plugin.eval_tasks.lawbench.scoring import answer_score, arabic, f1, label_f1, months_score
from versatune_plugin.evaluation.reading.formulas import quantity
from versatune_plugin.evaluation.reading.options import option_letter
from versatune_plugin.evaluation.reading.text import answer, ascii_marks, first_line, stated, words

Read = tuple[float, bool]

_DENIED = re.compile(
    r"(?:不是|不属于|不构成|并非|而非|排除|不涉及|不应|不能|不存在|没有|无法|不包括|非)[^,.;、]{0,6}\Z"
)
_NUMERAL = r"[\d一二两三四五六七八九十百千零〇]+"
_YEARS = re.compile(r"(?<!\d)(\d{1,2})年(?:零|又|并)?(?:(\d{1,3})个?月|(半))?(?!以上|以下|[\d零又]*月?\d*日)")
_MONTHS = re.compile(r"(?<![\d年])(\d{1,3})个月(?!以上|以下)|(?<![\d年])(\d{1,3})月(?!\d*日|以上|以下|份)")
_ENGLISH = re.compile(r"(?:(\d+)\s*years?(?:\s*and)?\s*)?(\d+)\s*months?|(\d+)\s*years?", re.IGNORECASE)


def chat_score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """As `scoring.answer_score`, for what the model says to the user."""
    text = answer(results[0])
    if doc["subtask"] not in _RULES:
        return answer_score({**doc, "answer": _bare(doc["answer"])}, [_bare(text)])
    score, parsed = _RULES[doc["subtask"]](doc, text)
    return {"vt_score": score, "vt_unparsed": 0.0 if parsed else 1.0}


def _bare(text: str) -> str:
    """Without the word that announces an answer, and quotation marks around it."""
    text = re.sub(r"\A\W*(?:\[?(?:正确)?(?:答案|回答|解答|摘要)\]?)\s*(?:是|为)?\s*[:：]\s*", "", text)
    quoted = re.fullmatch(r"[\"“]([^\"“”]*)[\"”]", text.strip())
    return quoted[1] if quoted else text.strip()


def _letter(doc: Mapping[str, Any], text: str) -> Read:
    letters = LETTERS[doc["subtask"]]
    read = option_letter(text, letters)
    right = option_letter(doc["reference"], letters)
    return float(read is not None and read == right), read is not None


def _one_label(doc: Mapping[str, Any], text: str) -> Read:
    named = _named(doc["subtask"], text)
    right = _named(doc["subtask"], doc["reference"])
    return float(named == right and len(named) == 1), len(named) == 1


def _label_set(doc: Mapping[str, Any], text: str) -> Read:
    named = _named(doc["subtask"], text)
    return label_f1(doc, named), bool(named)


def _named(subtask: str, text: str) -> set[str]:
    """The labels in what is stated, or in the whole answer; none that is denied or a part of a longer one."""
    known = labels()[subtask]
    plain = words(text)
    tails = [said.value for said in stated(plain, first_line) if said.value]
    pattern = re.compile("|".join(map(re.escape, sorted(map(ascii_marks, known), key=len, reverse=True))))
    by_marks = {ascii_marks(one): one for one in known}
    for part in (*reversed(tails), plain):
        found = {by_marks[one[0]] for one in pattern.finditer(part) if not _DENIED.search(part[: one.start()])}
        if found:
            return found
    return set()


def _articles(doc: Mapping[str, Any], text: str) -> Read:
    """The numbers of 第...条, which several may share; without that word, the official rule."""
    plain = re.sub(rf"第{_NUMERAL}款", "", words(text))
    found = re.findall(rf"第?({_NUMERAL}(?:(?:、|,|和|及|与|第){_NUMERAL})*)条", plain)
    if not found:
        scored = answer_score(doc, [text])
        return scored["vt_score"], scored["vt_unparsed"] == 0
    named = {arabic(one) for part in found for one in re.split(r"[、,和及与第]+", part) if one}
    wanted = set(re.findall(r"\d+", doc["answer"]))
    return f1(len(named & wanted), len(named), len(wanted)), True


def _months(doc: Mapping[str, Any], text: str) -> Read:
    plain = words(text)
    tails = [said.value for said in stated(plain, first_line) if said.value]
    for part in (*reversed(tails), plain):
        terms = _terms(part)
        if len(set(terms)) == 1:
            return months_score(doc, terms[0]), True
        if terms:
            return 0.0, False
    return 0.0, False


def _terms(text: str) -> list[int]:
    """Sentences in months; not dates, limits of the law or probation."""
    text = re.sub(r"\d{4}年(?:\d{1,2}月)?(?:\d{1,2}日)?", "", arabic(text))
    text = re.sub(rf"(?:缓刑|考验期|缓期)\w{{0,6}}?(?:{_NUMERAL}(?:年半?|个月))+", "", text)
    found = [(one.start(), 12 * int(one[1]) + (6 if one[3] else int(one[2] or 0))) for one in _YEARS.finditer(text)]
    rest = _YEARS.sub(lambda one: "#" * len(one[0]), text)
    found += [(one.start(), int(one[1] or one[2])) for one in _MONTHS.finditer(rest)]
    found += [(one.start(), 12 * int(one[1] or one[3] or 0) + int(one[2] or 0)) for one in _ENGLISH.finditer(rest)]
    return [months for _, months in sorted(found)]


def _amount(doc: Mapping[str, Any], text: str) -> Read:
    read = quantity(arabic(re.sub(r"(?<=\d)[,，](?=\d{3})", "", text)))
    (right,) = re.findall(r"\d+\.?\d*", doc["answer"])
    return float(read is not None and abs(read - float(right)) < 0.005), read is not None


def _entities(doc: Mapping[str, Any], text: str) -> Read:
    """One kind of entity a line, as the official rule wants it, and no marks around them."""
    plain = re.sub(r"[;；]", "\n", re.sub(r"[ \t]*:[ \t]*", ":", words(text)))
    if not doc["answer"].strip() and re.fullmatch(r"\W*(?:无|没有|None|没有[^\n]{0,20}实体)\W*", plain):
        return 1.0, True
    scored = answer_score(doc, [re.sub(r"^\s*(?:[-•]|\d+[.)、])\s*", "", plain, flags=re.MULTILINE) + "\n"])
    return scored["vt_score"], scored["vt_unparsed"] == 0


def _triggers(doc: Mapping[str, Any], text: str) -> Read:
    """A list, whatever separates its words."""
    plain = re.sub(r"\A[^:\n]{0,20}(?:触发词|答案)[^:\n]{0,10}:\s*", "", words(text))
    parts = [re.sub(r"\A\s*(?:[-•]|\d+[.)、])\s*", "", part) for part in re.split(r"[;；、,\n]", plain)]
    scored = answer_score(doc, [";".join(part.strip(" .\"'") for part in parts if part.strip())])
    return scored["vt_score"], scored["vt_unparsed"] == 0


_RULES: Mapping[str, Callable[[Mapping[str, Any], str], Read]] = {
    **dict.fromkeys(LETTERS, _letter),
    **dict.fromkeys(("2-2", "2-4"), _one_label),
    **dict.fromkeys(("2-3", "2-9", "3-3"), _label_set),
    **dict.fromkeys(("3-4", "3-5"), _months),
    "2-6": _entities,
    "2-10": _triggers,
    "3-1": _articles,
    "3-7": _amount,
}
