"""A mixture and a judge from a package of somebody else's, installed beside VersaTune and named in the YAML."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from tests.conftest import QUIET, Tiny
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.extensions import extensions

DOCS = Path(__file__).resolve().parents[1] / "docs"


def blocks(page: str) -> dict[str, str]:
    """The code of a page, by its title."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r'^ +```\w+ title="([^"]+)"\n(.*?)^ +```$', text, re.MULTILINE | re.DOTALL)
    return {title: dedent(block) for title, block in found}


MIXTURE, JUDGE = blocks("add_a_mixture.md"), blocks("add_a_judge.md")


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both packages, as pip installs them."""
    target = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    for files in (MIXTURE, JUDGE):
        source = tmp_path_factory.mktemp("source")
        for title, text in files.items():
            if "." in title:
                (source / title).write_text(text)
        subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True)
    return target


@pytest.mark.parametrize(("page", "tests"), [(MIXTURE, "test_loudest.py"), (JUDGE, "test_longest.py")])
def test_they_pass_the_contract(outside: Path, tmp_path: Path, page: dict[str, str], tests: str) -> None:
    (tmp_path / tests).write_text(page[tests])
    assert " passed" in run(outside, tmp_path, "pytest", "-q", "-p", "no:cacheprovider", tests)


def run(outside: Path, folder: Path, *command: str) -> str:
    surroundings = {**os.environ, **QUIET, "PYTHONPATH": str(outside)}
    finished = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, env=surroundings, cwd=folder
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_a_mixture_and_a_judge_of_another_package_are_named_like_our_own(
    tiny: Tiny, tmp_path: Path, outside: Path
) -> None:
    section = yaml.safe_load(MIXTURE["the section"])["versatune"]
    cfg = tiny.config(tmp_path / "out", plugins=["versatune"], max_steps=6, versatune=section)
    (tmp_path / "run.yml").write_text(yaml.safe_dump(cfg))
    run(outside, tmp_path, "axolotl.cli.train", "run.yml")
    record = read_record(tmp_path / "out")
    moves = [line for line in record if line["kind"] == "update"]
    assert [line["step"] for line in moves] == [2, 4]
    for line in moves:
        powers = {name: loss**30 for name, loss in line["loss"].items()}
        assert line["weights"] == pytest.approx({name: p / sum(powers.values()) for name, p in powers.items()})
    assert "loudest  weights in proportion" in run(
        outside, tmp_path, "axolotl.cli.main", "versatune", "mixtures", "loudest"
    )
    few = ("--texts", "8", "--iterations", "2", "--max-new-tokens", "4", "--max-unparsed", "0.9", "--out", "k.json")
    run(outside, tmp_path, "axolotl.cli.main", "versatune", "detect", "run.yml", "--judge", "longest", *few)
    knowledge = json.loads((tmp_path / "k.json").read_text())
    *others, last = sorted(knowledge["probabilities"])
    assert knowledge["probabilities"][others[0]] == pytest.approx(knowledge["probabilities"][others[1]])
    assert 0 < knowledge["probabilities"][last] < 1
    assert knowledge["judge"] == {"name": "longest", "judge": "longest"}


def installed(folder: Path, name: str, entries: str) -> None:
    """What pip leaves of a package, less its code."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (
            "[g]\nmine = nowhere:Class\n",
            "the package theirs 1.0 registers 'mine' in g (nowhere:Class), which cannot be ",
        ),
        ("[g]\nmine = json:nothing\n", "which cannot be loaded (AttributeError"),
        ("[g]\nours = json:loads\n", "the package theirs 1.0 registers 'ours' in g (json:loads), a name that is taken"),
    ],
)
def test_a_package_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: str, told: str
) -> None:
    installed(tmp_path, "theirs", entries)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(VersaTuneError) as refused:
        extensions("g", {"ours"})
    assert told in str(refused.value)
    assert "uninstall the package" in str(refused.value)


def test_two_packages_with_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        installed(tmp_path, name, "[g]\nmine = json:loads\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(VersaTuneError, match=r"'mine' in g .* a name that is taken"):
        extensions("g", ())


@pytest.mark.parametrize("value", ["json:loads", "versatune_plugin.mixtures.static:Uniform"])
def test_a_mixture_has_to_be_a_class_of_that_name(tmp_path: Path, value: str) -> None:
    installed(tmp_path, "theirs", f"[versatune.mixtures]\nmine = {value}\n")
    surroundings = {**os.environ, "PYTHONPATH": str(tmp_path)}
    finished = subprocess.run(
        [sys.executable, "-c", "from versatune_plugin.mixtures.registry import known_mixtures; known_mixtures()"],
        capture_output=True,
        text=True,
        env=surroundings,
    )
    assert finished.returncode == 1
    assert "it must be a subclass of versatune_plugin.mixtures.base.Mixture with `name = 'mine'`" in finished.stderr
