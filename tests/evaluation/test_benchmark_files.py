"""Where rows come from, and what is said where they cannot be had."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.evaluation.benchmark_files import MOST, VARIABLE, BenchmarkFiles


def write(folder: Path, name: str, rows: list[dict[str, int]]) -> None:
    (folder / "bench").mkdir(parents=True, exist_ok=True)
    (folder / "bench" / name).write_text("\n".join(json.dumps(row) for row in rows) + "\n")


def test_a_local_folder_by_environment_or_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "test.jsonl", [{"n": 1}, {"n": 2}])
    assert BenchmarkFiles("bench", "some/bench", local=str(tmp_path)).rows("test", "test.jsonl") == [{"n": 1}, {"n": 2}]
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert BenchmarkFiles("bench", "some/bench").get("on_hub", "test.jsonl") == tmp_path / "bench" / "test.jsonl"


def test_a_file_that_a_local_folder_lacks_is_not_downloaded(tmp_path: Path) -> None:
    files = BenchmarkFiles("bench", "some/bench", local=str(tmp_path))
    for attempt in (lambda: files.get("a.csv", "a.csv"), lambda: files.rows("test", "a.csv")):
        with pytest.raises(VersaTuneError, match="so nothing is downloaded.*some/bench"):
            attempt()


def test_a_download_that_cannot_be_had_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    files = BenchmarkFiles("bench", "some/bench-that-is-not-here")
    for attempt in (lambda: files.get("a.csv", "home.csv"), lambda: files.rows("test", "home.csv")):
        with pytest.raises(VersaTuneError) as error:
            attempt()
        for message in ("some/bench-that-is-not-here", f"{VARIABLE}=FOLDER", "FOLDER as bench/home.csv", "--metadata"):
            assert message in str(error.value)


def test_without_a_split_of_examples_the_first_row_is_shown_and_not_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"n": number} for number in range(5)]
    write(tmp_path, "test.jsonl", rows)
    files = BenchmarkFiles("bench", "some/bench", local=str(tmp_path))
    with caplog.at_level(logging.WARNING):
        shots, scored = files.shots_and_rows(("train", "train.jsonl"), ("test", "test.jsonl"))
    assert (shots, scored) == (rows[:1], rows[1:])
    assert "the first row of test.jsonl is the example and is not scored" in caplog.text
    shown = [{"n": 100 + number} for number in range(MOST + 1)]
    write(tmp_path, "train.jsonl", shown)
    assert files.shots_and_rows(("train", "train.jsonl"), ("test", "test.jsonl")) == (shown[:MOST], rows)
