"""The files of texts and judgements after a kill at any byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from versatune_plugin.artifacts.journal import Journal, Record
from versatune_plugin.errors import VersaTuneError

SETTINGS = {"seed": 1, "judge": {"name": "classifier", "rows": {"law": 5}}, "domains": ["code", "law"]}
TEXTS, BATCH, ITERATIONS = 5, 2, 2


class Line(Record):
    text: str


def opened(path: Path, settings: dict[str, object] = SETTINGS) -> Journal:
    return Journal(path, "versatune.test", settings, texts=TEXTS, batch_size=BATCH, record=Line, remedy="remove it")


def fill(journal: Journal) -> int:
    """Add what is missing; says how many batches that were."""
    added = 0
    for iteration in range(1, ITERATIONS + 1):
        for _, indices in list(journal.missing(iteration)):
            journal.append([{"iteration": iteration, "index": i, "text": f"é\u2028 {iteration} {i}"} for i in indices])
            added += 1
    return added


def test_batches_are_numbered_within_an_iteration(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j.jsonl")
    assert list(journal.missing(1)) == [(0, range(2)), (1, range(2, 4)), (2, range(4, 5))]
    fill(journal)
    assert list(journal.missing(1)) == list(journal.missing(2)) == []
    assert list(journal.missing(3)) == [(0, range(2)), (1, range(2, 4)), (2, range(4, 5))]
    assert [record["index"] for record in journal.of_iteration(2)] == [0, 1, 2, 3, 4]
    assert opened(journal.path).records == journal.records


def test_a_file_cut_anywhere_becomes_the_whole_file_again(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    batches = fill(opened(path))
    whole = path.read_bytes()
    lines = whole.count(b"\n") - 1
    ends = [place for place, byte in enumerate(whole, start=1) if byte == ord("\n")]
    around_line_ends = {end + offset for end in ends for offset in (-2, -1, 0, 1)}
    for length in sorted({*range(0, len(whole), 9), *around_line_ends} & set(range(len(whole) + 1))):
        path.write_bytes(whole[:length])
        journal = opened(path)
        kept = len(journal.records)
        assert kept % TEXTS % BATCH == 0 or kept % TEXTS == 0
        # A line that lacks only its line end is whole; what is lost is less than one batch.
        assert kept > whole[:length].count(b"\n") - 1 - BATCH
        added = fill(journal)
        assert path.read_bytes() == whole
        assert (added == 0) == (kept == lines)
        assert added <= batches


def test_names_each_setting_that_differs(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    fill(opened(path))
    before = path.read_bytes()
    other = {"seed": 2, "judge": {"name": "classifier", "rows": {"law": 6}}, "domains": ["code", "law"], "new": 1}
    with pytest.raises(VersaTuneError) as caught:
        opened(path, other)
    message = str(caught.value)
    assert f"{path} was made with other settings; remove it" in message
    assert "seed: 1 in the file, 2 now" in message
    assert "judge.rows.law: 5 in the file, 6 now" in message
    assert "new: not in the file, now 1" in message
    assert "domains" not in message
    assert path.read_bytes() == before


def test_refuses_a_foreign_and_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text('{"kind": "something"}\n')
    with pytest.raises(VersaTuneError, match=r"no file of versatune\.test"):
        opened(path)
    path.unlink()
    fill(opened(path))
    lines = path.read_text(encoding="utf-8").split("\n")
    path.write_text("\n".join([*lines[:3], *lines[4:]]), encoding="utf-8")
    with pytest.raises(VersaTuneError, match="line 4: iteration 1, index 2 is expected here, but 1, 3 was found"):
        opened(path)
    path.write_text("\n".join([*lines[:3], "{", *lines[4:]]), encoding="utf-8")
    with pytest.raises(VersaTuneError, match="line 4: not JSON"):
        opened(path)
