from __future__ import annotations

import logging
from pathlib import Path

import pytest
from axolotl.utils.dict import DictDefault
from datasets import Dataset

from versatune_plugin.host.prepared_rows import remove_unfinished_rows

FINISHED, UNFINISHED = "0123456789abcdef" * 2, "f" * 32


def test_only_unfinished_folders_of_axolotl_are_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in (FINISHED, UNFINISHED, "corpus"):
        Dataset.from_dict({"input_ids": [[1, 2]]}).save_to_disk(str(tmp_path / name))
    for name in (UNFINISHED, "corpus"):
        (tmp_path / name / "state.json").unlink()
    (tmp_path / ("e" * 32)).mkdir()
    with caplog.at_level(logging.WARNING, "axolotl.versatune"):
        remove_unfinished_rows(DictDefault({"dataset_prepared_path": str(tmp_path)}))
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {FINISHED, "corpus", "e" * 32}
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [str(tmp_path / UNFINISHED)]
