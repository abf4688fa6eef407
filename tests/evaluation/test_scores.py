"""Domain scores, averages, standard errors and relative gains."""

from __future__ import annotations

import csv
import json
import math
import random
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from versatune_plugin.cli import versatune
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.evaluation.benchmarks import BENCHMARKS, DOMAINS
from versatune_plugin.evaluation.results import read_runs
from versatune_plugin.evaluation.scores import (
    Gain,
    Run,
    Score,
    mean_gain,
    relative_gain,
)

FIGURES = "model,figure,over,percent,stderr,unparsed,partial"


def write_results(
    folder: Path,
    values: dict[str, float],
    *,
    stderr: float | str = 0.01,
    unparsed: float = 0.0,
    limit: Any = None,
    model: str | None = "some/model",
    rows: dict[str, int] | None = None,
    name: str = "results_2026-01-01.json",
    top: str = "versatune_",
    template: str | None = None,
    source: dict[str, str] | None = None,
) -> Path:
    """A result file as lm-eval writes it, below a folder named after the model; `rows` scored by task."""
    results = {
        f"{top}{benchmark}": {
            "alias": f"{top}{benchmark}",
            "vt_score,none": value,
            "vt_score_stderr,none": stderr,
            "vt_unparsed,none": unparsed,
        }
        for benchmark, value in values.items()
    }
    payload: dict[str, Any] = {"results": results, "group_subtasks": {}, "config": {"limit": limit}}
    payload["chat_template"] = template
    payload["configs"] = {task: {"dataset_kwargs": {"source": source}} for task in results if source}
    payload["n-samples"] = {task: {"original": 2 * count, "effective": count} for task, count in (rows or {}).items()}
    if model is not None:
        payload["model_name"] = model
    home = folder / (model or "").replace("/", "__")
    home.mkdir(parents=True, exist_ok=True)
    (home / name).write_text(json.dumps(payload))
    return folder


def all_at(value: float) -> dict[str, float]:
    return dict.fromkeys(BENCHMARKS, value)


def scores(*arguments: str | Path) -> Result:
    return CliRunner().invoke(versatune, ["scores", *map(str, arguments)])


def test_twelve_benchmarks_in_six_domains() -> None:
    assert len(BENCHMARKS) == len(set(BENCHMARKS)) == 12
    assert len(DOMAINS) == 6


def test_a_domain_is_the_mean_of_its_two_benchmarks_and_the_average_that_of_six_domains(tmp_path: Path) -> None:
    values = {name: (number + 1) / 20 for number, name in enumerate(BENCHMARKS)}
    (run,) = read_runs([write_results(tmp_path / "one", values, unparsed=0.1)])
    law = run.domain("law")
    assert law is not None
    assert law.value == pytest.approx((0.05 + 0.10) / 2)
    assert law.stderr == pytest.approx(math.sqrt(0.01**2 + 0.01**2) / 2)
    assert law.unparsed == pytest.approx(0.1)
    average = run.average()
    assert average is not None
    assert average.value == pytest.approx(sum(range(1, 13)) / 20 / 12)
    assert average.stderr == pytest.approx(0.01 / math.sqrt(12))


def test_later_files_of_a_run_replace_what_earlier_ones_say(tmp_path: Path) -> None:
    write_results(tmp_path / "one", {"medqa": 0.2, "medmcqa": 0.3})
    write_results(tmp_path / "one", {"medqa": 0.4}, name="results_2026-02-02.json")
    (run,) = read_runs([tmp_path / "one"])
    assert {name: score.value for name, score in run.benchmarks.items()} == {"medqa": 0.4, "medmcqa": 0.3}


def test_what_was_not_run_is_missing_and_not_zero(tmp_path: Path) -> None:
    values = {name: value for name, value in all_at(0.5).items() if name != "mbpp"}
    (run,) = read_runs([write_results(tmp_path / "one", values)])
    assert run.domain("code") is None
    assert run.average() is None
    assert run.domain("law") is not None
    shown = scores(tmp_path / "one")
    assert shown.exit_code == 0
    assert "no average of one without all twelve" in shown.output


