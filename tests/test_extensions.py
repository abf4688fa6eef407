"""A mixture and a judge from a package of somebody else's, installed beside VersaTune and named in the YAML."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import QUIET, Tiny
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.extensions import extensions

MODULE = '''
from __future__ import annotations

from pydantic import Field

from versatune_plugin.mixtures.base import Policy, PolicyOptions


class Loudest(Policy):
    """Most weight where the loss is highest."""

    name = "loudest"
    summary = "weights in proportion to a power of the held-out losses"
    paper = "none"
    update_steps = 2

    class Options(PolicyOptions):
        power: float = Field(default=1.0, gt=0, description="the exponent")

    def update(self, signal):
        return signal.loss**self.options.power


class Coin:
    def __init__(self, context):
        self.domains = context.domains

    def probabilities(self, texts):
        import numpy as np

        return np.full((len(texts), len(self.domains)), 1 / len(self.domains))

    def settings(self):
        return {"judge": "coin"}

    describe = settings
'''
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "loudest-mixture"
version = "1.0"
[project.entry-points."versatune.mixtures"]
loudest = "loudest_mixture:Loudest"
[project.entry-points."versatune.judges"]
coin = "loudest_mixture:Coin"
[tool.setuptools]
py-modules = ["loudest_mixture"]
"""


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, as pip installs it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    (source / "loudest_mixture.py").write_text(MODULE)
    (source / "pyproject.toml").write_text(PROJECT)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--target", str(target), str(source)], check=True, capture_output=True)
    return target


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
    section = {"mixture": "loudest", "power": 30.0, "heldout": 4, "knowledge": "uniform"}
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
    run(outside, tmp_path, "axolotl.cli.main", "versatune", "detect", "run.yml", "--judge", "coin", *few)
    knowledge = json.loads((tmp_path / "k.json").read_text())
    assert knowledge["probabilities"] == pytest.approx(dict.fromkeys(tiny.files, 1 / 3))
    assert knowledge["judge"] == {"name": "coin", "judge": "coin"}


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
def test_a_mixture_has_to_be_a_policy_of_that_name(tmp_path: Path, value: str) -> None:
    installed(tmp_path, "theirs", f"[versatune.mixtures]\nmine = {value}\n")
    surroundings = {**os.environ, "PYTHONPATH": str(tmp_path)}
    finished = subprocess.run(
        [sys.executable, "-c", "import versatune_plugin.mixtures.registry"],
        capture_output=True,
        text=True,
        env=surroundings,
    )
    assert finished.returncode == 1
    assert "it must be a subclass of versatune_plugin.mixtures.base.Policy with `name = 'mine'`" in finished.stderr
