"""What a model says to the user, and where in it an answer is stated."""

# ruff: noqa: RUF001  Answers are Chinese, too.

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_TAGS = r"think|thinking|thought|thoughts|reasoning|reflection|scratchpad|seed:think"
_OPEN = re.compile(rf"<(?:{_TAGS})>|\[THINK\]|◁think▷|<\|begin_of_thought\|>", re.IGNORECASE)
_CLOSE = re.compile(rf"</(?:{_TAGS})>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>", re.IGNORECASE)
_REASONING = re.compile(f"(?:{_OPEN.pattern}).*?(?:{_CLOSE.pattern})", re.DOTALL | re.IGNORECASE)
# The channels of gpt-oss, with and without their special tokens.
_FINAL_CHANNEL = re.compile(r".*<\|channel\|>final\s*<\|message\|>|\Aanalysis.*assistantfinal", re.DOTALL)
_OTHER_CHANNEL = re.compile(r"<\|channel\|>(?!final)")
_HEADER = re.compile(
    r"\A\s*(?:<s>|<bos>|<\|begin_of_text\|>|\s)*(?:<\|im_start\|>\s*assistant|<\|start_header_id\|>\s*assistant\s*"
    r"<\|end_header_id\|>|<start_of_turn>\s*model|<\|assistant\|>|\[/INST\]|<\|start\|>assistant|<[|｜]Assistant[|｜]>)"
)
# Where a turn ends, or the model makes up the next one.
_END = re.compile(
    r"<[|｜](?:im_end|im_start|eot_id|eom_id|end_of_text|endoftext|end|end_of_turn|return|start_header_id|user|User"
    r"|end▁of▁sentence|eos|begin▁of▁sentence|diff_marker)[|｜]>|</s>|<end_of_turn>|<start_of_turn>|<eos>|\[INST\]|<eoa>"
    r"|\[DONE\]|\n\s*(?:Human|User|Question|Q|题目|问题)\s*[:：]"
)
_SPECIAL = re.compile(r"<[|｜][^<>|｜\n]{1,40}[|｜]>|</?s>|<(?:eos|bos|pad|unk)>|\[/?INST\]")

# Full-width forms of ASCII, and marks that mean the same; what has no counterpart stays.
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    ord(one): other
    for one, other in zip("\u3000\xa0“”„‘’。、【】「」『』《》−–—→", '  """\'\'.,[]""""""---→', strict=True)
}


def answer(text: str) -> str:
    """What is left for the user: no reasoning, no special tokens, no turns behind the model's own.

    Empty where nothing is, as behind a chain of thought that does not end.
    """
    text = _REASONING.sub("", _FINAL_CHANNEL.sub("", text, count=1))
    *_, text = _CLOSE.split(text)
    if _OPEN.search(text) or _OTHER_CHANNEL.search(text):
        return ""
    text = _HEADER.sub("", text)
    for end in _END.finditer(text):
        if text[: end.start()].strip():
            text = text[: end.start()]
            break
    text = _SPECIAL.sub("", text).replace("<eoa>", "").replace("\r\n", "\n")
    # The first line keeps its margin, which belongs to a program.
    return re.sub(r"\A(?:[ \t]*\n)+", "", text).rstrip()


def ascii_marks(text: str) -> str:
    """With the ASCII counterparts of full-width characters, quotation marks, dashes and Chinese stops."""
    return text.translate(_WIDE)


def words(text: str) -> str:
    """Without Markdown, HTML and LaTeX around words, and with `ascii_marks`; lines stay lines."""
    text = ascii_marks(text)
    text = re.sub(r"~~.*?~~", "", text)
    text = re.sub(r"</?answer>", lambda tag: "" if "/" in tag[0] else "Answer: ", text, flags=re.IGNORECASE)
    text = re.sub(r"</?(?:b|i|u|em|strong|p|br|code|span|mark)\s*/?>", "", text, flags=re.IGNORECASE)
    for _ in range(3):
        text = re.sub(r"\\(?:text|textbf|textit|mathrm|mathbf|mathsf|mbox|bf|rm)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\[()\[\]]|\$|\*|`|^\s*#+\s*|^\s*>\s?", "", text, flags=re.MULTILINE)
    text = re.sub(r"(?<!\w)_+|_+(?!\w)", "", text)
    return re.sub(r"[ \t]+", " ", text).strip()


@dataclass(frozen=True)
class Said(Generic[Value]):
    """A statement of an answer.

    Attributes:
        at: where it begins.
        value: what it states; None for several at once.
        boxed: whether it is a box of LaTeX.
        final: whether it says that it is the last word.
    """

    at: int
    value: Value | None
    boxed: bool = False
    final: bool = False