def test_an_unknown_standard_error_stays_unknown(tmp_path: Path) -> None:
    write_results(tmp_path / "one", {"medqa": 0.2}, stderr="N/A")
    write_results(tmp_path / "one", {"medmcqa": 0.4}, name="results_2026-02-02.json")
    (run,) = read_runs([tmp_path / "one"])
    medicine = run.domain("medicine")
    assert medicine is not None
    assert (medicine.value, medicine.stderr) == (pytest.approx(0.3), None)


def test_the_error_of_a_mean_over_subtasks_is_made_of_theirs_and_not_of_what_lm_eval_writes(tmp_path: Path) -> None:
    def result(score: float, stderr: float | str) -> dict[str, Any]:
        return {"vt_score,none": score, "vt_score_stderr,none": stderr, "vt_unparsed,none": 0.0}

    payload = {
        "results": {
            "versatune_lawbench": result(0.5, 0.001),
            "vt_lawbench_1_1": result(0.4, 0.03),
            "vt_lawbench_1_2": result(0.6, 0.04),
            "versatune_legalbench": result(0.5, "N/A"),
            "vt_legalbench_a": result(0.5, 0.02),
            "vt_legalbench_b": result(0.5, "N/A"),
            "versatune_fineval": result(0.5, 0.002),
            "vt_fineval_law": result(0.5, 0.02),
        },
        "group_subtasks": {
            "versatune_lawbench": ["vt_lawbench_1_1", "vt_lawbench_1_2"],
            "versatune_legalbench": ["vt_legalbench_a", "vt_legalbench_b"],
            "versatune_fineval": ["vt_fineval_law"],
        },
        "config": {"limit": None},
    }
    (tmp_path / "results_1.json").write_text(json.dumps(payload))
    (run,) = read_runs([tmp_path])
    errors = {name: score.stderr for name, score in run.benchmarks.items()}
    assert errors == {"lawbench": pytest.approx(0.025), "legalbench": None, "fineval": 0.002}


def test_relative_gains_by_hand() -> None:
    ours = Run("ours", dict.fromkeys(BENCHMARKS, Score(0.45, 0.012)))
    theirs = Run("theirs", dict.fromkeys(BENCHMARKS, Score(0.36, 0.012)))
    gain = relative_gain(ours, theirs)
    error = 0.012 / math.sqrt(12)
    assert gain.value == pytest.approx(0.25)
    assert gain.stderr == pytest.approx(math.sqrt((error / 0.36) ** 2 + (0.45 * error / 0.36**2) ** 2))
    assert gain.stderr is not None
    mean = mean_gain([gain, Gain("a", "b", 0.05, [("a", gain.stderr)])])
    assert mean.value == pytest.approx(0.15)
    assert mean.stderr == pytest.approx(gain.stderr / math.sqrt(2))
    assert relative_gain(ours, ours).stderr == pytest.approx(0)
    assert mean_gain([gain, Gain("a", "b", 0.05, None)]).stderr is None
    with pytest.raises(VersaTuneError, match="half lacks legalbench, lawbench, medmcqa, fin"):
        relative_gain(Run("half", {"medqa": Score(0.5)}), theirs)
    with pytest.raises(VersaTuneError, match="is zero"):
        relative_gain(ours, Run("nothing", dict.fromkeys(BENCHMARKS, Score(0.0))))


