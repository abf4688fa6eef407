"""What is kept of a domain is read back only as it was written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from versatune_plugin.errors import ArtifactError
from versatune_plugin.reference.unfinished import Unfinished

MEASURED = {"start": 3.0, "epochs": [2.0, None], "bits_per_byte": [1.0, None], "tokenizer": "0123"}


@pytest.fixture
def unfinished(tmp_path: Path) -> Unfinished:
    made = Unfinished.beside(tmp_path / "reference.json", ("law", "../../esc"), {"seed": 7})
    made.open()
    for name in made.names:
        made.run_folder(name).mkdir()
        made.write(name, MEASURED)
    return made


def test_what_is_written_is_read(unfinished: Unfinished) -> None:
    assert {name: value for name, value in (unfinished.read("law") or {}).items() if name in MEASURED} == MEASURED
    assert sorted(path.name for path in unfinished.folder.iterdir()) == ["0.json", "1.json", "index.json"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("epochs", [-5], "epochs[0]: is -5"),
        ("epochs", [], "epochs: is []"),
        ("epochs", ["2.0", None], "epochs[0]: is '2.0'"),
        ("epochs", [2.0], "1 losses and 2 in bits per byte"),
        ("epochs", {"1": 2.0}, "epochs: is"),
        ("bits_per_byte", None, "bits_per_byte: is null"),
        ("start", -1, "start: is -1"),
        ("tokenizer", 7, "tokenizer: is 7"),
        ("made_under", [], "made_under: is []"),
        ("domain", "code", "is of domain 'code', not of 'law'"),
        ("odd", 1, "odd: is not known here"),
    ],
)
def test_what_was_edited_is_refused(unfinished: Unfinished, key: str, value: Any, said: str) -> None:
    part = unfinished.folder / "0.json"
    part.write_text(json.dumps({**json.loads(part.read_text()), key: value}))
    with pytest.raises(ArtifactError) as refused:
        unfinished.read("law")
    assert said in str(refused.value)
    assert str(part) in str(refused.value)
