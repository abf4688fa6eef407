"""Tasks of a user's own in `scores`: in a domain that is none of the paper's, and in none of the paper's means."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.evaluation.test_scores import all_at, write_results
from tests.helpers.runs import ROOT, evaluate
from versatune_plugin.cli import versatune
from versatune_plugin.evaluation.benchmarks import BENCHMARKS
from versatune_plugin.evaluation.results import read_runs

EXAMPLE = ROOT / "example_yml" / "evaluation"


def scores(*arguments: str | Path) -> Result:
    return CliRunner().invoke(versatune, ["scores", *map(str, arguments)])


def write_own(
    folder: Path,
    task: str = "clinic_doses",
    value: Any = 0.25,
    domain: Any = "clinic",
    metric: str = "acc",
    more_is_better: bool = True,
    **config: Any,
) -> Path:
    """A result file of one task; `config` replaces keys of its configuration."""
    home = write_results(folder, {}, name=f"results_{task}.json")
    (file,) = home.rglob(f"results_{task}.json")
    payload = json.loads(file.read_text())
    # Not in the order of `metric_list`, as lm-eval has it.
    payload["results"] = {task: {"alias": task, "f1,none": 0.9, f"{metric},none": value, f"{metric}_stderr,none": 0.02}}
    listed = [{"metric": metric}, {"metric": "f1"}]
    payload["configs"] = {task: {"metric_list": listed, "metadata": {"versatune_domain": domain}, **config}}
    payload["higher_is_better"] = {task: {metric: more_is_better}}
    file.write_text(json.dumps(payload))
    return folder


def test_the_example_through_lm_eval(tmp_path: Path) -> None:
    evaluate("gold", tmp_path / "mine", "--include_path", ".", tasks="clinic_doses", cwd=EXAMPLE)
    shown = scores(tmp_path / "mine")
    assert shown.exit_code == 0, shown.output
    assert re.search(r"clinic +│ +100.00 ± 0.00", shown.output)
    assert re.search(r"  clinic_doses +│ +100.00 ± 0.00", shown.output)
    assert re.search(r"medqa +│ +- ", shown.output)
    task = (EXAMPLE / "clinic_doses.yaml").read_text()
    assert f"```yaml\n{task}```\n" in (ROOT / "docs" / "evaluation.md").read_text()


def test_it_is_a_row_of_its_own_and_moves_no_figure_of_the_paper(tmp_path: Path) -> None:
    write_results(tmp_path / "mine", all_at(0.5))
    before = read_runs([tmp_path / "mine"])[0]
    write_own(tmp_path / "mine")
    write_own(tmp_path / "mine", "clinic_notes", 0.75)
    (run,) = read_runs([tmp_path / "mine"])
    assert run.average() == before.average()
    assert run.domain("general") == before.domain("general")
    assert asdict(run.benchmarks["clinic_doses"]) == {"value": 0.25, "stderr": 0.02, "unparsed": None, "limited": False}
    write_results(tmp_path / "base", all_at(0.4))
    files = {kind: tmp_path / f"s.{kind}" for kind in ("json", "csv", "png")}
    written = ("--json", files["json"], "--csv", files["csv"], "--plot", files["png"])
    shown = scores(tmp_path / "mine", tmp_path / "base", "--gain", "mine", "base", *written)
    assert shown.exit_code == 0, shown.output
    assert re.search(r"average +│ +50.00 .*\n.*\n│ clinic +│ +50.00 ± 1.41 │ +- │", shown.output)
    assert "not in the average, which is of the twelve benchmarks: clinic" in shown.output
    assert "relative gain, mine over base: +25.00" in shown.output
    payload = json.loads(files["json"].read_text())["runs"]
    assert payload["mine"]["own_domains"]["clinic"]["mean"]["value"] == 0.5
    assert payload["base"]["own_domains"]["clinic"] == {
        "mean": None,
        "tasks": {"clinic_doses": None, "clinic_notes": None},
    }
    assert set(payload["mine"]["benchmarks"]) == set(BENCHMARKS)
    with files["csv"].open() as file:
        rows = {row["figure"]: row for row in csv.DictReader(file) if row["model"] == "mine"}
    assert (rows["clinic_notes"]["domain"], rows["medqa"]["domain"]) == ("clinic", "medicine")
    assert float(rows["domain:clinic"]["percent"]) == 50
    again = read_runs([files["csv"]])[0]
    assert again.own == run.own
    assert {name: one.value for name, one in again.benchmarks.items()} == pytest.approx(
        {name: one.value for name, one in run.benchmarks.items()}
    )
    assert again.settings["clinic_doses"].digest == run.settings["clinic_doses"].digest


def test_a_mean_over_tasks_needs_all_that_any_run_has(tmp_path: Path) -> None:
    write_own(write_own(tmp_path / "both"), "clinic_notes", 0.75)
    write_own(tmp_path / "one")
    shown = scores(tmp_path / "both", tmp_path / "one")
    assert re.search(r"clinic +│ +50.00 ± 1.41 │ +- │", shown.output)
    assert re.search(r"clinic_doses +│ +25.00 ± 2.00 │ +25.00 ± 2.00 │", shown.output)


def test_other_settings_are_marked_and_hinder_no_gain_over_the_twelve(tmp_path: Path) -> None:
    write_own(write_results(tmp_path / "mine", all_at(0.5)), num_fewshot=0)
    write_own(write_results(tmp_path / "base", all_at(0.4)), num_fewshot=2)
    shown = scores(tmp_path / "mine", tmp_path / "base", "--gain", "mine", "base")
    assert shown.exit_code == 0, shown.output
    assert re.search(r"clinic_doses +│ +25.00 ± 2.00 │ +25.00 ± 2.00†", shown.output)
    assert "num_fewshot is 2, but 0 in mine (clinic_doses)" in shown.output
    assert "relative gain, mine over base: +25.00" in shown.output


def test_what_was_asked_under_a_chat_template_stands_with_the_tasks_for_chat_models(tmp_path: Path) -> None:
    home = write_results(tmp_path / "mine", all_at(0.5), top="versatune-chat_", template="t")
    (file,) = write_own(tmp_path / "own").rglob("results*.json")
    payload = json.loads(file.read_text())
    (home / "results_own.json").write_text(json.dumps(payload | {"chat_template": "t"}))
    (run,) = read_runs([home])
    assert run.name == "mine-chat"
    assert run.own == {"clinic_doses": "clinic"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"domain": "law"}, "versatune_domain of clinic_doses is 'law', but the scores of law, medicine, finance"),
        ({"domain": "Law"}, "name a domain of your own"),
        ({"domain": "average"}, "name a domain of your own"),
        ({"domain": 7}, "versatune_domain of clinic_doses is 7; write the name of a domain"),
        ({"domain": " "}, "versatune_domain of clinic_doses has no character; give it a name"),
        ({"task": "hellaswag"}, "the task hellaswag has the name of a benchmark of ours; give yours another one"),
        ({"value": 34.2}, "acc of clinic_doses, the first of its `metric_list`, is 34.2; a score is a share"),
        ({"value": "N/A"}, "is 'N/A'; a score is a share between 0 and 1"),
        ({"more_is_better": False}, "of which more is better: name one first"),
        ({"metric_list": None}, "clinic_doses has no `metric_list`; name the metric of its score there"),
        ({"metric_list": [{"metric": "other"}]}, "other of clinic_doses, the first of its `metric_list`, is missing"),
    ],
)
def test_what_is_no_score_of_a_domain_of_ones_own(tmp_path: Path, changes: Mapping[str, Any], said: str) -> None:
    shown = scores(write_own(tmp_path / "mine", **changes))
    assert shown.exit_code == 2
    assert said in shown.output
    assert "mine/some__model/results_" in shown.output
