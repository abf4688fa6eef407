"""LegalBench's answers as a careful human reads them: for models that answer in sentences."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from versatune_plugin.eval_tasks.legalbench.rows import KNOWN
from versatune_plugin.eval_tasks.legalbench.scoring import NO_CLASS, found_names, is_near, parts, row_score, stems
from versatune_plugin.evaluation.reading.formulas import quantity
from versatune_plugin.evaluation.reading.options import label, label_list
from versatune_plugin.evaluation.reading.text import answer, first_line, lines, normalise, resolved, stated, words

_REFUSES = re.compile(r"\b(?:not|cannot|unable|unsure|unclear|unknown|sorry)\b|n't\b", re.IGNORECASE)
_MEANINGS = {subtask.name: subtask.labels for subtask in KNOWN.values()}
_TERM = re.compile(
    r"\b(?:defined\s+)?terms?(?:\s+(?:that is |that was |being |which is )?defined)?(?:\s+(?:here|in [^.:]{1,40}))?\s*"
    r"(?:is|are|:)\s*|\bdefin(?:es|ition of|ing)\s+(?:the\s+)?(?:terms?\s+|phrase\s+|word\s+)?",
    re.IGNORECASE,
)


def chat_score(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """As `scoring.answer_score`, whose aggregations take it, for what the model says to the user."""
    return row_score(*_BY_KIND[doc["kind"]](doc, answer(results[0])))


def _label(doc: Mapping[str, Any], text: str) -> tuple[tuple[str, str], bool]:
    read = label(text, doc["labels"], _MEANINGS.get(doc["subtask"]))
    return (normalise(doc["reference"]), NO_CLASS if read is None else normalise(read)), read is not None


def _labels(doc: Mapping[str, Any], text: str) -> tuple[tuple[str, str], bool]:
    read = label_list(text, doc["labels"])
    right = ", ".join(sorted(set(parts(doc["reference"]))))
    return (right, NO_CLASS if read is None else ", ".join(sorted(map(normalise, read)))), read is not None


def _contained(doc: Mapping[str, Any], text: str) -> tuple[float, bool]:
    said = _said(text)
    named = normalise(said)
    right = normalise(doc["reference"]) in named and not re.search(r"\bor\b", named)
    refuses = _REFUSES.search(said) is not None
    return float(right and not refuses), bool(named) and not (refuses and not re.search(r"\bvs?\b", named))


def _stemmed(doc: Mapping[str, Any], text: str) -> tuple[float, bool]:
    said = _said(text)
    if opening := _TERM.search(said):
        said = said[opening.end() :]
    quoted = {
        one.strip(" .,") for one in re.findall(r"\"([^\"]+)\"|(?<!\w)'([^']+)'(?!\w)", said) for one in one if one
    }
    if len(quoted) == 1:
        said = quoted.pop()
    if _REFUSES.search(said) or (re.search(r"\bor\b", said, re.IGNORECASE) and " or " not in doc["reference"].lower()):
        return 0.0, False
    named = re.sub(
        r"\b(?:the|an?)\s+(?:term|word|phrase)\s+|\.\Z|\A(?:the|an?)\s+(?=\w+\W*\Z)",
        "",
        said.split(". ")[0].strip(" \"'"),
    )
    answered = stems([*re.split(r"\s*(?:,|;|\band\b)\s*", named), named])
    return float(bool(answered & stems(doc["reference"].split(",")))), bool(answered) and len(named.split()) <= 12


def _number(doc: Mapping[str, Any], text: str) -> tuple[float, bool]:
    read, right = quantity(text), quantity(doc["reference"])
    if read is None or right is None:
        return 0.0, False
    return float(is_near(int(read), int(right))), True


def _names(doc: Mapping[str, Any], text: str) -> tuple[tuple[int, int, int], bool]:
    plain = words(text)
    tails = [said.value for said in stated(plain, lambda tail: (bool(tail.strip()), tail)) if said.value]
    there = lines(tails[-1] if tails else plain)
    bullets = [re.sub(r"\A(?:[-•]|\d+[.)])\s+", "", line) for line in there if re.match(r"(?:[-•]|\d+[.)])\s", line)]
    listed = (
        bullets or [re.sub(r"\A[^:]{0,60}\b(?:is|are|include|includes)\b:?\s*|\A[^:]{0,60}:\s*", "", there[0])]
        if there
        else []
    )
    bare = [re.sub(r"\s*\([^()]*\)|\s+[-\u2013\u2014]\s.*", "", one) for one in listed]
    right = parts(doc["reference"])
    answered: list[str] = []
    for one in bare:
        for part in re.split(r"\s*[,;]\s*(?:and\s+)?", one.rstrip(".")):
            whole = any(name in normalise(part) for name in right if " and " in name)
            answered += parts(part if whole else re.sub(r"\s+and\s+", ",", part))
    if _REFUSES.search(plain) and not any(name in part for name in right for part in answered):
        return (0, 0, len(right)), False
    return found_names(answered, right), bool(answered)


def _said(text: str) -> str:
    """What an answer states, or its first line."""
    plain = words(text)
    said = stated(plain, first_line)
    return (resolved(said, plain) or "") if said else (lines(plain) or [""])[0]


_BY_KIND: dict[str, Callable[[Mapping[str, Any], str], tuple[Any, bool]]] = {
    "label": _label,
    "labels": _labels,
    "contained": _contained,
    "stemmed": _stemmed,
    "number": _number,
    "names": _names,
}
