"""The files of a comparison hold every figure, to the digit."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.compared_runs import campaign, run
from versatune_plugin.artifacts.io import read_json
from versatune_plugin.comparing.contrasts import Contrast
from versatune_plugin.comparing.files import KIND, SCHEMA, write_comparison
from versatune_plugin.comparing.tables import Comparison, Question, compare
from versatune_plugin.errors import ArtifactError

HOSTILE = 'law, "1"\n<script>'


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    runs = campaign(
        {"uniform": {HOSTILE: 2.0, "code": 1.0}, "moving": {HOSTILE: 1.9, "code": 1.0}},
        range(7),
        {HOSTILE: 0.02, "code": 0.02},
    )
    runs[0] = run("uniform", 0, {HOSTILE: math.nan, "code": 1.0})
    question = Question("uniform", importance={"code": 3}, targets=("code",), worth=0.01)
    return compare([*runs, run("moving", 9, {HOSTILE: 1.0, "code": 1.0}, overhead=7)], question)


@pytest.fixture(scope="module")
def files(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return write_comparison(comparison, tmp_path_factory.mktemp("compared") / "new")


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def test_json_has_every_figure(comparison: Comparison, files: tuple[Path, ...]) -> None:
    read = read_json(files[0], KIND, SCHEMA)
    assert read["mixtures"] == ["uniform", "moving"]
    assert read["question"] == {**asdict(comparison.question), "targets": ["code"]}
    assert read["weights"] == comparison.weights
    for table in (comparison.training, comparison.total):
        written = read["tables"][table.budget]
        assert written["remarks"] == list(table.remarks)
        for family in ("answer", "details"):
            for line, one in zip(written[family], getattr(table, family), strict=True):
                assert_same(line, one)
        for line, level in zip(written["levels"], table.levels, strict=True):
            assert line["values"] == {str(seed): finite(value) for seed, value in level.values.items()}
            assert (line["seeds"], line["mean"]) == (level.estimate.seeds, level.estimate.mean)
        assert [line["total_seconds"] for line in written["costs"]] == [cost.total_seconds for cost in table.costs]
    assert len(read["runs"]) == len(comparison.runs)
    for line, one_run in zip(read["runs"], comparison.runs, strict=True):
        assert line["end"]["nats_per_token"][HOSTILE] == finite(one_run.end.nats_per_token[HOSTILE])
        assert line["total_seconds"] == one_run.cost.total_seconds
        assert line["outcome"]["mean"] == finite(comparison.outcome(one_run).mean)


def assert_same(line: dict[str, Any], one: Contrast) -> None:
    assert (line["mixture"], line["quantity"], line["better"]) == (one.mixture, one.quantity.name, one.better)
    assert list(line["differences"].values()) == one.pairs.differences.tolist()
    assert line["unpaired"] == list(one.pairs.unpaired)
    assert line["not_finite"] == list(one.pairs.not_finite)
    assert line["interval95"] == (None if one.effect.interval95 is None else list(one.effect.interval95))
    for name in ("p", "holm_p", "max_t_p"):
        assert line[name] == finite(getattr(one, name))
    for name, value in asdict(one.verdict).items():
        assert line[name] == value


def test_contrasts_as_a_plain_table(comparison: Comparison, files: tuple[Path, ...]) -> None:
    with files[1].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [one for table in (comparison.training, comparison.total) for one in (*table.answer, *table.details)]
    assert len(rows) == len(expected)
    for row, one in zip(rows, expected, strict=True):
        assert (row["mixture"], row["quantity"], row["says"]) == (one.mixture, one.quantity.name, one.verdict.says)
        assert row["domain"] == (one.quantity.domain or "")
        assert row["seeds"] == " ".join(map(str, one.pairs.seeds))
        low, high = one.effect.interval95 or (None, None)
        figures = {
            "effect": one.effect.mean,
            "spread": one.effect.spread,
            "holm_p": one.holm_p,
            "low95": low,
            "high95": high,
        }
        for name, value in figures.items():
            assert row[name] == ("" if finite(value) is None else repr(value))


def test_runs_as_a_plain_table(comparison: Comparison, files: tuple[Path, ...]) -> None:
    with files[2].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(comparison.runs) * (len(comparison.domains) + 1)
    for place, one_run in enumerate(comparison.runs):
        *by_domain, total = rows[3 * place : 3 * place + 3]
        assert [row["domain"] for row in by_domain] == list(comparison.domains)
        for row in by_domain:
            loss = finite(one_run.end.nats_per_token[row["domain"]])
            assert row["end_nats_per_token"] == ("" if loss is None else repr(loss))
            assert row["start_bits_per_byte"] == repr(float(one_run.start.bits_per_byte[row["domain"]]))
            assert row["rows"] == str(one_run.cost.rows[row["domain"]])
        assert total["total_seconds"] == repr(one_run.cost.total_seconds)
        assert float(total["rows"]) == sum(float(row["rows"]) for row in by_domain)


def test_it_is_written_again_and_not_into_a_file(
    comparison: Comparison, files: tuple[Path, ...], tmp_path: Path
) -> None:
    before = [path.read_bytes() for path in files]
    assert write_comparison(comparison, files[0].parent) == files
    assert [path.read_bytes() for path in files] == before
    json.loads(before[0])
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ArtifactError, match="cannot be written"):
        write_comparison(comparison, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
