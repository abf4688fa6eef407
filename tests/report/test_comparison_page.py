"""The page about a comparison: its figures to the digit, its verdicts, and hostile names as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.compared_runs import campaign
from tests.helpers.page import Page
from tests.helpers.records import HOSTILE, record_lines, write_run
from versatune_plugin.artifacts.io import read_json
from versatune_plugin.comparing.files import JSON_FILE, KIND, SCHEMA, write_comparison
from versatune_plugin.comparing.tables import Question, compare
from versatune_plugin.errors import ArtifactError, printable
from versatune_plugin.report.write import report

LAW, CODE = HOSTILE[0], "code"


def written(folder: Path, **options: Any) -> dict[str, Any]:
    """A comparison in which the second mixture is better, with a mixture that has a hostile name."""
    base = {LAW: 2.0, CODE: 1.0}
    mixtures = {"uniform": base, "moving": {**base, LAW: 1.7}, HOSTILE[1]: base}
    runs = campaign(mixtures, range(8), dict.fromkeys(base, 0.02), **options)
    write_comparison(compare(runs, Question("uniform", targets=(LAW,))), folder)
    return read_json(folder / JSON_FILE, KIND, SCHEMA)


def shown(value: float | None) -> str | None:
    return None if value is None else repr(value)


def test_the_figures_are_those_of_the_comparison(tmp_path: Path) -> None:
    found = written(tmp_path / "compared")["tables"]["training"]
    page = Page(report([tmp_path / "compared"], "", ""))
    answer = page.tables["Mean loss: effects against the baseline"]
    details = page.tables["Every other quantity: effects against the baseline"]
    for table, of in ((answer, found["answer"]), (details, found["details"])):
        assert [[value for _, value in row[2:9]] for row in table.rows] == [
            [
                *map(shown, (one["mean"], *one["interval95"])),
                str(one["seeds"]),
                *map(shown, (one["p"], one["holm_p"], one["seeds_needed"])),
            ]
            for one in of
        ]
        assert [row[0][0] for row in table.rows] == [printable(one["mixture"]) for one in of]
    levels = page.tables["What each mixture came to"]
    assert [row[2][1] for row in levels.rows] == [repr(one["mean"]) for one in found["levels"]]
    costs = page.tables["What a run took (means)"]
    assert [row[3][1] for row in costs.rows] == [repr(one["total_seconds"]) for one in found["costs"]]
    assert "moving: better than the baseline (significant)." in page.text
    (other,) = (one for one in found["answer"] if one["mixture"] == HOSTILE[1])
    assert f"{HOSTILE[1]}: {other['says']} (" in page.text
    assert "The figures are those of the table above." in page.text
    gains = page.tables["Gain of each domain, relative to before fine-tuning"]
    assert [row[1][0] for row in gains.rows] == ["target"] * 3 + ["other"] * 3


def test_another_total_budget_has_its_own_table_and_remarks(tmp_path: Path) -> None:
    base = {"law": 2.0, CODE: 1.0}
    runs = campaign({"uniform": base}, range(6), dict.fromkeys(base, 0.02))
    runs += campaign({"moving": base}, range(6), dict.fromkeys(base, 0.02), overhead=50)
    write_comparison(compare(runs, Question("uniform")), tmp_path / "compared")
    remarks = read_json(tmp_path / "compared" / JSON_FILE, KIND, SCHEMA)["tables"]["total"]["remarks"]
    page = Page(report([tmp_path / "compared"], "", ""))
    assert remarks
    assert all(f"Warning: {remark}" in page.text for remark in remarks)


def test_a_comparison_beside_runs(tmp_path: Path) -> None:
    written(tmp_path / "compared")
    run = write_run(tmp_path / "run", record_lines([LAW, CODE]))
    html = report([run, tmp_path / "compared"], "", "")
    page = Page(html)
    assert {"Mean loss: effects against the baseline", "Rows and tokens drawn"} <= set(page.tables)
    assert len(page.of("id")) == len(set(page.of("id")))
    assert len([tag for tag, _ in page.tags if tag == "script"]) == 1
    assert len(html) < 1_000_000


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tables": {}, "question": 3}, "question"),
        ({"kind": "versatune.knowledge"}, "its kind is 'versatune.knowledge'"),
        ({"mixtures": [1]}, "mixtures"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    found = written(tmp_path)
    (tmp_path / JSON_FILE).write_text(json.dumps({**found, **change}))
    with pytest.raises(ArtifactError, match=told):
        report([tmp_path], "", "")
