"""F0.5 of edits between characters, after ChERRANT (Zhang et al., 2022), but without its thesaurus and confusions.

The answer and the right sentence are both aligned with the wrong one at least cost, by matches, replacements,
insertions, deletions and moved stretches. What is aligned becomes edits: (first character, character behind the last,
new text). Where several alignments cost the same, the edits of all of them count, each as often as there are different
readings.
"""

# ruff: noqa: RUF001  Chinese punctuation.

from __future__ import annotations

import functools
import itertools
import string
from collections import Counter
from collections.abc import Iterator, Sequence

MATCH, REPLACE, INSERT, DELETE, MOVE = "MSIDT"
REMOVED = "-NONE-"
EMPTY, TOO_MANY = "无内容", "无"
# An answer may be this much longer than the right one; the rest is cut off.
LONGER = 5
# Alignments of lengths further apart than this are not all followed.
APART = 10
BETA = 0.5
PUNCTUATION = string.punctuation + (
    "！？｡＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟–—‘'‛“”„‟…‧"
)
# Costs of a replacement: of meaning (no thesaurus: of all words that it does not know), sort of character, sound.
MEANING, BOTH_CHARACTERS, MIXED, SOUND = 4 / 6, 0.25, 0.499, 0.5

MATCHED, REPLACED, INSERTED, DELETED = (MATCH, 1), (REPLACE, 1), (INSERT, 1), (DELETE, 1)

Edit = tuple[int, int, str]
# Operation, from and to in the wrong sentence, from and to in the other.
Step = tuple[str, int, int, int, int]


def correction_counts(wrong: str, right: str, answer: str, most: int = 2000) -> tuple[int, int, int]:
    """Edits of the answer that are right, edits of it that are not, and right edits that it lacks.

    Args:
        wrong: the sentence to correct.
        right: the corrected one.
        answer: what was generated; the lines are joined, and cut where it is `LONGER` than right.
        most: alignments at the same cost to follow; an answer with more of them counts as one unrelated character.
    """
    cut = answer.replace("\n", "").replace("\t", "")[: len(right) + LONGER] or EMPTY
    source = _simple(wrong.partition("\n")[0], convert=False)
    wanted = edits(source, _simple(right), most)
    made = edits(source, _simple(cut) or TOO_MANY, most)
    return (
        sum(count for edit, count in wanted.items() if edit in made),
        sum(count for edit, count in made.items() if edit not in wanted),
        sum(count for edit, count in wanted.items() if edit not in made),
    )


def correction_f(items: Sequence[tuple[int, int, int]]) -> float:
    """F0.5 over all rows together, to four decimals as ChERRANT prints it.

    Args:
        items: `correction_counts` of each row.
    """
    found, wrong, missed = (sum(counts) for counts in zip(*items, strict=True))
    precision = found / (found + wrong) if wrong else 1.0
    recall = found / (found + missed) if missed else 1.0
    if not precision + recall:
        return 0.0
    return round((1 + BETA**2) * precision * recall / (BETA**2 * precision + recall), 4)


def edits(source: str, target: str, most: int = 2000) -> Counter[Edit]:
    """The edits that make ``target`` of ``source``, and in how many readings each occurs."""
    if source == target or target == "没有错误":
        return Counter()
    operations = _operations(source, target)
    every = abs(len(source) - len(target)) <= APART
    paths = list(itertools.islice(_paths(operations, len(source), len(target), every), most + 1))
    if len(paths) > most:
        return edits(source, TOO_MANY, most) if target != TOO_MANY else Counter([(0, len(source), target)])
    readings = {_reading(path, source, target) for path in paths}
    return Counter(edit for reading in readings for edit in reading)


def _simple(text: str, convert: bool = True) -> str:
    joined = "".join(text.split())
    return str(_converter().convert(joined)) if convert else joined


@functools.cache
def _converter():  # type: ignore[no-untyped-def]
    from opencc import OpenCC

    return OpenCC("t2s")


@functools.cache
def _sounds(char: str) -> frozenset[str]:
    from pypinyin import Style, pinyin

    return frozenset(pinyin(char, style=Style.NORMAL, heteronym=True)[0])


@functools.lru_cache(maxsize=100_000)
def _replacing(one: str, other: str) -> float:
    marks = (one in PUNCTUATION) + (other in PUNCTUATION)
    sort = (BOTH_CHARACTERS, MIXED, 0.0)[marks]
    chinese = all("\u4e00" <= char <= "\u9fff" for char in one + other)
    sound = 0.0 if chinese and _sounds(one) & _sounds(other) else SOUND
    return MEANING + sound + sort


