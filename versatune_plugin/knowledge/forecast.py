"""What the rest of a detection takes, measured on its first batch: time, tokens, money."""

from __future__ import annotations

from dataclasses import dataclass

from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.schema.wording import counted


@dataclass(frozen=True)
class Pace:
    """What the first batch took.

    Attributes:
        written: texts.
        writing: seconds for them.
        judged: texts.
        judging: seconds for them.
        read: tokens that the judge's server read for them; 0 where it counts none.
        answered: tokens that it wrote.
    """

    written: int
    writing: float
    judged: int
    judging: float
    read: int = 0
    answered: int = 0


def forecast(pace: Pace, options: DetectionOptions) -> str:
    """A sentence about all iterations, should none be spared.

    Args:
        pace: of the first batch.
        options: of the detection; with the price of the judge's tokens, if there is one.
    """
    texts = options.texts * options.iterations
    parts = [f"{counted(texts, 'text')} of at most {counted(options.max_new_tokens, 'token')}"]
    seconds = 0.0
    if pace.written:
        seconds += texts * pace.writing / pace.written
        parts.append(f"about {duration(texts * pace.writing / pace.written)} to write")
    if pace.judged:
        seconds += texts * pace.judging / pace.judged
        parts.append(f"about {duration(texts * pace.judging / pace.judged)} to judge")
    if pace.judged and pace.read:
        read, answered = (texts * count / pace.judged for count in (pace.read, pace.answered))
        parts.append(f"the judge reads about {_large(read)} tokens and writes {_large(answered)}")
        if options.judge_price is not None:
            money = (read * options.judge_price[0] + answered * options.judge_price[1]) / 1e6
            parts.append(f"which costs about {money:,.2f}")
    early = f"; it ends earlier once every half width is within {options.tolerance:g}" if options.tolerance else ""
    return f"at the pace of the first batch all iterations take: {', '.join(parts)}{early}"


def duration(seconds: float) -> str:
    """Seconds in the largest unit of which there are at least two."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _large(count: float) -> str:
    for unit, size in (("billion", 1e9), ("million", 1e6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:,.0f}"