def test_the_command_writes_table_json_csv_and_picture(tmp_path: Path) -> None:
    write_results(tmp_path / "versatune", all_at(0.5), unparsed=0.25, limit=10)
    write_results(tmp_path / "uniform", all_at(0.4), limit=10)
    files = {kind: tmp_path / f"scores.{kind}" for kind in ("json", "csv", "png")}
    shown = scores(
        *(tmp_path / "versatune", tmp_path / "uniform", "--gain", "versatune", "uniform"),
        *("--json", files["json"], "--csv", files["csv"], "--plot", files["png"]),
    )
    assert shown.exit_code == 0, shown.output
    assert "50.00 ± 1.00 (25.0)*" in shown.output
    assert "40.00 ± 1.00 (0.0)*" in shown.output
    assert "*: limited, or fewer rows than the test set" in shown.output
    assert "relative gain, mean of 1 model: +25.00" in shown.output
    payload = json.loads(files["json"].read_text())
    assert payload["runs"]["versatune"]["domains"]["law"]["value"] == 0.5
    assert payload["mean_relative_gain"]["gain"] == pytest.approx(0.25)
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    with files["csv"].open() as file:
        rows = {(row["model"], row["figure"]): row for row in csv.DictReader(file)}
    law, gain, mean = rows["versatune", "domain:law"], rows["versatune", "gain"], rows["", "mean gain"]
    assert len(rows) == 2 * (12 + 6 + 1) + 2
    assert [float(law[column]) for column in ("percent", "stderr", "unparsed")] == pytest.approx([50, 0.5**0.5, 25])
    assert [rows[model, "average"]["partial"] for model in ("versatune", "uniform")] == ["1", "1"]
    assert gain["over"] == "uniform"
    assert float(gain["percent"]) == float(mean["percent"]) == pytest.approx(25)
    assert float(gain["stderr"]) / 100 == pytest.approx(payload["relative_gains"][0]["stderr"], abs=1e-7)


def test_a_table_of_ours_is_read_again_with_all_that_it_says(tmp_path: Path) -> None:
    write_results(tmp_path / "one", {**all_at(0.5), "medqa": 1 / 3}, unparsed=0.25, limit=3)
    write_results(tmp_path / "two", {"medqa": 0.4}, stderr="N/A")
    table = tmp_path / "scores.csv"
    assert scores(tmp_path / "one", tmp_path / "two", "--csv", table).exit_code == 0
    runs = read_runs([tmp_path / "one", tmp_path / "two"])
    for run, again in zip(runs, read_runs([table]), strict=True):
        assert (run.name, list(run.benchmarks)) == (again.name, list(again.benchmarks))
        assert {name: found.digest for name, found in again.settings.items()} == {
            name: found.digest for name, found in run.settings.items()
        }
        for name, score in run.benchmarks.items():
            assert asdict(again.benchmarks[name]) == pytest.approx(asdict(score), abs=1e-8)


def test_published_figures_stand_beside_ones_own(tmp_path: Path) -> None:
    table = tmp_path / "paper.csv"
    table.write_text("model,medqa,medmcqa\nLLaMA-3-8B,50,40.5\n")
    shown = scores(write_results(tmp_path / "mine", {"medqa": 0.3, "medmcqa": 0.3}), table)
    assert shown.exit_code == 0
    assert "45.25" in shown.output
    assert "30.00 ± 0.71 (0.0)" in shown.output


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "model,medqa\nx,150\n", "line 2: medqa is '150'; write percent"),
        ("a.csv", "model,medqa\nx,much\n", "line 2: medqa is 'much'"),
        ("a.csv", "model,poetry\nx,5\n", "unknown columns poetry"),
        ("a.csv", "name,medqa\nx,5\n", "needs a column `model`"),
        ("a.csv", "model,medqa\nx,5,6\n", "line 2: more cells than columns"),
        ("a.csv", f"{FIGURES}\nx,medqa,,5,much,,0\n", "line 2: stderr of medqa is 'much'"),
        ("a.csv", f"{FIGURES}\nx,medqa,,,,,0\n", "line 2: medqa has no percent"),
        ("results_1.json", '{"results": {}', "not a result file of lm-eval"),
        ("results_1.json", '{"results": {}, "config": {"limit": null}}', "not a result file of lm-eval"),
        (
            "results_1.json",
            '{"results": {}, "group_subtasks": {}, "config": {"limit": null}}',
            "none of our benchmarks is in it",
        ),
        (
            "results_1.json",
            '{"results": {"versatune_medqa": {"acc,none": 1}}, "group_subtasks": {}, "config": {"limit": null}}',
            "has no vt_score",
        ),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    shown = scores(tmp_path / name)
    assert shown.exit_code == 2
    assert message in shown.output


