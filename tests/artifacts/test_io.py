"""Writing files where nothing else is lost, and reading those of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from versatune_plugin.artifacts.io import check_output, read_json, read_json_lines, write_json
from versatune_plugin.errors import ArtifactError

KIND = "versatune.knowledge"


def test_a_link_laid_at_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / ".k.json.tmp").symlink_to(precious)
    write_json(tmp_path / "k.json", {"a": 1})
    assert precious.read_text() == "kept"
    assert not (tmp_path / "k.json").is_symlink()
    assert json.loads((tmp_path / "k.json").read_text()) == {"a": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("base_model: x\n", "was not made by `axolotl versatune detect`"),
        (json.dumps({"kind": "versatune.reference", "schema": 1, "command": "x"}), "was not made by"),
        (json.dumps({"kind": KIND, "schema": 1, "probabilities": {"law": 1}}), "was written by hand"),
        ("", "was not made by"),
    ],
)
def test_nothing_but_a_file_of_the_same_command_is_replaced(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "c.yml"
    file.write_text(content)
    with pytest.raises(ArtifactError, match=said):
        check_output(file, KIND, 1)
    assert file.read_text() == content


def test_a_file_that_the_command_made_is_replaced(tmp_path: Path) -> None:
    write_json(tmp_path / "k.json", {"kind": KIND, "schema": 1, "command": "axolotl versatune detect c.yml"})
    check_output(tmp_path / "k.json", KIND, 1)
    check_output(tmp_path / "new.json", KIND, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["k.json"]


def test_a_name_that_is_too_long_is_told_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="too long a name: 256 bytes"):
        check_output(tmp_path / ("k" * 250), KIND, 1)
    with pytest.raises(ArtifactError, match="too long a name: 300 bytes"):
        check_output(tmp_path / "k.json", KIND, 1, "k" * 300)
    check_output(tmp_path / ("k" * 249), KIND, 1)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is a folder, not a file; make it with"):
        read_json(tmp_path, KIND, 1)
    with pytest.raises(ArtifactError, match="is a folder, not a file"):
        read_json_lines(tmp_path)


@pytest.mark.parametrize("schema", [True, "1", 1.0, None, 2])
def test_a_schema_is_the_integer(tmp_path: Path, schema: object) -> None:
    file = tmp_path / "k.json"
    file.write_text(json.dumps({"kind": KIND, "schema": schema}))
    with pytest.raises(ArtifactError, match="schema version"):
        read_json(file, KIND, 1)


def test_lines_name_the_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"a": 1}\n\n[1]\n')
    with pytest.raises(ArtifactError, match=r"rows.jsonl, line 3: \[1\] is no mapping"):
        read_json_lines(file)
    file.write_text('{"a": 1}\n{"a": ')
    with pytest.raises(ArtifactError, match="line 2: not JSON"):
        read_json_lines(file)
    assert read_json_lines(file, may_be_cut=True) == [{"a": 1}]
