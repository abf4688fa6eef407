"""A YAML with a key twice is refused; anchors, merges and tags are left to Axolotl."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conftest import Axolotl, Tiny
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.host.yaml_file import check_keys, read_yaml


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\nb: &x {c: 1}\nd: *x\ne: *x\n",
        "base: &x {c: 1, d: 2}\nown: {<<: *x, c: 3}\n",
        'a: 1\n"1": 2\n1: 3\n',
        "a: [{b: 1}, {b: 2}]\n",
        "\ufeffa: 1\n",
    ],
)
def test_what_is_no_repetition(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yml").write_text(text, encoding="utf-8")
    check_keys(tmp_path / "c.yml")
    assert read_yaml(tmp_path / "c.yml")


def test_tags_that_nothing_of_ours_constructs(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text("a: !!python/object/apply:os.getcwd []\n")
    check_keys(tmp_path / "c.yml")
    with pytest.raises(ConfigurationError, match="line 1: no YAML of a configuration"):
        read_yaml(tmp_path / "c.yml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is there twice"),
        ("s:\n  m: 1\n  m: 1\n", "line 3: the key 'm' is there twice"),
        ("d:\n  - {path: x, domain: a, domain: b}\n", "line 2: the key 'domain' is there twice"),
        ('a: 1\n"a": 2\n', "line 2: the key 'a' is there twice"),
    ],
)
def test_repetitions(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.yml").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        check_keys(tmp_path / "c.yml")


def test_training_refuses_a_second_section(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path / "out", versatune={"mixture": "uniform"})
    file = tmp_path / "cfg.yml"
    file.write_text(yaml.safe_dump(cfg) + "\nversatune: {mixture: proportional}\n")
    finished = axolotl.run("axolotl.cli.train", str(file))
    assert finished.status == 2
    assert "the key 'versatune' is there twice, and Axolotl would take the last one" in finished.message
