"""Reads numbers and formulas, and compares them by what they are worth."""

# ruff: noqa: RUF001  Answers are Chinese, too.

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

from versatune_plugin.evaluation.reading.text import Said, ascii_marks, first_line, lines, resolved, stated

# Words behind a number that make another number of it, or another thing than its unit.
_NO_UNIT = re.compile(
    r"\b(?:hundreds?|thousands?|millions?|billions?|trillions?|dozens?|tenths?|hundredths?|half|halves|thirds?|quarters?"
    r"|or|and|to|through|plus|minus|times|over|by|per cent of|percent of|of|in|on|at|from|with|for|than|less|more|fewer"
    r"|not|but|if|is|are|was|then|which|that|between|each|every|factorial|choose|squared|cubed|mod|base|sqrt|pi|"
    r"point|where|because|since|as|however|k|x|y|z|n|a|b|c|i|t|p|q|r|u|v|w|d|e|f|j)\b",
    re.IGNORECASE,
)
_ALONE = re.compile(r"[mgsLNJWVAKCFh](?![A-Za-z])")
_UNIT = re.compile(
    r"(?P<value>.*(?:[\d})!]|\\pi))\s*(?:\\(?:text|mathrm|mbox|textrm|rm|operatorname)\s*\{(?P<latex>[^{}]*)\}"
    r"(?:\s*\^\s*\{?-?\d\}?)?|(?P<words>[A-Za-z][A-Za-z./² ³·^\d-]{0,40})|(?P<chinese>[一-鿿/]{1,8}))\Z",
    re.DOTALL,
)
_CURRENCY = re.compile(r"\A(?:US\s*\$|\\?\$|USD|RMB|EUR|GBP|Rs\.?|[€£¥￥]|人民币)\s*(?=[\d.])")
_SENTENCE_END = re.compile(
    r"[.?](?=\s|\Z|[一-鿿])|(?<![\d)\\])!|\n|,?\s+(?:because|since|which|where|so|but|as|however|given|due|after|rounded|when)\b"
    r"|,\s*(?=[A-Za-z]{3,}\s)|,?\s*(?:因为|由于|所以|其中)|,(?=[一-鿿])|\s+\((?=[A-Za-z]{3,})"
)
_WORDS = re.compile(r"(?<![\\A-Za-z])(?!and\b)[A-Za-z]{3,}(?![A-Za-z])|(?!和)[一-鿿]")
_FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "sqrt": math.sqrt, "sin": math.sin, "cos": math.cos, "tan": math.tan, "ln": math.log, "log": math.log10,
}  # fmt: skip
_OPERATORS: Mapping[type, Callable[[complex, complex], complex]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_FRACTIONS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "tenth": 10}
_NUMBER_WORDS = re.compile(
    rf"(?=\w)(?P<tens>{'|'.join(_TENS[2:])})?[ -]?(?P<ones>{'|'.join(_ONES)}|a)?"
    rf"(?:[ -](?P<parts>(?:{'|'.join(_FRACTIONS)})s?))?"
    r"(?: degrees| dollars| percent)?",
    re.IGNORECASE,
)
_SAME = 1e-9  # relative: two floats that were computed in two orders
_LARGEST = 1000  # exponent


def formula(text: str) -> str | None:
    """The number or formula that an answer gives, as it is written; None where it gives none, or several.

    A box, "the answer is", the first line or the last line that holds nothing else; else what the last sentence says
    that something is or is equal to.

    Args:
        text: of `reading.text.answer`.
    """
    plain = _unmarked(text)
    said = [*stated(plain, _begins), *_first(plain), *_last(plain)]
    if said:
        return resolved(_alike(sorted(said, key=lambda one: one.at)), plain)
    return _inferred(plain)


def phrase(text: str) -> str | None:
    """The line that an answer gives where words are asked for: what it states, or all of it."""
    plain = _unmarked(text)
    if said := stated(plain, first_line):
        return resolved(said, plain)
    return plain if len(lines(plain)) == 1 else None


