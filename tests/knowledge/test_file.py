"""Writing and reading the knowledge file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge import Knowledge, load_knowledge, read_knowledge, write_knowledge

DOMAINS = ("code", "law", "medicine")
GOOD = {"code": 0.5, "law": 0.3, "medicine": 0.2}


def by_hand(path: Path, probabilities: Any) -> Path:
    path.write_text(json.dumps({"kind": "versatune.knowledge", "schema": 1, "probabilities": probabilities}))
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    knowledge = Knowledge(
        probabilities=GOOD,
        interval95={name: [share - 0.01, share + 0.01] for name, share in GOOD.items()},
        iterations=[GOOD, GOOD],
        texts=40,
        unparsed=1,
        made_by={"seed": 3, "judge": {"name": "classifier"}},
    )
    path = tmp_path / "deeper" / "knowledge.json"
    write_knowledge(path, knowledge)
    assert load_knowledge(path) == knowledge
    assert read_knowledge(path, DOMAINS) == GOOD
    payload = json.loads(path.read_text())
    assert {"kind", "schema", "probabilities", "interval95", "iterations", "texts", "unparsed"} <= payload.keys()
    assert payload["seed"] == 3


def test_reads_a_file_written_by_hand_in_the_order_asked_for(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "k.json", {"medicine": 0, "law": 0.75, "code": 0.25})
    read = read_knowledge(path, ["law", "code", "medicine"])
    assert list(read.items()) == [("law", 0.75), ("code", 0.25), ("medicine", 0.0)]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"code": 0.5, "law": 0.5}, "'medicine' is missing"),
        (GOOD | {"law": 0.2, "finance": 0.1}, "'finance' is unknown"),
        (GOOD | {"law": -0.3}, "'law' is -0.3, but must not be negative"),
        (GOOD | {"law": float("nan")}, "'law' is nan, but must be finite"),
        (GOOD | {"law": float("inf")}, "'law' is inf, but must be finite"),
        (GOOD | {"law": "much"}, "'law' is 'much', but must be a number"),
        (GOOD | {"law": True}, "'law' is true, but must be a number"),
        (GOOD | {"law": None}, "'law' is null, but must be a number"),
        (dict.fromkeys(DOMAINS, 0.0), "every entry is 0"),
        (GOOD | {"law": 0.31}, r"sum to 1\.01, which is off 1 by \+0\.01"),
        (GOOD | {"law": 0.29999}, r"off 1 by -1e-05"),
        ([0.5, 0.3, 0.2], r"probabilities: is \[0.5, 0.3, 0.2\], but should be a valid dictionary"),
        (None, "probabilities: is null, but should be"),
    ],
)
def test_says_what_is_wrong_with_the_entries(tmp_path: Path, entries: Any, message: str) -> None:
    path = by_hand(tmp_path / "k.json", entries)
    with pytest.raises(VersaTuneError, match=message) as caught:
        read_knowledge(path, DOMAINS)
    assert str(path) in str(caught.value)


def test_says_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "k.json", {"finance": 0.1, "law": -1, "code": float("nan")})
    with pytest.raises(VersaTuneError) as caught:
        read_knowledge(path, DOMAINS)
    for part in ("'finance' is unknown", "'law' is -1", "'code' is nan", "'medicine' is missing"):
        assert part in str(caught.value)


def test_rounding_of_the_last_digits_is_no_error(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "k.json", {"code": 0.3333333, "law": 0.3333333, "medicine": 0.3333333})
    assert sum(read_knowledge(path, DOMAINS).values()) == pytest.approx(1, abs=1e-6)


def test_names_a_missing_a_cut_off_and_a_foreign_file(tmp_path: Path) -> None:
    path = tmp_path / "k.json"
    with pytest.raises(VersaTuneError, match="no such file.*versatune detect"):
        read_knowledge(path, DOMAINS)
    whole = by_hand(path, GOOD).read_text()
    for length in range(len(whole) - 1):
        path.write_text(whole[:length])
        with pytest.raises(VersaTuneError, match="not complete JSON"):
            read_knowledge(path, DOMAINS)
    path.write_text(whole.replace("versatune.knowledge", "versatune.reference"))
    with pytest.raises(VersaTuneError, match="versatune.reference"):
        read_knowledge(path, DOMAINS)
    path.write_text(whole.replace('"schema": 1', '"schema": 2'))
    with pytest.raises(VersaTuneError, match="schema version 2"):
        read_knowledge(path, DOMAINS)


def test_loading_everything_names_what_a_file_by_hand_lacks(tmp_path: Path) -> None:
    with pytest.raises(VersaTuneError, match="lacks interval95, iterations, texts, unparsed"):
        load_knowledge(by_hand(tmp_path / "k.json", GOOD))
