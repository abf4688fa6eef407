"""Campaigns through the command line: done here, by several, killed, resumed; what they compare is what was trained."""

from __future__ import annotations

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Axolotl, Finished, Tiny
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.comparing.campaign import read_campaign, result_file, run_folder

SECTION = {
    "mixture": "versatune",
    "sigma": 1.0,
    "knowledge": {"law": 0.5, "code": 0.3, "medicine": 0.2},
    "reference": {"law": 1.0, "code": 2.0, "medicine": 0.5},
    "heldout": 4,
    "update_steps": 2,
    "floor": 0.02,
}
NAMES = ("code", "law", "medicine")
MIXTURES = "versatune(sigma=4), uniform, again=uniform, held=replay(of='versatune(sigma=4)')"


def written(tiny: Tiny, folder: Path, **changes: Any) -> Path:
    cfg = tiny.config(folder / "unused", **{"max_steps": 6, "learning_rate": 5e-3, "versatune": SECTION, **changes})
    file = folder / "cfg.yml"
    file.write_text(yaml.safe_dump(cfg, sort_keys=False))
    return file


def compare(axolotl: Axolotl, folder: Path, *argv: object, env: dict[str, str] | None = None) -> Finished:
    return axolotl.run("axolotl.cli.main", "versatune", "compare", *map(str, argv), cwd=folder, env=env)


def planned(
    axolotl: Axolotl, tiny: Tiny, folder: Path, *more: object, mixtures: str = MIXTURES, **changes: Any
) -> Path:
    argv = ("--mixtures", mixtures, "--seeds", 2, "--first", 7, "--test-rows", 5, "--out", "out", *more)
    plan = compare(axolotl, folder, "plan", written(tiny, folder, **changes), *argv)
    assert plan.status == 0, plan.output
    return folder / "out"


def figures(out: Path) -> dict[str, Any]:
    """What every run came to, without the wall clock."""
    found = {}
    for job in read_campaign(out).jobs:
        result = json.loads(result_file(out, job.folder).read_text())
        del result["wall_seconds"]
        result["cost"] = {name: value for name, value in result["cost"].items() if not name.endswith("_seconds")}
        found[job.folder] = result
    return found