def same_phrase(line: str, reference: str) -> bool:
    """Whether a line is the reference, or goes on behind it with another sentence or clause; case does not matter."""
    wanted = _clean(_unmarked(reference)).lower()
    return wanted in (_clean(line).lower(), _clean(_cut(line.lstrip(" :\"'"))[0]).lower())


def same_formula(answer: str, reference: str) -> bool:
    """Whether two formulas are the same up to notation, units and the order of what commutes.

    Everything that the reference asks for has to be there, in its order.
    """
    from lm_eval.tasks.hendrycks_math.utils import is_equiv

    ours, theirs = _clean(answer), _clean(reference)
    if is_equiv(ours, theirs):
        return True
    # The right side alone will do.
    named = re.match(r"\s*[A-Za-z]\w?\s*=", theirs) and theirs.count("=") == 1
    if named and ("=" not in ours or ours.split("=")[0].strip() == theirs.split("=")[0].strip()):
        ours, theirs = ours.split("=")[-1], theirs.split("=")[1]
    if r"\in" not in theirs:
        ours = re.sub(r"\A\s*[A-Za-z]\s*\\in(?![A-Za-z])\s*", "", ours)
    parts, wanted = _separate(ours), _separate(theirs)
    return len(parts) == len(wanted) and all(map(_same, parts, wanted))


def readable(answer: str) -> bool:
    """Whether a text is a number or formula, and not words."""
    cleaned = _clean(answer)
    return bool(cleaned) and not _WORDS.search(_without_unit(cleaned) or cleaned)


def amounts(text: str) -> list[float]:
    """All amounts in a text, in its order: ``12,345.67``, ``1.2 million``, ``3万``; Chinese numerals are not read."""
    found = []
    for one in re.finditer(
        r"(?<![A-Za-z0-9_.])-?(\d{1,3}(?:,\d{3})+(?!\d)|\d+)((?:\.\d+)?(?:[eE]\+?\d+)?)\s*(thousand|million|billion|k\b|万|千|亿)?",
        text,
    ):
        scale = {"thousand": 1e3, "k": 1e3, "千": 1e3, "万": 1e4, "million": 1e6, "亿": 1e8, "billion": 1e9}
        found.append(round(float(one[1].replace(",", "") + (one[2] or "")) * scale.get(one[3] or "", 1.0), 6))
    return found


def quantity(text: str) -> float | None:
    """The one amount that an answer gives; None where it gives none, or several.

    Args:
        text: of `reading.text.answer`, Chinese numerals as digits.
    """
    plain = _unmarked(text)
    said = [*stated(plain, _begins_amount)]
    for at, line in ((0, plain), (plain.rfind(lines(plain)[-1]) if plain else 0, lines(plain)[-1] if plain else "")):
        there, value = _begins_amount(line)
        # A number at the beginning of a sentence belongs to it.
        if there and not re.match(r"[^.\n]*[A-Za-z]{2,}\s+[A-Za-z]{2,}|[^\n]*[+*/=×]", line):
            said.append(Said(at, value))
    if said:
        return resolved(sorted(said, key=lambda one: one.at), plain)
    if len(named := set(amounts(plain))) == 1 and not _DENIED.search(plain):
        return named.pop()
    sentence = next((one for one in reversed(re.split(r"(?<=[.!?])\s+|\n", plain)) if amounts(one)), "")
    marks = [0, *(one.end() for one in _TOTAL.finditer(sentence))] if not _DENIED.search(sentence) else []
    for mark in reversed(marks):
        tail, _ = _cut(sentence[mark:])
        there, value = _begins_amount(tail)
        if there and len(set(amounts(tail))) == 1:
            return value
    return None


_TOTAL = re.compile(r"=|\b(?:is|are|equals|of|totals?)\b|共计|合计|总计|等于|[为是得]")
_DENIED = re.compile(r"\b(?:not|or|if|cannot|might|could|between)\b|n't\b|\?|不|或|至|到", re.IGNORECASE)


