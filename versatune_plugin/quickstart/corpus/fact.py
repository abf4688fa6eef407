"""One fact, in the two forms in which the corpus can use it, and the wording that all domains share."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """Something a package knows, as a plain text and as an exercise.

    A fact is used once: either its ``document`` is pretrained on, or its exercise is a row of fine-tuning.

    Attributes:
        document: plain text that states it.
        instruction: a question or task about it (alpaca format).
        input: what the task is about, or empty (alpaca format).
        output: the answer, which carries the fact (alpaca format).
    """

    document: str
    instruction: str
    input: str
    output: str


Exercise = tuple[str, str, str]
OPEN = ("What do you know about {}?", "Tell me about {}.", "Write a short note on {}.", "Describe {} briefly.")


def fact(rng: random.Random, subject: str, documents: Sequence[str], exercises: Sequence[Exercise]) -> Fact:
    """A fact in one of its wordings.

    Args:
        rng: chooses.
        subject: what it is about: three rows in ten ask an open question about it, and a document is the answer.
            Empty: there is no open question.
        documents: plain texts that state it.
        exercises: (instruction, input, output) that ask for it.
    """
    document = rng.choice(documents).strip()
    if subject and rng.random() < 0.3:
        return Fact(document, rng.choice(OPEN).format(subject), "", document)
    instruction, given, output = rng.choice(exercises)
    return Fact(document, instruction.strip(), given.strip(), output.strip())


def listed(items: Iterable[str], most: int = 6) -> str:
    """``"a, b and c"``; of more than ``most`` items the first ones, and how many more there are; of none ``""``."""
    names = list(items)
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def article(noun: str) -> str:
    """``noun`` with its indefinite article, by its first letter."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def capital(text: str) -> str:
    """``text`` with its first letter in upper case and the rest as it is."""
    return text[:1].upper() + text[1:]


def count(number: int, noun: str) -> str:
    """``"1 proton"``, ``"2 protons"``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def latin(text: str) -> bool:
    """Whether every letter of ``text`` is Latin: a small byte-level vocabulary spells other scripts byte by byte."""
    return all(not char.isalpha() or unicodedata.name(char, "").startswith("LATIN") for char in text)


def sample(rng: random.Random, items: Iterable[Fact], most: int) -> list[Fact]:
    """At most ``most`` of ``items``, so that no kind of fact drowns the others of its domain."""
    pool = list(items)
    return rng.sample(pool, min(most, len(pool)))
