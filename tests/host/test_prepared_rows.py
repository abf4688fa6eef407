from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import datasets
import pytest
from axolotl.utils.dict import DictDefault
from datasets import Dataset

from versatune_plugin.host.prepared_rows import DIGESTS_FILE, SHAPING_ROWS, PreparedRows, local_files

FINISHED, UNFINISHED = "0123456789abcdef" * 2, "f" * 32


class Words:
    """As much of a tokenizer as its fingerprint takes."""

    special_tokens_map: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, words: str = "a b", chat_template: str | None = None) -> None:
        self.words, self.chat_template = words.split(), chat_template

    def get_vocab(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}


def place(folder: Path, entry: dict[str, Any], tokenizer: Words | None = None, **cfg: Any) -> PreparedRows:
    return PreparedRows(
        DictDefault({"dataset_prepared_path": str(folder), **cfg}), [DictDefault(entry)], tokenizer or Words()
    )


def test_only_unfinished_folders_of_axolotl_are_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "law.jsonl").write_text("{}\n")
    ours = place(tmp_path / "prepared", {"path": str(tmp_path / "law.jsonl")})
    users = tmp_path / "prepared" / "corpus"
    for folder in (ours.folder / FINISHED, ours.folder / UNFINISHED, ours.folder / "corpus", users / UNFINISHED):
        Dataset.from_dict({"input_ids": [[1, 2]]}).save_to_disk(str(folder))
    for folder in (ours.folder / UNFINISHED, ours.folder / "corpus", users / UNFINISHED):
        (folder / "state.json").unlink()
    with caplog.at_level(logging.WARNING, "axolotl.versatune"), ours.prepared(DictDefault({})):
        pass
    assert {path.name for path in ours.folder.iterdir() if path.is_dir()} == {FINISHED, "corpus"}
    assert (users / UNFINISHED).is_dir()
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [str(ours.folder / UNFINISHED)]


def test_what_decides_the_rows_decides_the_folder(tmp_path: Path) -> None:
    file, template = tmp_path / "law.jsonl", tmp_path / "chat.jinja"
    file.write_text('{"a": 1}\n')
    template.write_text("{{ messages }}")
    entry = {"path": str(file), "type": "alpaca", "ds_type": "json"}
    prepared = tmp_path / "prepared"
    seen = [place(prepared, entry).folder]
    assert place(prepared, entry).folder == seen[0]
    # Neither where the run writes nor its seed shapes a row.
    assert place(prepared, entry, seed=3, output_dir="elsewhere").folder == seen[0]
    seen += [place(prepared, entry, **{name: "other"}).folder for name in SHAPING_ROWS]
    for changed in ({"type": "completion"}, {"roles_to_train": ["user"]}, {"shards": 2}, {"field": "text"}):
        seen.append(place(prepared, {**entry, **changed}).folder)
    seen.append(place(prepared, {**entry, "shards": 2}, seed=3).folder)
    seen.append(place(prepared, entry, Words("a b c")).folder)
    seen.append(place(prepared, entry, Words(chat_template="x")).folder)
    seen.append(place(prepared, entry, chat_template_jinja=str(template)).folder)
    template.write_text("{{ messages[0] }}")
    seen.append(place(prepared, entry, chat_template_jinja=str(template)).folder)
    file.write_text('{"a": 2}\n')
    seen.append(place(prepared, entry).folder)
    assert len(set(seen)) == len(seen)
    file.write_text('{"a": 1}\n')
    assert place(prepared, entry).folder == seen[0]


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "law.jsonl"
    file.write_text("one")
    before = file.stat()
    first = place(tmp_path / "prepared", {"path": str(file)})
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with caplog.at_level(logging.WARNING, "axolotl.versatune"):
        second = place(tmp_path / "prepared", {"path": str(file)})
    assert first.folder != second.folder
    assert f"{file} has changed since its rows were prepared" in caplog.text
    cache = datasets.config.HF_DATASETS_CACHE
    with second.prepared(DictDefault({})):
        # The cache of `datasets` holds what the file was, under the same name and time.
        assert second.folder / "cache" == datasets.config.HF_DATASETS_CACHE
    with first.prepared(DictDefault({})):
        assert cache == datasets.config.HF_DATASETS_CACHE
    assert cache == datasets.config.HF_DATASETS_CACHE


def test_files_are_read_again_only_when_they_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import versatune_plugin.host.prepared_rows as module

    file, read = tmp_path / "law.jsonl", []
    file.write_text("one")
    digest = module.hashlib.file_digest
    monkeypatch.setattr(module.hashlib, "file_digest", lambda *a: read.append(1) or digest(*a))
    folders = {place(tmp_path / "prepared", {"path": str(file)}).folder for _ in range(3)}
    assert (len(folders), len(read)) == (1, 1)
    for damaged in ("", "{", json.dumps({"kind": "versatune.files", "schema": 1, "files": {str(file): {}}})):
        (tmp_path / "prepared" / DIGESTS_FILE).write_text(damaged)
        folders.add(place(tmp_path / "prepared", {"path": str(file)}).folder)
    assert (len(folders), len(read)) == (1, 4)


def test_which_files_an_entry_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("rows/a.jsonl", "rows/b.jsonl", "rows/deep/c.jsonl", "rows/.hidden", "d.parquet"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("x")
    read = {
        ("rows/a.jsonl", None): ["rows/a.jsonl"],
        ("rows", None): ["rows/a.jsonl", "rows/b.jsonl", "rows/deep/c.jsonl"],
        ("json", "rows/*.jsonl"): ["rows/a.jsonl", "rows/b.jsonl"],
        ("json", ("rows/b.jsonl", "d.parquet")): ["rows/b.jsonl", "d.parquet"],
        ("somebody/corpus", None): [],
        ("somebody/corpus", "train.jsonl"): [],
    }
    for (path, named), wanted in read.items():
        assert local_files({"path": path, "data_files": list(named) if isinstance(named, tuple) else named}) == wanted
    assert local_files({"path": "json", "data_files": {"train": "d.parquet"}}) == ["d.parquet"]


def test_small_local_sets_start_no_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import versatune_plugin.host.prepared_rows as module

    file = tmp_path / "law.jsonl"
    file.write_text("x" * 100)
    monkeypatch.setenv("AXOLOTL_DATASET_NUM_PROC", "7")
    for limit, entry, processes in (
        (100, {"path": str(file)}, ("0", 0)),
        (99, {"path": str(file)}, ("7", 4)),
        (100, {"path": "somebody/corpus"}, ("7", 4)),
    ):
        monkeypatch.setattr(module, "SMALL_BYTES", limit)
        cfg = DictDefault({"dataset_num_proc": 4})
        with place(tmp_path / "prepared", entry).prepared(cfg) as ready:
            assert (os.environ["AXOLOTL_DATASET_NUM_PROC"], ready.dataset_num_proc) == processes
        assert os.environ["AXOLOTL_DATASET_NUM_PROC"] == "7"