def test_empty_directories_equal_names_and_unknown_gains(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no results of lm-eval" in scores(tmp_path / "empty").output
    one = write_results(tmp_path / "a" / "run", {"medqa": 0.5})
    two = write_results(tmp_path / "b" / "run", {"medqa": 0.5})
    assert "several runs are named run" in scores(one, two).output
    assert "--gain names other" in scores(one, "--gain", "run", "other").output


def test_a_baseline_that_gains_share_counts_as_a_whole(tmp_path: Path) -> None:
    for name, value in (("a", 0.45), ("b", 0.45), ("base", 0.36)):
        write_results(tmp_path / name, all_at(value), stderr=0.012)
    written = tmp_path / "scores.json"
    runs = (tmp_path / name for name in ("a", "b", "base"))
    shown = scores(*runs, "--gain", "a", "base", "--gain", "b", "base", "--json", written)
    assert shown.exit_code == 0, shown.output
    assert "mean of 2 models: +25.00 ± 1.38 %" in shown.output
    stderr = json.loads(written.read_text())["mean_relative_gain"]["stderr"]
    assert stderr == pytest.approx(0.01382, abs=5e-6)
    draw = random.Random(0)
    error = 0.012 / math.sqrt(12)
    drawn = []
    for _ in range(20_000):
        base = draw.gauss(0.36, error)
        drawn.append((draw.gauss(0.45, error) + draw.gauss(0.45, error)) / 2 / base - 1)
    assert statistics.stdev(drawn) == pytest.approx(stderr, rel=0.05)


def test_several_models_in_one_directory_are_not_one_run(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_results(results, all_at(0.5), model="org/A")
    write_results(results, {"medqa": 0.1}, model="org/B", name="results_2026-02-02.json")
    shown = scores(results)
    assert shown.exit_code == 2
    printed = " ".join(shown.output.split())
    assert "several models (org/A, org/B); give one directory for each" in printed
    assert f"axolotl versatune scores {results}/org__A {results}/org__B" in printed
    apart = scores(results / "org__A", results / "org__B")
    assert apart.exit_code == 0, apart.output
    assert "org__A" in apart.output


@pytest.mark.parametrize(("first", "second", "refused"), [(None, None, False), ("m", "m", False), ("m", None, True)])
def test_calls_for_one_model_make_one_run(tmp_path: Path, first: str | None, second: str | None, refused: bool) -> None:
    write_results(tmp_path / "one", {"medqa": 0.5}, model=first)
    write_results(tmp_path / "one", {"medmcqa": 0.3}, model=second, name="results_2026-02-02.json")
    shown = scores(tmp_path / "one")
    assert shown.exit_code == 2 * refused, shown.output
    if refused:
        assert "several models (m, without a name); give one directory for each" in shown.output
        assert "axolotl versatune scores" not in shown.output
    else:
        assert "40.00 ± 0.71" in shown.output


@pytest.mark.parametrize(
    ("benchmark", "few"), [("legalbench", 710), ("scieval", 1441), ("medmcqa", 2815), ("medqa", 1272)]
)
def test_fewer_rows_than_the_test_set_are_marked(tmp_path: Path, benchmark: str, few: int) -> None:
    task = f"versatune_{benchmark}"
    write_results(tmp_path / "few", {benchmark: 0.5}, rows={task: few})
    write_results(tmp_path / "all", {benchmark: 0.4}, rows={task: BENCHMARKS[benchmark].rows})
    shown = scores(tmp_path / "few", tmp_path / "all")
    assert shown.exit_code == 0, shown.output
    assert "50.00 ± 1.00 (0.0)*" in shown.output
    assert "40.00 ± 1.00 (0.0)*" not in shown.output
    assert "*: limited, or fewer rows than the test set" in shown.output
    assert "*:" not in scores(tmp_path / "all").output


def test_the_rows_of_sub_tasks_are_counted_together(tmp_path: Path) -> None:
    leaves = {"vt_mmlu_sci_astronomy": 152, "vt_mmlu_sci_college_physics": 102}
    result = {"vt_score,none": 0.5, "vt_score_stderr,none": 0.01, "vt_unparsed,none": 0.0}
    for name, further in (("few", 2351), ("all", 2352)):
        rows = leaves | {"vt_mmlu_sci_others": further}
        payload = {
            "results": {"versatune_mmlu_sci": result},
            "group_subtasks": {"versatune_mmlu_sci": list(rows)},
            "n-samples": {task: {"original": count, "effective": count} for task, count in rows.items()},
            "config": {"limit": None},
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(payload))
    few, whole = read_runs([tmp_path / "few.json", tmp_path / "all.json"])
    assert few.benchmarks["mmlu_sci"].limited
    assert not whole.benchmarks["mmlu_sci"].limited


def test_the_two_variants_in_one_directory_are_two_runs(tmp_path: Path) -> None:
    home = write_results(tmp_path / "mine", all_at(0.2))
    write_results(home, all_at(0.6), top="versatune-chat_", template="t", name="results_2026-02-02.json")
    plain, chat = read_runs([home])
    assert [(run.name, run.average().value) for run in (plain, chat) if (run.average())] == [  # type: ignore[union-attr]
        ("mine", pytest.approx(0.2)),
        ("mine-chat", pytest.approx(0.6)),
    ]
    shown = scores(home, "--csv", tmp_path / "s.csv", "--json", tmp_path / "s.json")
    assert shown.exit_code == 0, shown.output
    assert "†: mine-chat was measured under other settings than mine" in shown.output
    assert "task is versatune-chat_medqa, but versatune_medqa in mine" in " ".join(shown.output.split())
    gained = scores(home, "--gain", "mine-chat", "mine")
    assert gained.exit_code == 2
    assert "no gain of mine-chat over mine, which were measured under different settings" in gained.output
    again = scores(tmp_path / "s.csv")
    assert "mine-chat" in again.output
    assert again.output.count("†") == shown.output.count("†")
    # Of the same variant nothing differs.
    other = write_results(tmp_path / "base", all_at(0.3), top="versatune-chat_", template="t")
    assert scores(home, other, "--gain", "mine-chat", "base-chat").exit_code == 0


def test_one_file_that_holds_both_variants_is_two_runs(tmp_path: Path) -> None:
    home = write_results(tmp_path / "mine", {"medqa": 0.2})
    write_results(tmp_path / "other", {"medqa": 0.6}, top="versatune-chat_")
    (file,) = home.rglob("results*.json")
    (second,) = (tmp_path / "other").rglob("results*.json")
    payload = json.loads(file.read_text())
    payload["results"] |= json.loads(second.read_text())["results"]
    file.write_text(json.dumps(payload))
    assert {run.name: run.benchmarks["medqa"].value for run in read_runs([home])} == {"mine": 0.2, "mine-chat": 0.6}


PLAIN_FITS = "if the model has a chat template, the tasks for it are `--tasks 'versatune-chat_*' --apply_chat_template`"


@pytest.mark.parametrize(
    ("top", "template", "unparsed", "messages"),
    [
        ("versatune_", None, 0.04, []),
        ("versatune_", None, 0.3, ["medqa 30 %, scieval 30 %", PLAIN_FITS]),
        ("versatune_", "t", 0.0, ["scieval: a chat template, with tasks for base models; for such a model: `--tasks"]),
        ("versatune_", "t", 0.3, ["scieval 30 %", "scieval: a chat template, with tasks for base models"]),
        ("versatune-chat_", "t", 0.04, []),
        ("versatune-chat_", "t", 0.3, ["scieval 30 %", "a chain of thought that is cut off has no answer"]),
        ("versatune-chat_", None, 0.0, ["medqa, scieval: tasks for chat models without a template; add --apply_"]),
    ],
)
def test_unread_answers_and_tasks_that_do_not_fit_are_told(
    tmp_path: Path, top: str, template: str | None, unparsed: float, messages: list[str]
) -> None:
    home = write_results(tmp_path / "m", {"scieval": 0.2, "medqa": 0.2}, unparsed=unparsed, top=top, template=template)
    shown = scores(home, "--json", tmp_path / "s.json")
    warned = json.loads((tmp_path / "s.json").read_text())["runs"]
    ((name, run),) = warned.items()
    assert [wanted for wanted in messages if not any(wanted in line for line in run["warnings"])] == []
    assert len(run["warnings"]) == len(messages)
    assert all(line.startswith(f"{name}: ") and line in shown.output for line in run["warnings"])


def test_which_rows_were_scored_is_told_and_other_ones_are_another_setting(tmp_path: Path) -> None:
    hub = {"repository": "a/b", "revision": "1f", "rows": "0123456789abcdef"}
    local = {"folder": "/data", "rows": "0123456789abcdef"}
    for name, source in (("hub", hub), ("local", local), ("less", local | {"rows": "fedcba9876543210"})):
        write_results(tmp_path / name, {"medqa": 0.2}, source=source)
    shown = scores(tmp_path / "hub", tmp_path / "local", tmp_path / "less", "--csv", tmp_path / "s.csv")
    assert "rows of hub: a/b@1f (medqa 01234567)" in shown.output
    assert "rows of local: /data (medqa 01234567)" in shown.output
    assert "rows of less: /data (medqa fedcba98)" in shown.output
    assert "†: less was measured under other settings than hub" in shown.output
    assert "†: local" not in shown.output
    assert 'dataset_kwargs.source.rows is "fedcba9876543210", but "0123456789abcdef" in hub' in shown.output
    assert "rows of less: /data (medqa fedcba98)" in scores(tmp_path / "s.csv").output


def test_the_table_stands_before_a_gain_that_cannot_be_had(tmp_path: Path) -> None:
    write_results(tmp_path / "whole", all_at(0.5))
    write_results(tmp_path / "part", {name: 0.4 for name in BENCHMARKS if name not in ("mbpp", "fineval")})
    gains = ("--gain", "whole", "part", "--gain", "part", "whole", "--gain", "whole", "whole")
    shown = scores(tmp_path / "whole", tmp_path / "part", *gains, "--csv", tmp_path / "s.csv")
    assert shown.exit_code == 2
    said = "which is over the average of all twelve benchmarks: part lacks fineval, mbpp; run these, too"
    assert f"no gain of whole over part, {said}" in shown.output
    assert f"no gain of part over whole, {said}" in shown.output
    assert shown.output.index("50.00 ± 1.00") < shown.output.index("no gain of")
    assert not (tmp_path / "s.csv").exists()


def test_runs_of_some_benchmarks_are_drawn_and_those_of_no_domain_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    write_results(tmp_path / "half", {"medqa": 0.5, "fineval": 0.5})
    write_results(tmp_path / "more", {"medqa": 0.5, "medmcqa": 0.5})
    refused = scores(tmp_path / "half", "--csv", tmp_path / "new" / "s.csv", "--plot", tmp_path / "new" / "s.png")
    assert refused.exit_code == 2
    assert "50.00 ± 1.00" in refused.output
    assert "half lacks legalbench, lawbench, medmcqa, financeiq, scieval" in refused.output
    assert not (tmp_path / "new").exists()
    drawn = scores(tmp_path / "half", tmp_path / "more", "--plot", tmp_path / "new" / "s.png")
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "new" / "s.png").read_bytes().startswith(b"\x89PNG")