@pytest.fixture(scope="module")
def done(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A campaign of four mixtures and two seeds, done undisturbed."""
    out = planned(axolotl, tiny, tmp_path_factory.mktemp("done"))
    work = compare(axolotl, out.parent, "work", "out")
    assert work.status == 0, work.output
    return out


def test_the_same_start_rows_and_budget_and_other_mixtures(done: Path) -> None:
    found = figures(done)
    assert len(found) == 8
    campaign = read_campaign(done)
    for seed in (7, 8):
        own = {job.mixture: job.folder for job in campaign.jobs if job.seed == seed}
        starts = [found[folder]["start"] for folder in own.values()]
        # The tiny model is loaded, not drawn: its start is that of every seed, and the test rows are the same.
        assert all(start == starts[0] for start in starts)
        assert {found[folder]["steps"] for folder in own.values()} == {6}
        assert len({sum(found[folder]["cost"]["rows"].values()) for folder in own.values()}) == 1
        # One mixture under two names is one run twice, to the last bit.
        assert found[own["uniform"]]["end"] == found[own["again"]]["end"]
        assert found[own["uniform"]]["end"] != found[own["versatune(sigma=4)"]]["end"]
        records = {name: read_record(run_folder(done, folder)) for name, folder in own.items()}
        assert {record[0]["seed"] for record in records.values()} == {seed}
        # Which rows are kept out is decided by the user's own seed, 7.
        assert {record[0]["split_seed"] for record in records.values()} == {7}
        assert {tuple(record[0]["test_rows"].values()) for record in records.values()} == {(5, 5, 5)}
        moved = [line["weights"] for line in records["versatune(sigma=4)"] if "weights" in line]
        assert moved[-1] != moved[0]
        held = records["held"][0]["weights"]
        before = records["versatune(sigma=4)"]
        weights = [
            next(w["weights"] for w in reversed(before) if w.get("weights") and w["step"] <= s)
            if s
            else before[0]["weights"]
            for s in range(6)
        ]
        for name in NAMES:
            assert held[name] == pytest.approx(sum(one[name] for one in weights) / 6, abs=1e-9)
    assert found[own["uniform"]]["end"] != found[f"uniform-{7}"]["end"]


def test_what_is_compared_is_what_the_records_say(axolotl: Axolotl, done: Path) -> None:
    collected = compare(axolotl, done.parent, "collect", "out")
    assert collected.status == 0, collected.output
    payload = json.loads((done / "comparison.json").read_text())
    assert payload["question"]["baseline"] == "uniform"
    for run in payload["runs"]:
        folder = next(
            j.folder for j in read_campaign(done).jobs if (j.mixture, j.seed) == (run["mixture"], run["seed"])
        )
        tests = [line for line in read_record(run_folder(done, folder)) if line["kind"] == "test"]
        assert run["end"]["nats_per_token"] == tests[1]["loss"]
        assert run["start"]["bits_per_byte"] == tests[0]["bits_per_byte"]
    assert "again: no difference shown" in " ".join(collected.output.split())
    assert (done / "contrasts.csv").is_file()


def test_models_are_gone_and_records_are_kept(done: Path) -> None:
    for job in read_campaign(done).jobs:
        assert [path.name for path in run_folder(done, job.folder).iterdir()] == ["versatune.jsonl"]


def test_a_finished_campaign_is_left_as_it_is(axolotl: Axolotl, done: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.glob("jobs/*/*") if path.name != ".lock"}
    work = compare(axolotl, done.parent, "work", "out")
    assert work.status == 0, work.output
    assert {path: path.stat().st_mtime_ns for path in done.glob("jobs/*/*") if path.name != ".lock"} == before


def test_killed_five_times_it_comes_to_the_same(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, done: Path) -> None:
    out = planned(axolotl, tiny, tmp_path)
    draw, finished_at = random.Random(5), []
    for _ in range(5):
        group = tmp_path / "group"
        group.unlink(missing_ok=True)

        def kill(group: Path = group, after: float = draw.uniform(1.0, 9.0)) -> None:
            while not group.exists() or not group.read_text():
                time.sleep(0.05)
            time.sleep(after)
            try:
                os.killpg(int(group.read_text()), signal.SIGKILL)
            except ProcessLookupError:
                return

        killer = threading.Thread(target=kill)
        killer.start()
        compare(axolotl, tmp_path, "work", "out", env={"PROCESS_GROUP": str(group)})
        killer.join()
        finished_at.append({path: path.stat().st_mtime_ns for path in out.glob("jobs/*/result.json")})
    work = compare(axolotl, tmp_path, "work", "out")
    assert work.status == 0, work.output
    for known in finished_at:
        assert all(path.stat().st_mtime_ns == at for path, at in known.items()), "a finished run was repeated"
    assert figures(out) == figures(done)


def test_two_at_once_in_any_order_come_to_the_same(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, done: Path) -> None:
    out = planned(axolotl, tiny, tmp_path)
    commands = (out / "jobs.txt").read_text().splitlines()
    assert len(commands) == 8
    assert all(shlex.split(one)[:3] == ["versatune", "compare", "work"] for one in commands)
    names = [shlex.split(one)[-1] for one in commands]
    random.Random(1).shuffle(names)
    # Those that replay come when what they replay is there, as in a queue that runs the array again.
    refused = compare(axolotl, tmp_path, "work", "out", "--run", "held-7")
    assert refused.status == 2
    assert "held-7: replays versatune-sigma-4" in refused.message
    script = "import sys; from versatune_plugin.cli import versatune; sys.exit(versatune())"
    halves = [names[0::2], names[1::2]]

    def half(of: list[str]) -> None:
        argv = [sys.executable, "-c", script, "compare", "work", str(out)]
        for name in sorted(of, key=lambda name: name.startswith("held")):
            argv += ["--run", name]
        subprocess.run(argv, cwd=tmp_path, check=False, capture_output=True)

    threads = [threading.Thread(target=half, args=(of,)) for of in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = compare(axolotl, tmp_path, "work", "out")
    assert last.status == 0, last.output
    assert figures(out) == figures(done)


def test_done_here_with_a_progress_and_the_tables(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    file = written(tiny, tmp_path)
    argv = (file, "--mixtures", "uniform, random", "--seeds", 1, "--test-rows", 5, "--out", "out", "--target", "law")
    run = compare(axolotl, tmp_path, *argv)
    assert run.status == 0, run.output
    said = " ".join(run.output.split())
    assert "2 mixtures x 1 seed = 2 runs; baseline 'uniform'" in said
    assert "warning: 1 seed can show an effect, but never call one significant" in said
    assert "runs: 2 of 2 (100 %)" in said
    assert "gain of law" in said or "target" in said
    assert run.output.rstrip().endswith("out/runs.csv\n  the report, for a browser, is out/versatune.html")
    assert "Mean loss: effects against the baseline" in (tmp_path / "out" / "versatune.html").read_text()
    again = compare(axolotl, tmp_path, *argv)
    assert again.status == 0, again.output
    assert "2 of them finished already" in " ".join(again.output.split())


def test_each_run_launched_anew_comes_to_the_same(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, done: Path) -> None:
    launcher = f"{sys.executable} -m axolotl.cli.train"
    out = planned(axolotl, tiny, tmp_path, "--launcher", launcher, "--keep-models")
    work = compare(axolotl, tmp_path, "work", "out", "--run", "uniform-8")
    assert work.status == 0, work.output
    one = json.loads(result_file(out, "uniform-8").read_text())
    assert {name: one[name] for name in ("start", "end")} == {
        name: figures(done)["uniform-8"][name] for name in ("start", "end")
    }
    assert (run_folder(out, "uniform-8") / "model.safetensors").is_file()


def test_a_failed_run_is_named_with_what_it_said_and_the_others_are_kept(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path
) -> None:
    out = planned(axolotl, tiny, tmp_path, mixtures="uniform, proportional")
    broken = out / "jobs" / "uniform-8" / "config.yml"
    whole = broken.read_text()
    broken.write_text(whole.replace("test_rows: 5", "test_rows: 26"))
    work = compare(axolotl, tmp_path, "work", "out")
    assert work.status == 2
    assert "1 run of out failed" in work.message
    assert "uniform-8: status 2;" in work.message
    assert "and `test_rows` (26) take 30 of them" in " ".join(work.message.split())
    assert len(list(out.glob("jobs/*/result.json"))) == 3
    collected = compare(axolotl, tmp_path, "collect", "out")
    assert collected.status == 0, collected.output
    assert "warning: not finished, and so not in it: uniform-8" in collected.output
    broken.write_text(whole)
    assert compare(axolotl, tmp_path, "work", "out").status == 0
    assert len(figures(out)) == 4


def test_other_settings_than_those_of_finished_runs_are_refused(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    out = planned(axolotl, tiny, tmp_path, mixtures="uniform, proportional")
    assert compare(axolotl, tmp_path, "work", "out", "--run", "uniform-7").status == 0
    before = (out / "campaign.json").read_bytes()
    argv = ("--mixtures", "uniform, proportional", "--seeds", 2, "--first", 7, "--out", "out", "--test-rows")
    other = compare(axolotl, tmp_path, "plan", written(tiny, tmp_path, learning_rate=1e-4), *argv, 5)
    assert other.status == 2
    assert "uniform-7: learning_rate: 0.005 there, 0.0001 now" in other.message
    assert (out / "campaign.json").read_bytes() == before
    fewer = compare(axolotl, tmp_path, "plan", written(tiny, tmp_path), *argv, 4)
    assert fewer.status == 2
    assert "uniform-7: versatune.test_rows: 5 there, 4 now" in fewer.message
    # More of the same is no other campaign.
    more = ("--mixtures", "uniform, proportional, random", "--seeds", 3, "--first", 7, "--out", "out", "--test-rows", 5)
    assert compare(axolotl, tmp_path, "plan", written(tiny, tmp_path), *more).status == 0
    assert len(read_campaign(out).jobs) == 9


@pytest.mark.parametrize(
    ("mixtures", "said"),
    [
        ("uniform, nosuch", "--mixtures: 'nosuch': this configuration cannot be trained"),
        ("uniform, versatune(sigmaa=2)", "versatune.sigmaa: not an option of the mixture 'versatune'"),
        ("uniform, temperature", "versatune.tau"),
    ],
)
def test_a_mixture_that_cannot_be_trained_is_refused_before_anything_is_written(
    axolotl: Axolotl, tiny: Tiny, tmp_path: Path, mixtures: str, said: str
) -> None:
    plan = compare(axolotl, tmp_path, "plan", written(tiny, tmp_path), "--mixtures", mixtures, "--out", "out")
    assert plan.status == 2
    assert said in plan.message
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_left_alone(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    argv = ("--mixtures", "uniform, proportional", "--out", "out")
    plan = compare(axolotl, tmp_path, "plan", written(tiny, tmp_path), *argv)
    assert plan.status == 2
    assert "out: holds something, and no campaign; choose another --out" in plan.message
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]