def _begins_amount(tail: str) -> tuple[bool, float | None]:
    opening = re.match(
        r"\W{0,4}(?:(?:approximately|about|roughly|around|exactly|a total of|equal to|"
        r"人民币|共计|合计|总计|共|约|为|是)\s*)*"
        r"(?:US\s*)?[$¥￥(\"']{0,3}\s*(?=\d)",
        tail,
        re.IGNORECASE,
    )
    if opening is None:
        return False, None
    rest = tail[opening.end() :]
    several = re.match(r"[\d,.]+\s*[^\d\s]{0,3}\s*(?:or|to|至|到|或|~|-)\s*\$?\d", rest)
    return True, None if several else amounts(rest)[0]


def _unmarked(text: str) -> str:
    """Without Markdown, and without dollars and brackets that only set a formula apart."""
    text = ascii_marks(text).replace("\\$", "＄")
    text = re.sub(r"\*\*|`|^\s*#+\s*|^\s*>\s?|^\s*[-•*]\s+(?=\S)", "", text, flags=re.MULTILINE)
    text = re.sub(r"(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])", "", text)
    text = re.sub(r"第[一二三四五]个?空(?:的?答案)?(?:应?填|是|为|:)*\s*|[①-⑤]\s*", "", text)
    text = re.sub(r"\b(?:first|second|third|fourth) blank(?: is|:)\s*", "", text, flags=re.IGNORECASE)
    text = re.sub(r"</?answer>", lambda tag: "" if "/" in tag[0] else "Answer: ", text, flags=re.IGNORECASE)
    text = re.sub(r"\\[()\[\]]|(?<!\d)\$(?!\s?\d[\d,.]*\s*(?:\Z|[a-z.,;\n]))|\$(?=\s|\Z|[.,;:)])", " ", text)
    return re.sub(r"[ \t]+", " ", text.replace("＄", "$")).strip()


def _begins(tail: str) -> tuple[bool, str | None]:
    cut = tail.lstrip(" \n:\"'") if "\n" not in tail.strip() else lines(tail)[0].lstrip(" :\"'")
    cut = re.sub(r"\A(?:equal to|equals|approximately|about|exactly|simply|then|=)\s+", "", cut)
    cut, rest = _cut(cut)
    cut = _spelled(cut)
    # A box is read as a box.
    if rest.startswith("?") or "\\boxed" in cut:
        return False, None
    if not cut or not readable(cut):
        return (True, None) if re.search(r"\d\W*\s(?:or|或)\s\W*[\d\\-]", cut) else (False, None)
    return True, cut


def _spelled(text: str) -> str:
    """In digits, where it is a number in words: under a hundred, or a simple fraction."""
    found = _NUMBER_WORDS.fullmatch(text)
    if found is None:
        return text
    tens, ones, parts = ((found[name] or "").lower() for name in ("tens", "ones", "parts"))
    if ones == "a" and not parts:
        return text
    value = 10 * _TENS.index(tens) if tens else 0
    value += _ONES.index(ones) if ones in _ONES else 1 if ones == "a" else 0
    return f"{value}/{_FRACTIONS[parts.removesuffix('s')]}" if parts else str(value)


def _cut(text: str) -> tuple[str, str]:
    """The beginning of a text that may be a formula, and what follows."""
    end = _SENTENCE_END.search(text)
    at = end.start() if end else len(text)
    return text[:at].strip(" \"',:;"), text[at:].strip()


def _first(text: str) -> list[Said[str]]:
    there, value = _begins(text) if text else (False, None)
    if not there or value is None:
        return []
    # An equation that a calculation begins with is no answer yet.
    calculates = "=" in value and not re.match(r"[A-Za-z](?:\w|\(\w\))?\s*=|=", value)
    return [] if calculates and lines(text)[0].rstrip(" .") != value else [Said(0, value)]


def _last(text: str) -> list[Said[str]]:
    *before, last = lines(text) or [""]
    there, value = _begins(last)
    # Only a whole line.
    if not before or not there or value is None or len(value) < len(last.strip(" .\"'")):
        return []
    return [Said(text.rfind(last), value)]


