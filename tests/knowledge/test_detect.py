"""Algorithm 1 from end to end with a stand-in for the model and for the judge: the order of work, and interruptions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge import DetectionOptions, Knowledge, load_knowledge
from versatune_plugin.knowledge.detection import Detection
from versatune_plugin.knowledge.generation import GeneratedText, TextBatch, batch_seed

DOMAINS = ("code", "law")
ORIGIN = {"base_model": "some/model", "start_token": {"role": "bos", "token": "<s>", "id": 0}, "seed": 1}


class Stop(Exception):
    """Stands for a power cut."""


class Source:
    """Texts that name the seed they come from; it can stop at the n-th batch of all."""

    def __init__(self, stop_at: int | None = None, blank: int = 0) -> None:
        self.seeds: list[int] = []
        self._stop_at = stop_at
        self._blank = blank

    def write(self, batches: Sequence[TextBatch]) -> Iterator[list[GeneratedText]]:
        for batch in batches:
            if len(self.seeds) == self._stop_at:
                raise Stop
            self.seeds.append(batch.seed)
            words = [f"text {batch.seed} {number}" for number in range(batch.count)]
            yield [GeneratedText(" \n" if place < self._blank else word, 9, 1) for place, word in enumerate(words)]


class Judge:
    """Probabilities that depend on the text alone; texts that end in a digit of ``mute`` cannot be judged."""

    def __init__(self, stop_at: int | None = None, mute: str = "", spread: float = 1.0, **settings: Any) -> None:
        self.judged: list[str] = []
        self.calls = 0
        self._stop_at = stop_at
        self._mute = mute
        self._spread = spread
        self._settings = settings

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        if self.calls == self._stop_at:
            raise Stop
        self.calls += 1
        self.judged += texts
        assert all(text.strip() for text in texts)
        shares = np.array([0.5 + self._spread * (hash_of(text) - 0.5) for text in texts])
        rows = np.stack([shares, 1 - shares], axis=1)
        rows[[text[-1] in self._mute for text in texts]] = np.nan
        return rows

    def settings(self) -> dict[str, Any]:
        return {"name": "stand-in", **self._settings}

    def describe(self) -> dict[str, Any]:
        return self.settings()


def hash_of(text: str) -> float:
    return float(np.random.default_rng([ord(letter) for letter in text]).random())


def detection(
    folder: Path,
    source: Source,
    judge: Judge,
    *,
    origin: dict[str, Any] = ORIGIN,
    domains: tuple[str, ...] = DOMAINS,
    **changes: Any,
) -> Detection:
    # Texts are written 16 at once, and judged 4 at once.
    chosen = {"texts": 40, "iterations": 3, "batch_size": 4, "tolerance": 0.0, "seed": 1, **changes}
    return Detection(
        out=folder / "knowledge.json",
        command="command",
        domains=domains,
        options=DetectionOptions(**chosen),
        origin=origin,
        about_source={"kind": "stand-in"},
        write=source.write,
        read=str.strip,
        judging={"judge": judge.settings()},
        judge=lambda batches: map(judge.probabilities, batches),
        describe_judge=judge.describe,
        tokens=lambda: (0, 0),
        labelled=None,
        tell=lambda _: None,
    )


def run(
    folder: Path,
    source: Source | None = None,
    judge: Judge | None = None,
    *,
    origin: dict[str, Any] | None = None,
    **changes: Any,
) -> Knowledge:
    made = source or Source()
    found = detection(folder, made, judge or Judge(), origin=origin or ORIGIN, **changes).run()
    assert found is not None
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """All files; the time in the knowledge file apart."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}
    knowledge = json.loads(files["knowledge.json"])
    del knowledge["finished"]
    return files | {"knowledge.json": json.dumps(knowledge).encode()}


def test_writes_what_it_found_and_what_made_it(tmp_path: Path) -> None:
    source, judge = Source(), Judge()
    found = run(tmp_path, source, judge)
    assert load_knowledge(tmp_path / "knowledge.json") == found
    assert source.seeds == [batch_seed(1, iteration, batch) for iteration in (1, 2, 3) for batch in (0, 1, 2)]
    lines = [json.loads(line) for line in (tmp_path / "knowledge.texts.jsonl").read_text().splitlines()]
    assert lines[0]["settings"] == ORIGIN
    assert [(line["iteration"], line["index"]) for line in lines[1:]] == [(t, i) for t in (1, 2, 3) for i in range(40)]
    assert [line["text"] for line in lines[1:]] == judge.judged
    shares = np.array([hash_of(text) for text in judge.judged]).reshape(3, 40).mean(axis=1)
    assert [iteration["code"] for iteration in found.iterations] == pytest.approx(shares.tolist())
    assert found.probabilities["code"] == pytest.approx(shares.mean())
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-12)
    assert (found.texts, found.unparsed) == (120, 0)
    assert found.made_by["ended_by"] == "iterations"
    assert found.made_by["judge"] == {"name": "stand-in"}
    assert found.made_by["spread"]["law"] == pytest.approx(np.ptp(shares))
    assert {"versatune", "axolotl", "transformers", "torch"} <= found.made_by["versions"].keys()