def _operations(source: str, target: str) -> list[list[tuple[tuple[str, int], ...]]]:
    """For each pair of prefixes the last operations at least cost, with their lengths."""
    cost = [[float(i + j) for j in range(len(target) + 1)] for i in range(len(source) + 1)]
    last: list[list[tuple[tuple[str, int], ...]]]
    last = [[(INSERTED,) if j else () for j in range(len(target) + 1)]]
    for i, one in enumerate(source):
        last.append([(DELETED,)])
        for j, other in enumerate(target):
            if one == other:
                cost[i + 1][j + 1] = cost[i][j]
                last[-1].append((MATCHED,))
                continue
            length = _moved(source, target, cost, i, j)
            move = cost[i + 1 - length][j + 1 - length] + length - 1 if length else float("inf")
            replace, insert, delete = cost[i][j] + _replacing(one, other), cost[i + 1][j] + 1, cost[i][j + 1] + 1
            least = cost[i + 1][j + 1] = min(move, replace, insert, delete)
            options = ((move, (MOVE, length)), (replace, REPLACED), (insert, INSERTED), (delete, DELETED))
            last[-1].append(tuple([option for value, option in options if value == least]))
    return last


def _moved(source: str, target: str, cost: list[list[float]], i: int, j: int) -> int:
    """Length of the shortest stretches that end here and differ in the order of their characters only, else 0."""
    if source[i] not in target[:j] or target[j] not in source[:i]:
        return 0
    balance: dict[str, int] = {source[i]: 1, target[j]: -1}
    uneven = 2
    for back in range(1, min(i, j) + 1):
        if cost[i - back + 1][j - back + 1] == cost[i - back][j - back]:
            return 0
        for char, change in ((source[i - back], 1), (target[j - back], -1)):
            before = balance.get(char, 0)
            balance[char] = before + change
            uneven += abs(before + change) - abs(before)
        if not uneven:
            return back + 1
    return 0


def _paths(
    last: list[list[tuple[tuple[str, int], ...]]], length: int, other: int, every: bool
) -> Iterator[tuple[Step, ...]]:
    pending: list[tuple[int, int, tuple[Step, ...]]] = [(length, other, ())]
    while pending:
        i, j, behind = pending.pop()
        if not i and not j:
            yield behind
        for name, size in reversed(last[i][j] if every else last[i][j][:1]):
            a, b = i - (0 if name == INSERT else size), j - (0 if name == DELETE else size)
            pending.append((a, b, ((name, a, i, b, j), *behind)))


def _reading(path: Sequence[Step], source: str, target: str) -> tuple[Edit, ...]:
    """Neighbouring operations as one edit, stretches that changed places as one, and none that changes nothing."""
    joined = _joined(path)
    found = []
    while joined:
        if _swapped(joined[:3], source, target):
            found.append(_span(MOVE, joined[:3]))
            joined = joined[3:]
        else:
            found.append(joined[0])
            joined = joined[1:]
    shortened = (_shortened(step, source, target) for step in found if step[0] != MATCH)
    return tuple((a, b, target[c:d] or REMOVED) for _, a, b, c, d in shortened if source[a:b] != target[c:d])


def _joined(path: Sequence[Step]) -> list[Step]:
    found: list[Step] = []
    for kind, group in itertools.groupby(path, lambda step: step[0] if step[0] in (MATCH, MOVE) else ""):
        steps = list(group)
        names = {step[0] for step in steps}
        if kind == MOVE or names == {INSERT, DELETE}:
            found += steps
        else:
            found.append(_span(names.pop() if len(names) == 1 else REPLACE, steps))
    return found


def _span(name: str, steps: Sequence[Step]) -> Step:
    return name, steps[0][1], steps[-1][2], steps[0][3], steps[-1][4]


def _swapped(steps: Sequence[Step], source: str, target: str) -> bool:
    names = "".join(step[0] for step in steps)
    old = [source[a:b] for _, a, b, _, _ in steps]
    new = [target[c:d] for _, _, _, c, d in steps]
    if names == REPLACE + MATCH + REPLACE:
        pairs = ((old[0], new[2]), (old[2], new[0]))
        if min(len(text) for pair in pairs for text in pair) == 1:
            return all(one == other for one, other in pairs)
        return all(_near(one, other) for one, other in pairs)
    if len(names) == 3 and names[1] in (MATCH, MOVE) and {names[0], names[2]} == {INSERT, DELETE}:
        one, other = sorted((old[0] + old[2], new[0] + new[2]), key=len)
        if one in PUNCTUATION or other in PUNCTUATION:
            return False
        rotated = len(one) == len(other) and one in other + other
        return one == other if len(one) == 1 else _near(one, other) or rotated
    return False


def _near(one: str, other: str) -> bool:
    """At most one character added, removed or replaced."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    while one and other and one[-1] == other[-1]:
        one, other = one[:-1], other[:-1]
    return max(len(one), len(other)) <= 1


def _shortened(step: Step, source: str, target: str) -> Step:
    """A replacement without what both of its texts begin and end with."""
    name, a, b, c, d = step
    if name != REPLACE or source[a:b] == target[c:d]:
        return step
    start = c
    while a < b and c < d and source[a] == target[c]:
        a, c = a + 1, c + 1
    end = 0
    while end < b - a and end < d - start and source[b - 1 - end] == target[d - 1 - end]:
        end += 1
    if end > d - c:
        # The end is compared with all of the new text, and then does not fit.
        end = 0
    return name, a, b - end, c, d - end