_FILLED = (
    r"(?:\s*(?:therefore|thus|then|clearly|indeed|most likely|likely|probably|definitely|simply|just|hence|given by)"
    r"\b,?)*"
)
_THING = r"(?:answer|option|choice|response|solution|label|category|classification|verdict|conclusion|result)"
_LEADS = (
    # The answer (to the question) is ...; Answer: ...; "answer": ...
    rf"(?P<final>\bfinal\s+)?\b{_THING}(?:\s+(?:to|for|of|in|here)\b[^.:\n?]{{0,80}}?|\s*\([^()\n]{{0,40}}\))?[\"']?\s*"
    rf"(?:\b(?:is|are|was|would be|should be|must be|will be)\b{_FILLED}(?:\s*:)?|:|=>?|->|→)",
    rf"^(?:the\s+)?(?P<final2>final\s+)?(?:correct\s+)?{_THING}\s*:?\s*\n",
    r"\bI(?:'d| would| will|'ll)?\s+(?:choose|pick|select|go with|opt for|say|answer|vote for)\b(?:\s+that)?(?:\s*:)?",
    r"[\[(]?(?:正确|最终|最佳|标准|参考|本题)?的?(?:答案|选项|类别|结论|结果|争议焦点|争议焦点类别|罪名|刑期|金额|法条|犯罪金额)[\])]?"
    r"(?:应该|应当|应|就|即)?(?:是|为|选择|选|:|=)\s*:?",
    r"[\[(](?:正确答案|答案|类别|争议焦点|罪名|刑期|金额|法条)[\])]\s*:?",
    r"(?:故|因此|所以|应|应当|应该|综上|本题|我|即|则|可|^|[,.:] ?)(?:答案)?(?:选择|选)(?:项)?(?:是|为)?\s*:?",
)
_LEAD = tuple(re.compile(lead, re.IGNORECASE | re.MULTILINE) for lead in _LEADS)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_LAST_WORD = re.compile(
    r"\b(?:so|therefore|thus|hence|in conclusion|to conclude|in summary|overall|finally)\b|因此|所以|综上|故|最终",
    re.IGNORECASE,
)
_HEDGED = re.compile(
    r"\b(?:not|never|doubt|unlikely|if|whether|unless|cannot|wrong|incorrect|neither|nor|might|could|may|except|suppose|"
    r"assum\w+|some|others|someone|previous|first|initial|your|a|another|possible|other|each|every|no)\b|n't\b|不|并非|未|如果|假如|若|是否|错误",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[.!?;,:\n]|\b(?:and|so|but|because|therefore|thus|hence|then)\b|所以|因此|但|而", re.IGNORECASE)
_CORRECTED = re.compile(
    r"\b(?:wait|actually|correction|sorry|apolog\w+|mistake\w*|on second thought|let me (?:re|correct|double)\w*"
    r"|scratch that"
    r"|no,|hmm|revis\w+|I was wrong)|更正|抱歉|等等|重新",
    re.IGNORECASE,
)


def statements(text: str) -> Iterator[tuple[Said[None], str]]:
    """Where an answer is said to follow, with the text from there to its end, or with the content of a box."""
    for lead in _LEAD:
        for found in lead.finditer(text):
            before = text[max(0, found.start() - 200) : found.start()]
            clause = _CLAUSE.split(before)[-1]
            if _HEDGED.search(clause):
                continue
            sentence = re.split(r"[.!?\n]", before)[-1]
            groups = found.groupdict()
            final = any(groups.values()) or bool(_LAST_WORD.search(sentence + found[0]))
            yield Said(found.start(), None, final=final), text[found.end() :]
    for found in _BOX.finditer(text):
        if (content := _balanced(text, found.end())) is not None:
            yield Said(found.start(), None, boxed=True), content


def _balanced(text: str, at: int) -> str | None:
    """What stands from a place behind an opening brace to the one that closes it."""
    depth = 1
    for end in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[at:end]
    return None


def stated(text: str, begins: Callable[[str], tuple[bool, Value | None]]) -> list[Said[Value]]:
    """The statements of an answer in a text, in their order.

    Args:
        text: of `words` or `ascii_marks`.
        begins: whether a text begins with an answer, and which; None for several.
    """
    found = []
    for said, tail in statements(text):
        there, value = begins(_NOT_BUT.sub("", tail, count=1))
        if there:
            found.append(Said(said.at, value, said.boxed, said.final))
    return sorted(found, key=lambda said: said.at)


_NOT_BUT = re.compile(r"\A\s*not\s+[^.\n]{1,60}?,?\s+but\s+(?:rather\s+)?", re.IGNORECASE)


def resolved(said: Sequence[Said[Value]], text: str) -> Value | None:
    """The answer that statements agree on; the last where it corrects the others; else None.

    Args:
        said: at least one, in their order.
        text: that they stand in.
    """
    last = said[-1]
    for one in said[:-1]:
        if one.value == last.value:
            continue
        between = text[one.at : last.at]
        corrected = _CORRECTED.search(between) is not None
        # Of several boxes the last counts, as in everybody's scoring of mathematics.
        boxes = one.boxed and last.boxed and re.search(r"[.\n]", between) is not None
        if not (corrected or boxes or (last.final and not one.final) or (last.boxed and not one.boxed)):
            return None
    return last.value


def lines(text: str) -> list[str]:
    """Those that hold anything."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def first_line(tail: str) -> tuple[bool, str | None]:
    """For `stated`, where whatever stands there is the answer."""
    there = lines(tail)
    return bool(there), there[0] if there else None


def normalise(text: str) -> str:
    """Without ASCII punctuation, without space around it, in lower case, as LegalBench compares."""
    return text.translate(_PUNCTUATION).strip().lower()
