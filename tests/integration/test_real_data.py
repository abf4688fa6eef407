"""The whole path on real instruction rows: pretrain, detect, reference, fine-tune with a live mixture, measure."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import QUIET
from versatune_plugin.artifacts.record import read_record

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "real_data.py"
DOMAINS = {"code", "finance", "general", "law", "medicine", "science"}


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("VERSATUNE_DATA")
    if not folder:
        pytest.skip("VERSATUNE_DATA does not name a folder with sft/<domain>.jsonl and sft_heldout/<domain>.jsonl")
    return Path(folder)


def whole_path(data: Path, out: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), "--data", str(data), "--out", str(out), *options]
    surroundings = {key: value for key, value in {**os.environ, **QUIET}.items() if key != "OMP_NUM_THREADS"}
    finished = subprocess.run(command, capture_output=True, text=True, env=surroundings, stdin=subprocess.DEVNULL)
    assert finished.returncode == 0, finished.stdout[-4000:] + finished.stderr[-4000:]
    return json.loads((out / "real_data.json").read_text())


def check(out: Path, result: dict[str, Any], steps: int, updates: int) -> None:
    knowledge = json.loads((out / "knowledge.json").read_text())
    reference = json.loads((out / "reference.json").read_text())
    assert set(knowledge["probabilities"]) == set(reference["nats_per_token"]) == DOMAINS
    record = read_record(out / "versatune")
    lines = [line for line in record if line["kind"] == "update"]
    assert len(lines) == updates
    assert record[-1]["step"] == steps
    weights = record[0]["weights"]
    for line in lines:
        ceiling = reference["nats_per_token"]
        raw = {n: weights[n] * (1 + 1.0 * max((line["loss"][n] - ceiling[n]) / line["loss"][n], 0)) for n in DOMAINS}
        weights = line["weights"]
        free = [name for name in DOMAINS if weights[name] > 0.01 + 1e-9]
        scale = {name: weights[name] / raw[name] for name in free}
        assert max(scale.values()) == pytest.approx(min(scale.values()), rel=1e-9)
        assert min(weights.values()) >= 0.01 - 1e-12
        assert math.fsum(weights.values()) == pytest.approx(1)
    for model in ("uniform", "versatune"):
        assert result["mean"][model] < result["mean"]["base_model"]
    assert set(result["versatune - uniform"]) == DOMAINS


def test_shortened(data: Path, tmp_path: Path) -> None:
    result = whole_path(data, tmp_path / "real", "--preset", "real-short", "--rows", "24")
    check(tmp_path / "real", result, steps=12, updates=3)


@pytest.mark.slow
def test_in_full(data: Path, tmp_path: Path) -> None:
    result = whole_path(data, tmp_path / "real")
    check(tmp_path / "real", result, steps=240, updates=11)
    print(json.dumps(result))