def _alike(said: list[Said[str]]) -> list[Said[str]]:
    """With one way of writing for all that are the same."""
    alike: list[Said[str]] = []
    for one in said:
        same = [other.value for other in alike if other.value and one.value and same_formula(one.value, other.value)]
        alike.append(Said(one.at, same[0] if same else one.value, one.boxed, one.final))
    return alike


def _inferred(text: str) -> str | None:
    """What the last sentence with a digit says that something is."""
    sentences = [one for one in re.split(r"(?<=[.!?])\s+|\n", text) if re.search(r"\d", one)]
    if not sentences:
        return None
    sentence = sentences[-1].rstrip(" .!")
    found = list(
        re.finditer(
            r"=|\b(?:is|are|equals?|gives?|get|obtain|yields?|be|makes?|costs?|totals?|"
            r"(?:adds? up|comes?|simplifies|evaluates|reduces|"
            r"rounds) to|has|have|needs?|takes?)\b|等于|共有|[为是得有共]",
            sentence,
        )
    )
    if not found or re.search(r"\b(?:not|n't|or|if|cannot|might|could)\b|\?|不|或", sentence):
        return None
    there, value = _begins(sentence[found[-1].end() :])
    return value if there and value is not None and sentence.endswith(value) else None


def _clean(text: str) -> str:
    """LaTeX without what only sets it, and plain text in its place."""
    text = ascii_marks(text).strip()
    for name in (r"\boxed", r"\fbox", r"\displaystyle", r"\left", r"\right", r"\!", r"\,", r"\;", r"\:", r"\ "):
        text = re.sub(re.escape(name) + (r"(?![A-Za-z])" if name[1].isalpha() else ""), "", text)
    text = _CURRENCY.sub("", text.replace("~", " ").strip())
    text = re.sub(r"\\[()\[\]]|\\?\$|\\?%|\^?\s*\{?\s*\\circ\s*\}?|°|\bpercent\b|\bdegrees?\b|度\Z", "", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\\(?:cdot|times|ast)(?![A-Za-z])|[×·]", "*", text)
    text = re.sub(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))", "", text)
    for one, other in {"÷": "/", "π": r"\pi", "²": "^2", "³": "^3", "½": r"\frac{1}{2}", "∞": r"\infty", "√": r"\sqrt",
                       "∪": r"\cup", "≤": r"\le", "≥": r"\ge"}.items():  # fmt: skip
        text = text.replace(one, other)
    text = re.sub(r"\\sqrt\s*(\d+)", r"\\sqrt{\1}", text)
    text = re.sub(r"\A\s*\{(?P<inner>[^{},]*)\}\s*\Z", r"\g<inner>", text)
    text = re.sub(r"\A\[([^\[\],;]*)\]\Z", r"\1", text.strip())
    text = re.sub(r"\A\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{([^{}]*)\}\Z", r"\1", text.strip())
    return text.strip().rstrip(".").strip(" \"'")


def _separate(text: str) -> list[str]:
    """The parts of an answer that has several, by commas and semicolons outside brackets, or by "and"."""
    text = re.sub(r"\s+(?:and|和)\s+|\s*[、，；]\s*", ";", text)
    parts, depth = [""], 0
    for char in text:
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(char, 0)
        if char in ",;" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def _same(answer: str, reference: str) -> bool:
    from lm_eval.tasks.hendrycks_math.utils import is_equiv

    if "=" not in reference:
        answer = answer.split("=")[-1].strip()
    if is_equiv(answer, reference):
        return True
    one, other = _brackets(answer), _brackets(reference)
    if one and other:
        inner, wanted = _separate(one[1]), _separate(other[1])
        return one[0] == other[0] and len(inner) == len(wanted) > 1 and all(map(_same, inner, wanted))
    wanted_values = _values(reference)
    if wanted_values is None:
        return False
    for form in (answer, _without_unit(answer) if not re.search(r"[A-Za-z]", _names(reference)) else None):
        values = _values(form) if form else None
        if values is not None and all(
            abs(value - right) <= _SAME * max(1.0, abs(right))
            for value, right in zip(values, wanted_values, strict=True)
        ):
            return True
    return False


