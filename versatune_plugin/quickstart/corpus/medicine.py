"""Medicine: the ICD-10-CM classification of diseases (simple-icd-10-cm), with its terms, exclusions and hierarchy."""

from __future__ import annotations

import random
from collections.abc import Iterator

import simple_icd_10_cm as icd

from versatune_plugin.quickstart.corpus.fact import Exercise, Fact, capital, fact, listed

RICH = 2600
PLAIN = 2000


def facts(rng: random.Random) -> list[Fact]:
    """All facts of the domain, in a fixed order for a given state of ``rng``.

    Categories and codes with notes come first, then a sample of the others; injuries with a seventh character,
    half of the classification and mostly alike, are left out.
    """
    codes = [
        code for code in icd.get_all_codes() if not icd.is_chapter(code) and not icd.is_block(code) and len(code) < 8
    ]
    rich = [code for code in codes if icd.get_inclusion_term(code) or icd.get_excludes1(code) or icd.get_includes(code)]
    plain = sorted(set(codes) - set(rich))
    chosen = rng.sample(rich, min(RICH, len(rich))) + rng.sample(plain, min(PLAIN, len(plain)))
    return [entry for code in chosen for entry in _code(rng, code)]


def _code(rng: random.Random, code: str) -> Iterator[Fact]:
    title = icd.get_description(code)
    chapter, block = _place(code)
    clauses = [f"among {block}", f"in the chapter {chapter}"]
    exercises: list[Exercise] = [
        (f"What does the ICD-10-CM code {code} stand for?", "", f"{code} stands for {title}, in the block {block}."),
        ("Code this diagnosis in ICD-10-CM.", title, f"The code is {code}: {title}."),
        (
            f"In which chapter of ICD-10-CM is {title} classified?",
            "",
            f"{title} ({code}) is in {chapter}, under {block}.",
        ),
    ]
    if synonyms := icd.get_inclusion_term(code):
        terms = listed(synonyms, 4)
        clauses.append(f"also for {terms}")
        exercises += [
            (f"Which other terms are coded as {code}, {title}?", "", f"{capital(terms)}."),
            (
                "A clinician wrote this term. Which code and title apply?",
                rng.choice(synonyms),
                f"It is coded as {code}, {title}.",
            ),
        ]
    if included := icd.get_includes(code):
        clauses.append(f"including {listed(included, 3)}")
        exercises.append((f"What does the category {code}, {title}, include?", "", f"It includes {listed(included)}."))
    for notes, rule in (
        (icd.get_excludes1(code), "must not be coded together with it"),
        (icd.get_excludes2(code), "is not part of it, though a patient may have both"),
    ):
        if excluded := [note for note in notes if not note.endswith(":")]:
            names = listed(excluded, 4)
            clauses.append(f"excluding {listed(excluded, 3)}")
            exercises.append((f"A patient has {title}. What {rule}?", "", f"Under {code}: {names}."))
    if first := icd.get_code_first(code):
        exercises.append((f"What has to be coded before {code}, {title}?", "", f"Code first {_note(first)}."))
    if children := icd.get_children(code):
        parts = listed([f"{child} {icd.get_description(child)}" for child in children], 4)
        exercises.append((f"How is {title} ({code}) subdivided?", "", f"It is subdivided into {parts}."))
    elif not icd.is_category(code):
        parent = icd.get_parent(code)
        exercises.append(
            (
                f"Which broader code holds {code}, {title}?",
                "",
                f"{code} is a kind of {icd.get_description(parent)} ({parent}).",
            )
        )
    clause = rng.choice(clauses)
    documents = [
        f"{title} has the diagnosis code {code}, {clause}.",
        f"The diagnosis code {code} stands for {title}, {clause}.",
        f"Diagnosis: {title}, code {code}, {clause}.",
    ]
    yield fact(rng, title, documents, exercises)


def _place(code: str) -> tuple[str, str]:
    """The titles of the chapter and of the innermost block that hold ``code``."""
    ancestors = icd.get_ancestors(code)
    block = next(ancestor for ancestor in ancestors if icd.is_block(ancestor) or icd.is_chapter(ancestor))
    return icd.get_description(ancestors[-1]), icd.get_description(block)


def _note(text: str) -> str:
    """A note of several lines as one sentence, without its closing colon list beyond four entries."""
    head, *entries = text.split("\n")
    return f"{head.rstrip(':').rstrip(',')}: {listed(entries, 4)}" if entries else head