@pytest.mark.parametrize("what", ["texts", "judgements"])
def test_an_interruption_anywhere_changes_nothing(tmp_path: Path, what: str) -> None:
    whole = tmp_path / "whole"
    run(whole)
    for stop_at in range(9) if what == "texts" else range(0, 30, 4):
        folder = tmp_path / str(stop_at)
        first_source, first_judge = (
            Source(stop_at if what == "texts" else None),
            Judge(stop_at if what == "judgements" else None),
        )
        with pytest.raises(Stop):
            run(folder, first_source, first_judge)
        assert not (folder / "knowledge.json").exists()
        source, judge = Source(), Judge()
        run(folder, source, judge)
        assert contents(folder) == contents(whole)
        assert len(first_source.seeds) + len(source.seeds) == 9
        assert len(first_judge.judged) + len(judge.judged) == 120


def test_a_finished_detection_asks_nobody_again(tmp_path: Path) -> None:
    first = run(tmp_path)
    source, judge = Source(stop_at=0), Judge(stop_at=0)
    second = run(tmp_path, source, judge)
    assert second.probabilities == first.probabilities
    more = run(tmp_path, iterations=4)
    assert more.iterations[:3] == first.iterations
    assert (len(more.iterations), more.texts) == (4, 160)


def test_ends_once_every_interval_is_narrow_enough(tmp_path: Path) -> None:
    narrow = run(tmp_path / "narrow", judge=Judge(spread=0.01), tolerance=0.01)
    assert len(narrow.iterations) == 2
    assert narrow.made_by["ended_by"] == "tolerance"
    assert max(narrow.made_by["half_width"].values()) <= 0.01
    wide = run(tmp_path / "wide", judge=Judge(spread=1.0), tolerance=0.01)
    assert len(wide.iterations) == 3
    assert wide.made_by["ended_by"] == "iterations"
    assert max(wide.made_by["half_width"].values()) > 0.01
    # A smaller tolerance goes on from there, and ends as if it had been asked for at once.
    onward = run(tmp_path / "narrow", Source(), Judge(spread=0.01), tolerance=0.0)
    assert onward.probabilities == run(tmp_path / "fresh", judge=Judge(spread=0.01)).probabilities


def test_too_many_texts_without_judgement_end_it_and_nothing_is_lost(tmp_path: Path) -> None:
    judge = Judge(mute="0")
    with pytest.raises(VersaTuneError, match=r"1 of 4 texts \(25\.0%\).*--max-unparsed allows 2\.0% of 40") as caught:
        run(tmp_path, judge=judge)
    assert str(tmp_path / "knowledge.judgements.jsonl") in str(caught.value)
    assert not (tmp_path / "knowledge.json").exists()
    # It is certain by then that the iteration will have too many.
    assert len(judge.judged) == 4
    again = Judge(mute="0")
    found = run(tmp_path, judge=again, max_unparsed=0.3)
    assert (found.texts, found.unparsed) == (120, 15)
    assert not set(judge.judged) & set(again.judged)
    usable = [text for text in judge.judged + again.judged if not text.endswith("0")]
    assert found.probabilities["code"] == pytest.approx(np.mean([hash_of(text) for text in usable]))


def test_blank_texts_are_not_judged_but_counted(tmp_path: Path) -> None:
    judge = Judge()
    found = run(tmp_path, Source(blank=1), judge, max_unparsed=0.5)
    assert (found.texts, found.unparsed, found.made_by["blank"]) == (120, 9, 9)
    assert len(judge.judged) == 111
    with pytest.raises(VersaTuneError, match=r"1 of 4 texts \(25\.0%\) have no usable judgement \(1 of them are blank"):
        run(tmp_path / "strict", Source(blank=1))


def test_refuses_to_go_on_under_other_settings(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(tmp_path, Source(stop_at=4))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(VersaTuneError, match="base_model: 'some/model' in the file, 'other' now") as caught:
        run(tmp_path, origin=ORIGIN | {"base_model": "other"})
    assert "remove it and knowledge.judgements.jsonl, or choose another --out" in str(caught.value)
    with pytest.raises(VersaTuneError, match="(?s)the texts can stay.*judge.rows: not in the file, now 5"):
        run(tmp_path, judge=Judge(rows=5))
    with pytest.raises(VersaTuneError, match=r"domains: \['code', 'law'\] in the file"):
        detection(tmp_path, Source(), Judge(), domains=("code", "tax")).run()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "knowledge.judgements.jsonl").unlink()
    source = Source()
    assert run(tmp_path, source, Judge(rows=5)).texts == 120
    assert len(source.seeds) == 5


def test_refuses_judgements_of_other_texts(tmp_path: Path) -> None:
    run(tmp_path)
    path = tmp_path / "knowledge.texts.jsonl"
    path.write_text(path.read_text().replace(f"text {batch_seed(1, 2, 0)} 1", "edited"))
    with pytest.raises(VersaTuneError, match="iteration 2, index 1 judges another text"):
        run(tmp_path)


def test_refuses_a_judge_whose_rows_are_no_probabilities(tmp_path: Path) -> None:
    class Wrong(Judge):
        def probabilities(self, texts: Sequence[str]) -> np.ndarray:
            return super().probabilities(texts) * 1.1

    with pytest.raises(VersaTuneError, match="rows that are no probabilities"):
        run(tmp_path, judge=Wrong())


def test_two_detections_do_not_write_the_same_file(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".knowledge.json.lock"),
        pytest.raises(VersaTuneError, match="another detection is writing"),
    ):
        run(tmp_path)
    run(tmp_path)
