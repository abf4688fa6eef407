"""Reads the letter of an option, one of several labels, lists of labels, and literal names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from versatune_plugin.evaluation.reading.text import Said, lines, normalise, resolved, stated, words

# Whether a text begins with an answer, and which; None for several at once.
Found = tuple[bool, str | None]
Begins = Callable[[str], Found]

_NOTHING: Found = (False, None)
_SEVERAL: Found = (True, None)
_BULLET = r"\s*(?:[-•]\s+|\d+[.)]\s+)?"
_QUOTES = r"[\"'(\[{<]*"
_UNQUOTES = r"[\"')\]}>]*"
_NAMED = r"(?:(?:the\s+)?(?:option|choice|letter|answer|label|statement|选项|选)\s*:?\s*)?"
# What may stand behind an answer. A word may not: it could be the rest of another answer ("B cells", "no doubt").
_BOUNDARY = re.compile(
    r"\s*\Z|\s*\n|\s*[,;:!)]|\s*\.(?![A-Za-z0-9])|\.(?=[A-Z])|\s+[-=]+\s|\s+\(|\s*(?:项|是正确|因为)"
    r"|\s+(?:because|since|as|for|given|due|based|considering)\b",
    re.IGNORECASE,
)
_FILLER = r"(?:(?:or|and|also|possibly|maybe|perhaps|either)\s+)*"
_OR = rf"(?:\s*(?:,|;|/|&|\+|、|和|或者|或|与|以及|及)\s*|\s+(?=and\b|or\b)){_FILLER}"
_DENIED = re.compile(
    r"\s*(?:(?:is|was|does|has|would)\b(?!\s+also)|isn't|cannot|can't|项|错|不)", re.IGNORECASE
)  # fmt: skip
_WRONG = re.compile(r"\s*(?:(?:is|was|项|选项)\s*)?(?:not\b|n't|incorrect|wrong|false|错|不)|\s*\?", re.IGNORECASE)
_CORRECT = (
    r"\s+(?:is|was|would be|must be|seems|appears(?: to be)?)\s+(?:(?:indeed|clearly|therefore|thus|most likely)\s+)?"
    r"(?:the\s+)?(?:(?:only|most|single)\s+)?(?:correct|right|best|appropriate|answer)\b"
)
_UNCONFIRMED = re.compile(
    r"(?:\bnot|n't|\bwhy|\bif|\bwhether|\bneither)[^\w.!?\n]+(?:\w+[^\w.!?\n]+){0,3}\Z", re.IGNORECASE
)
_WEAK = re.compile(
    r"(?:\A|[.!?]\s+|\n)\s*"
    r"(?P<final>(?:so|therefore|thus|hence|in conclusion|in short|overall|finally|因此|所以|综上|故)\s*[,:]?\s*)?"
    r"(?P<weak>(?:it is|it's|that is|that's|it would be|that would be|my guess is"
    r"|I(?:'d)? (?:think|believe|guess)(?: that)?(?: it is| it's)?)\s+)?",
    re.IGNORECASE,
)
_SUBSTANCE = 4  # letters that a label has which is no word of every other sentence


def option_letter(text: str, letters: Sequence[str], meanings: Mapping[str, str] | None = None) -> str | None:
    """The letter of the one option that an answer names; None where it names none, or several.

    Args:
        text: of `reading.text.answer`.
        letters: of the options, capitals.
        meanings: text of an option by letter, where it is known: it may stand for the letter, and must not contradict
            it.
    """
    plain, known = words(text), "".join(letters)
    confirmed = re.compile(
        rf"(?<![\w'])((?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer|选项)\s*)?{_QUOTES}[{known}]{_UNQUOTES})[.:]?"
        rf"(?:{_CORRECT}|\s*(?:选项|项)?\s*是?正确)"
    )
    read = _read(plain, _letter_begins(known, meanings or {}), confirmed)
    return read or _by_meaning(plain, meanings or {})


def option_letters(text: str, letters: Sequence[str]) -> str | None:
    """The letters of the options that an answer lists ("ACD", "A, C and D"), in their order; None where it lists none.

    Args:
        text: of `reading.text.answer`.
        letters: of the options, capitals.
    """
    known = "".join(letters)
    listed = re.compile(
        rf"{_BULLET}{_QUOTES}{_NAMED}{_QUOTES}([{known}](?:[\s,;、&和及与]*(?:and\s+)?[{known}])*)(?![A-Za-z0-9_'])"
    )

    def begins(tail: str) -> Found:
        found = listed.match(tail)
        return (True, "".join(sorted(set(re.findall(f"[{known}]", found[1]))))) if found else _NOTHING

    return _read(words(text), begins)


def label(text: str, labels: Sequence[str], meanings: Mapping[str, str] | None = None) -> str | None:
    """The one label that an answer names; None where it names none, or several.

    Args:
        text: of `reading.text.answer`.
        labels: the possible ones. Single capitals are read as letters of options.
        meanings: of labels, as of `option_letter`.
    """
    if labels and all(re.fullmatch("[A-Z]", one) for one in labels):
        return option_letter(text, labels, meanings)
    plain = words(text)
    return _read(plain, _label_begins(labels)) or _by_meaning(plain, meanings or {}) or _predicate(plain, labels)


def label_list(text: str, labels: Sequence[str]) -> set[str] | None:
    """The labels that an answer lists; None where a part of the list is none of them.

    Args:
        text: of `reading.text.answer`.
        labels: the possible ones.
    """
    plain, begins = words(text), _label_begins(labels, listed=True)
    tails = [said.value for said in stated(plain, lambda tail: (bool(tail.strip()), tail)) if said.value]
    for tail in reversed(tails or [plain]):
        there = lines(tail)
        bullets = [line for line in there if re.match(r"[-•]|\d+[.)]\s", line)]
        for listed in (there[:1], [line.rpartition(":")[2] for line in there[:1]], bullets, there):
            read = [begins(part) for line in listed for part in _parts(line, labels)]
            if read and all(found and one is not None for found, one in read):
                return {one for _, one in read if one is not None}
    return None


def candidate(text: str, candidates: Sequence[str]) -> str | None:
    """The one of some literal strings (formulas of chemistry) that an answer names; case matters.

    Args:
        text: of `reading.text.answer`.
        candidates: the possible strings.
    """
    if not candidates:
        return None
    known = "|".join(map(re.escape, sorted(set(candidates), key=len, reverse=True)))
    pattern = re.compile(rf"(?<![\w@+\-\[(=#$/\\%])(?:{known})(?![\w@+\-\])=#$/\\%(\[])")
    bare = re.sub(r"\*\*|`|\$|\\[()]|^\s*[-•]\s", "", text, flags=re.MULTILINE)

    def begins(tail: str) -> Found:
        opening = re.match(rf"\s*(?:the\s+)?{_QUOTES}", tail, re.IGNORECASE)
        found = pattern.match(tail, opening.end() if opening else 0)
        if found is None:
            return _NOTHING
        another = re.compile(_OR, re.IGNORECASE).match(tail, found.end())
        return _SEVERAL if another and pattern.match(tail, another.end()) else (True, found[0])

    if said := stated(bare, begins):
        return resolved(said, bare)
    named = {found[0] for found in pattern.finditer(bare)}
    denied = re.search(r"\b(?:not|cannot|none|neither)\b|n't\b", bare, re.IGNORECASE)
    return named.pop() if len(named) == 1 and not denied else None


def _read(text: str, begins: Begins, confirmed: re.Pattern[str] | None = None) -> str | None:
    """The answer that a text states, begins with or ends with, if these agree."""
    said = [*stated(text, begins), *_weak(text, begins)]
    for found in confirmed.finditer(text) if confirmed is not None else ():
        there, value = begins(found[1])
        if there and not _UNCONFIRMED.search(text[: found.start()]):
            said.append(Said(found.start(), value))
    said += [one for one in (_first(text, begins), _last(text, begins)) if one is not None]
    return resolved(sorted(said, key=lambda one: one.at), text) if said else None


def _weak(text: str, begins: Begins) -> Iterator[Said[str]]:
    """Sentences of the kind "So it is C."."""
    for opening in _WEAK.finditer(text):
        if opening["final"] or opening["weak"]:
            there, value = begins(text[opening.end() :])
            if there:
                yield Said(opening.start(), value, final=opening["final"] is not None)


def _first(text: str, begins: Begins) -> Said[str] | None:
    """An answer at the beginning, unless the line behind it begins with another: then options are listed."""
    there, value = begins(text)
    if not there:
        return None
    following = [begins(line) for line in lines(text)[1:4]]
    if any(found and other != value for found, other in following[:1]):
        return None
    # Nothing but letters, and not always the same: a loop.
    loops = len(following) == 3 and all(found for found, _ in following)
    return None if loops and any(other != value for _, other in following) else Said(0, value)


def _last(text: str, begins: Begins) -> Said[str] | None:
    """An answer at the beginning of the last line, unless the line before it begins with another."""
    *before, last = lines(text) or [""]
    there, value = begins(last)
    if not before or not there:
        return None
    found, other = begins(before[-1])
    return None if found and other != value else Said(text.rfind(last), value)


def _letter_begins(known: str, meanings: Mapping[str, str]) -> Begins:
    opening = re.compile(
        rf"{_BULLET}{_QUOTES}{_NAMED}{_QUOTES}([{known}])(?![A-Za-z0-9_%+]|'(?:s|d|ll|re|ve|m|t)\b)"
        rf"({_UNQUOTES})", re.IGNORECASE
    )  # fmt: skip
    other = re.compile(rf"{_OR}{_NAMED}{_QUOTES}([{known}])(?![A-Za-z0-9_'])", re.IGNORECASE)

    def begins(tail: str) -> Found:
        found = opening.match(tail)
        if found is None:
            return _NOTHING
        letter, rest = found[1].upper(), tail[found.end() :]
        several = other.match(rest)
        if several and several[1].upper() != letter and not _DENIED.match(rest, several.end()):
            return _SEVERAL
        closed = bool(set(found[2]) & set("\"')]}>"))
        if _WRONG.match(rest) or not (closed or _BOUNDARY.match(rest)):
            return _NOTHING
        # In lower case it may be a word.
        if found[1] == "a" and not closed and not re.match(r"\s*(?:\Z|\n|[.,;:)](?:\s|\Z))", rest):
            return _NOTHING
        meant = _meant(rest, meanings)
        return (True, letter) if meant in (None, letter) else _SEVERAL

    return begins


def _label_begins(labels: Sequence[str], listed: bool = False) -> Begins:
    longest = sorted(filter(normalise, labels), key=len, reverse=True)
    patterns = {name: re.compile(rf"{_tokens(name)}(?![A-Za-z0-9_])", re.IGNORECASE) for name in longest}
    opening = re.compile(rf"{_BULLET}{_QUOTES}{_NAMED}{_QUOTES}(?:(?:a|an|the)\s+)?{_QUOTES}", re.IGNORECASE)
    other = re.compile(rf"{_OR}{_QUOTES}", re.IGNORECASE)
    pronoun = re.compile(r"\s+(?:it|they|this|that|these|those|he|she|we|you|there|the)\b", re.IGNORECASE)

    def match(text: str, at: int) -> tuple[str, int] | None:
        found = ((name, pattern.match(text, at)) for name, pattern in patterns.items())
        return next(((name, there.end()) for name, there in found if there), None)

    def begins(tail: str) -> Found:
        start = opening.match(tail)
        # As it stands first: a label may begin as what announces one does ("Choice of law").
        found = match(tail, len(tail) - len(tail.lstrip(" \"'([{<"))) or match(tail, start.end() if start else 0)
        if found is None:
            return _NOTHING
        name, end = found
        quoted = re.compile(_UNQUOTES).match(tail, end)
        rest = tail[quoted.end() if quoted else end :]
        another = other.match(rest)
        if another and not listed:
            next_one = match(rest, another.end())
            if next_one and next_one[0] != name and not _DENIED.match(rest, next_one[1]):
                return _SEVERAL
        closed = bool(quoted and quoted[0]) or (name.lower() in ("yes", "no") and bool(pronoun.match(rest)))
        return (True, name) if (closed or _BOUNDARY.match(rest)) and not re.match(r"\s*\?", rest) else _NOTHING

    return begins


def _by_meaning(text: str, meanings: Mapping[str, str]) -> str | None:
    """The label whose meaning is the whole answer, or its whole first line."""
    for part in (text, *lines(text)[:1]):
        bare = re.sub(r"\A\s*(?:the\s+)?(?:correct\s+)?answer\s*(?:is|:)\s*", "", part, flags=re.IGNORECASE)
        if same := _same_meaning(bare, meanings):
            return same
    return None


def _meant(rest: str, meanings: Mapping[str, str]) -> str | None:
    """The label whose meaning stands behind a letter."""
    return _same_meaning(re.split(r"\n", rest.lstrip(" .:)-\"'"), maxsplit=1)[0], meanings)


def _same_meaning(text: str, meanings: Mapping[str, str]) -> str | None:
    same = [name for name, meaning in meanings.items() if normalise(meaning) and normalise(meaning) == normalise(text)]
    return same[0] if len(same) == 1 else None


def _predicate(text: str, labels: Sequence[str]) -> str | None:
    """The one label that something is said to be, in so many words: "the mark is descriptive"."""
    telling = [one for one in labels if len(one) > _SUBSTANCE and normalise(one) not in ("other", "none", "maybe")]
    if not telling:
        return None
    names = "|".join(_tokens(one) for one in sorted(telling, key=len, reverse=True))
    pattern = re.compile(
        r"\b(?:is|are|be|as|considered|deemed|was)\s+"
        r"(?:(?:therefore|clearly|most likely|likely|best (?:described|classified) as)\s+)?"
        rf"(?:an?\s+|the\s+)?{_QUOTES}({names}){_UNQUOTES}"
        r"(?=\s+(?:mark|term|because|since|as|for)\b|\s*[.,;:!\n]|\s*\Z)",
        re.IGNORECASE,
    )
    named = set()
    for found in pattern.finditer(text):
        sentence = re.split(r"[.!?\n]", text[: found.start()])[-1] + re.split(r"[.!?\n]", text[found.start() :])[0]
        if re.search(
            r"\b(?:not|if|whether|unless|cannot|could|may|might|would|neither|or|unclear|unsure|depends)\b|n't\b",
            sentence,
            re.IGNORECASE,
        ):
            return None
        named.add(normalise(found[1]))
    same = [one for one in telling if normalise(one) in named]
    return same[0] if len(same) == 1 else None


def _tokens(name: str) -> str:
    """A pattern for a name, whatever stands between its words."""
    return r"[\W_]+".join(map(re.escape, re.findall(r"\w+", name)))


def _parts(line: str, labels: Sequence[str]) -> list[str]:
    """The parts of a list; labels keep their own commas and conjunctions."""
    names = "|".join(_tokens(one) for one in sorted(filter(normalise, labels), key=len, reverse=True))
    kept: list[str] = []

    def mark(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\x00{len(kept) - 1}\x00"

    marked = re.sub(rf"\b(?:{names})\b", mark, line.rstrip(" ."), flags=re.IGNORECASE) if names else line
    parts = re.split(r"\s*(?:[,;、&]|\band\b)\s*", marked)
    whole = [re.sub(r"\x00(\d+)\x00", lambda found: kept[int(found[1])], part) for part in parts]
    return [part for part in whole if part.strip()]
