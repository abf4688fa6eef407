"""The quickstart: `short` from end to end through Axolotl's own command line, and the parts that need none of it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

from versatune_plugin.artifacts.io import read_json
from versatune_plugin.console.quickstart import heldout_losses
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.quickstart import run
from versatune_plugin.quickstart.configuration import configuration
from versatune_plugin.quickstart.presets import PRESETS
from versatune_plugin.quickstart.run import run_quickstart

DOMAINS = ["code", "finance", "general", "law", "medicine", "science"]


def test_configurations_differ_in_the_mixture_only() -> None:
    uniform, versatune = (yaml.safe_load(configuration(m, DOMAINS, PRESETS["short"], 5)) for m in run.MIXTURES)
    own = versatune.pop("versatune")
    assert own.pop("knowledge") == "knowledge.json"
    assert own.pop("reference") == "reference.json"
    assert own.pop("mixture") == "versatune"
    other = uniform.pop("versatune")
    assert other.pop("mixture") == "uniform"
    assert own == other
    assert (uniform.pop("output_dir"), versatune.pop("output_dir")) == ("./uniform", "./versatune")
    assert uniform == versatune
    assert [entry["domain"] for entry in uniform["datasets"]] == DOMAINS


def test_losses_are_the_first_and_the_last_measurement() -> None:
    record = [
        {"kind": "start"},
        {"kind": "measure", "step": 0, "loss": {"law": 5.0}},
        {"kind": "update", "step": 5, "loss": {"law": 4.0}},
        {"kind": "measure", "step": 9, "loss": {"law": 3.0}},
        {"kind": "end"},
    ]
    assert heldout_losses(record) == ({"law": 5.0}, {"law": 3.0})


def test_nothing_is_written_over(tmp_path: Path) -> None:
    first = run._free(tmp_path / "here")
    (first / "mine").write_text("kept")
    assert run._free(tmp_path / "here").name == "here-2"
    assert (first / "mine").read_text() == "kept"


def test_an_unknown_preset_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VersaTuneError, match="default, short"):
        run_quickstart(tmp_path / "out", 1, "huge")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_whole_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # It hides accelerators and silences Axolotl through the environment: not for the tests that come after it.
    with patch.dict(os.environ):
        out = run_quickstart(tmp_path / "out", 3, "short")
    figures = read_json(out / "quickstart.json", "versatune.quickstart", 1)
    for shares in (figures["truth"], figures["knowledge"]):
        assert sorted(shares) == DOMAINS
        assert sum(shares.values()) == pytest.approx(1)
    assert figures["total_variation"] < 0.5
    losses = figures["heldout_loss"]
    for mixture in run.MIXTURES:
        assert sum(losses[mixture].values()) < sum(losses["start"].values())
        assert (out / mixture / "model.safetensors").is_file()
    kinds = [json.loads(line)["kind"] for line in (out / "versatune" / "versatune.jsonl").read_text().splitlines()]
    assert kinds == ["start", "measure", "update", "update", "update", "measure", "end"]
    for picture in ("knowledge.png", "weights.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")
    for listed in run.FILES:
        for name in listed.split(", "):
            assert (out / name).exists(), name
    captured = capsys.readouterr()
    assert "total variation" in captured.out
    assert str(out) in captured.out
    last = captured.out.rstrip().splitlines()[-1]
    assert last == f"  the report, for a browser, is {out}/versatune-report.html"
    assert (out / "versatune" / "versatune.html").is_file()
    # A log of it can be read.
    assert "\r" not in captured.err
    assert len([*captured.out.splitlines(), *captured.err.splitlines()]) < 200
    assert re.search(r"^fine-tuning: 40 of 40 \(100 %\).*uniform=20, versatune=20$", captured.err, re.MULTILINE)