def _brackets(text: str) -> tuple[str, str] | None:
    found = re.fullmatch(r"([(\[])(.*)([)\]])", text, re.DOTALL)
    return (found[1] + found[3], found[2]) if found and "," in found[2] else None


def _names(text: str) -> str:
    return re.sub(r"\\[A-Za-z]+", "", text)


def _without_unit(text: str) -> str | None:
    """The number in front of its unit; None where what follows is no unit."""
    found = _UNIT.match(text)
    if found is None:
        return None
    unit = (found["latex"] or found["words"] or found["chinese"] or "").strip()
    bare = re.sub(r"(?<!\w)(?:m|g|s|L|N|J|W|V|A|K|C|F|h)(?!\w)", "", unit)
    if _NO_UNIT.search(bare) or re.search(r"万|千|百|亿|或|至|到", unit):
        return None
    return found["value"].strip()


def _values(text: str) -> list[complex] | None:
    """What a formula is worth, at three values of its letters; None where it is none that we know."""
    try:
        tree = ast.parse(_python(text), mode="eval").body
        return [_value(tree, shift) for shift in (0.37, 1.91, 4.23)]
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError):
        return None


def _python(text: str) -> str:
    """A formula as an expression of Python.

    Raises:
        ValueError: it is none that we know.
    """
    if len(text) > 300 or re.search(r"[\"'`;@#&|~\[\]?:<>]|\\(?:le|ge|ne|pm|cup|infty)(?![A-Za-z])", text):
        raise ValueError(text)
    braces = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
    # A mixed number.
    text = re.sub(r"(?<![\w.)}^])(\d+)\s*\\frac\s*\{(\d+)\}\s*\{(\d+)\}", r"(\1+(\2)/(\3))", text)
    text = re.sub(r"(?<![\w.)}^])(\d+)\s+(\d+)/(\d+)(?!\w)", r"(\1+(\2)/(\3))", text)
    text = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{", text)
    text = re.sub(r"(\\frac\s*\{[^{}]*\})\s*(\d)", r"\1{\2}", text)
    for _ in range(6):
        text = re.sub(rf"\\frac\s*{braces}\s*{braces}", r"((\1)/(\2))", text)
        text = re.sub(rf"\\sqrt\s*\[(\d+)\]\s*{braces}", r"((\2)**(1/(\1)))", text)
        text = re.sub(rf"\\sqrt\s*{braces}", r"(sqrt(\1))", text)
        text = re.sub(rf"\^\s*{braces}", r"**(\1)", text)
    text = text.replace("^", "**").replace(r"\pi", " pi ").replace("{", "(").replace("}", ")")
    text = re.sub(r"\\(sin|cos|tan|ln|log)\s*\(", r"\1(", text)
    if "\\" in text or re.search(r"\d\s+\d|\d\s*\(?\s*\d+\s*\)\s*\d", text):
        raise ValueError(text)
    tokens = re.findall(
        r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+|\*\*|[-+*/()!]|(?:sqrt|sin|cos|tan|ln|log|pi)|[A-Za-z]", text
    )
    if "".join(tokens) != re.sub(r"\s+", "", text) or "!" in tokens:
        raise ValueError(text)
    written = []
    for at, token in enumerate(tokens):
        previous = tokens[at - 1] if at else ""
        joined = (previous == ")" or re.fullmatch(r"[\w.]+", previous)) and (
            token == "(" or re.fullmatch(r"[\w.]+", token)
        )
        if joined and previous not in _FUNCTIONS:
            written.append("*")
        written.append(str(float(token)) if re.match(r"[\d.]", token) else token)
    return " ".join(written)


def _value(node: ast.expr, shift: float) -> complex:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand, shift)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left, shift), _value(node.right, shift)
        if isinstance(node.op, ast.Pow) and abs(right) > _LARGEST:
            raise ValueError(right)
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Name):
        return math.pi if node.id == "pi" else 1j if node.id == "i" else shift + ord(node.id) / 7
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        inner = _value(node.args[0], shift)
        if inner.imag:
            raise ValueError(inner)
        return _FUNCTIONS[node.func.id](inner.real)
    raise ValueError(node)
