"""Training runs that are killed, or run out of disk, anywhere; started again, they end as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import QUIET, Axolotl, Tiny
from tests.helpers.tiny import write_model
from tests.helpers.under_fire import KINDS, LIMIT, SECTION, STEPS, Campaign, fire_config, outcome, run_campaign, told
from versatune_plugin.training.checkpoint import last_complete


@pytest.fixture(scope="module")
def calm(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    """The undisturbed run."""
    folder = tmp_path_factory.mktemp("calm")
    model = write_model(folder / "model", dropout=0.1)
    campaign = Campaign(axolotl, fire_config(tiny, folder / "out", model), folder)
    finished = campaign.start()
    assert finished.status == 0, finished.output
    return campaign


def another(calm: Campaign, folder: Path, **changes: Any) -> Campaign:
    return Campaign(calm.axolotl, {**calm.cfg, "output_dir": str(folder / "out"), **changes}, folder)


def complete(campaign: Campaign) -> str | None:
    found = last_complete(campaign.out)
    return found and found.name


# Where each process is killed, and the last complete checkpoint then: each goes on from that of the one before.
AIMS = [
    ("prepared:half@2", None),
    ("record:half@3", None),
    ("optimizer.pt:half@1", None),
    ("versatune_state.json:renaming@2", "checkpoint-3"),
    ("measure:after@1", "checkpoint-3"),
    ("trainer_state.json:half@2", "checkpoint-6"),
    ("rotation:half@1", "checkpoint-9"),
    ("versatune.jsonl:renaming@1", "checkpoint-9"),
    ("model.safetensors:half@3", "checkpoint-15"),
    ("final-model:half@1", "checkpoint-20"),
]


def test_a_run_killed_ten_times_is_the_undisturbed_run(calm: Campaign, tmp_path: Path) -> None:
    campaign = another(calm, tmp_path, dataset_prepared_path=str(tmp_path / "prepared"))
    outputs = []
    for aim, kept in AIMS:
        finished = campaign.start(aim)
        assert finished.status == -9, (aim, finished.output)
        assert complete(campaign) == kept, aim
        outputs.append(finished.output)
    assert "rows whose preparation was stopped" in outputs[1]
    assert "checkpoint-3 is not resumed from: trainer_state.json, which is written last, is not there" in outputs[3]
    assert "checkpoint-9 is not resumed from: trainer_state.json is cut off" in outputs[6]
    finished = campaign.start()
    assert finished.status == 0, finished.output
    assert outcome(campaign.out) == outcome(calm.out)
    # Two steps of the last process would be two lines of losses.
    assert "'loss'" not in finished.output


@pytest.mark.parametrize(
    ("changes", "section"),
    [
        pytest.param({"max_steps": 12}, {}, id="where an epoch ends"),
        pytest.param({}, {"max_passes": 0.4}, id="where a domain is used up"),
        pytest.param({**KINDS["packed"], "max_steps": 6}, {}, id="packed"),
    ],
)
def test_a_run_stopped_after_its_last_step_trains_no_more(
    calm: Campaign, tmp_path: Path, changes: dict[str, Any], section: dict[str, Any]
) -> None:
    campaign = another(calm, tmp_path, **changes, versatune={**SECTION, **section})
    assert campaign.start("final-model:after@1").status == -9
    before = outcome(campaign.out)
    (campaign.out / "model.safetensors").unlink()
    finished = campaign.start()
    assert finished.status == 0, finished.output
    assert "'loss'" not in finished.output
    assert outcome(campaign.out) == before
    assert [line["kind"] for line in before["record"]].count("end") == 1


def test_a_run_stopped_before_its_last_removal_keeps_no_checkpoint_too_many(calm: Campaign, tmp_path: Path) -> None:
    campaign = another(calm, tmp_path)
    assert campaign.start("rotation:before@5").status == -9
    assert len(list(campaign.out.glob("checkpoint-*"))) == LIMIT + 1
    assert complete(campaign) == f"checkpoint-{STEPS}"
    finished = campaign.start()
    assert finished.status == 0, finished.output
    assert outcome(campaign.out) == outcome(calm.out)


def test_torn_checkpoints_are_named_passed_over_and_the_first_to_go(calm: Campaign, tmp_path: Path) -> None:
    campaign = another(calm, tmp_path)
    shutil.copytree(calm.out, campaign.out)
    newest, stray = campaign.out / "checkpoint-20", campaign.out / "checkpoint-19"
    cut = newest / "optimizer.pt"
    os.truncate(cut, cut.stat().st_size // 2)
    shutil.copytree(campaign.out / "checkpoint-18", stray)
    (stray / "rng_state.pth").unlink()
    explicit = another(calm, tmp_path, resume_from_checkpoint=str(newest)).start()
    assert explicit.status == 2
    assert f"{newest} was not saved to its end: optimizer.pt is cut off or damaged" in explicit.output
    assert f"Resume from {campaign.out / 'checkpoint-18'}, the newest complete one" in explicit.output
    finished = campaign.start()
    assert finished.status == 0, finished.output
    assert "checkpoint-20 is not resumed from: optimizer.pt is cut off" in finished.output
    assert "checkpoint-19 is not resumed from: rng_state.pth is not there any more" in finished.output
    # With `save_total_limit: 2` one had to go: the torn one, though the complete one is older.
    assert outcome(campaign.out) == outcome(calm.out)


def test_a_run_goes_on_from_the_newest_checkpoint_without_a_flipped_bit(calm: Campaign, tmp_path: Path) -> None:
    campaign = another(calm, tmp_path)
    shutil.copytree(calm.out, campaign.out)
    damaged = campaign.out / "checkpoint-20" / "optimizer.pt"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    explicit = another(calm, tmp_path, resume_from_checkpoint=str(damaged.parent)).start()
    assert explicit.status == 2
    assert f"{damaged.parent} cannot be resumed from: optimizer.pt is damaged" in explicit.output
    assert f"Resume from {campaign.out / 'checkpoint-18'}, the newest undamaged one" in explicit.output
    finished = campaign.start()
    assert finished.status == 0, finished.output
    assert f"{damaged.parent} is not resumed from: optimizer.pt is damaged" in finished.output
    assert outcome(campaign.out) == outcome(calm.out)


def test_a_checkpoint_written_over_is_complete_only_at_the_end(calm: Campaign, tmp_path: Path) -> None:
    campaign = another(calm, tmp_path)
    shutil.copytree(calm.out, campaign.out)
    again = another(calm, tmp_path, resume_from_checkpoint=str(campaign.out / "checkpoint-18"))
    killed = again.start("optimizer.pt:before@1")
    assert killed.status == -9
    assert (campaign.out / "checkpoint-20" / "versatune_state.json").exists()
    assert complete(campaign) == "checkpoint-18"


def test_no_room_left_is_told_and_leaves_the_last_checkpoint(calm: Campaign, tmp_path: Path) -> None:
    campaign = another(calm, tmp_path)
    # Where no room is left, what is told of it, and the last complete checkpoint then.
    for place, told_of, kept in (
        ("optimizer.pt@2", "checkpoint-6 could not be saved", "checkpoint-3"),
        ("versatune_state.json@2", "checkpoint-9 could not be saved", "checkpoint-6"),
        ("record@3", "versatune.jsonl: cannot be written", "checkpoint-9"),
    ):
        failed = campaign.start(limit=place)
        assert failed.status == 2, place
        assert f"versatune: {campaign.out}/{told_of}" in failed.output
        assert "MiB free there" in failed.output
        assert complete(campaign) == kept
        if "checkpoint" in told_of:
            assert f"{campaign.out}/{kept} is complete: free space there" in failed.output
    finished = campaign.start()
    assert finished.status == 0, finished.output
    assert outcome(campaign.out) == outcome(calm.out)


def test_a_place_that_cannot_be_written_is_told_before_anything_is_loaded(calm: Campaign, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = another(calm, tmp_path, output_dir=str(tmp_path / "file" / "out")).start()
    assert refused.status == 2
    assert f"versatune: {tmp_path}/file/out cannot be written (Not a directory" in refused.output
    assert "so nothing was started" in refused.output


def test_only_the_model_saved(calm: Campaign, tmp_path: Path) -> None:
    campaign = another(calm, tmp_path, save_only_model=True, max_steps=4)
    finished = campaign.start()
    assert finished.status == 0, finished.output
    assert "warning: `save_only_model: true`: no checkpoint of this run can be resumed from" in finished.output
    again = campaign.start()
    assert again.status == 2
    assert "checkpoint-4 has no versatune_state.json" in again.output
    assert "saved without the plugin or with `save_only_model: true`. Start a new run" in again.output


def test_the_best_model_is_the_same_after_a_kill(calm: Campaign, tmp_path: Path) -> None:
    evaluation = {
        "val_set_size": 0.2,
        "eval_strategy": "steps",
        "eval_steps": 3,
        "load_best_model_at_end": True,
        # Best is worst, so that it is not the last.
        "metric_for_best_model": "loss",
        "greater_is_better": True,
        "dataset_prepared_path": str(tmp_path / "prepared"),
    }
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    one, other = another(calm, whole, **evaluation), another(calm, killed, **evaluation)
    finished = one.start()
    assert finished.status == 0, finished.output
    assert other.start("trainer_state.json:half@3").status == -9
    finished = other.start()
    assert finished.status == 0, finished.output
    best = json.loads((one.out / f"checkpoint-{STEPS}" / "trainer_state.json").read_text())["best_global_step"]
    assert best < STEPS
    assert f"checkpoint-{best}" in {path.name for path in other.out.iterdir()}
    found, wanted = outcome(other.out), outcome(one.out)
    assert found == wanted
    assert found["model"]["model.safetensors"] != found["last"]["model.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_thirty_random_kills(axolotl: Axolotl, tiny: Tiny, tmp_path: Path, kind: str) -> None:
    kills, runs = run_campaign(axolotl, tiny, tmp_path, 30, 0, kind)
    print(told(kills, runs))
    assert len(kills) == 30


NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
# A disk of four megabytes that is full after some checkpoints; then with room; then the same place, read-only.
ON_A_SMALL_DISK = """
set -e
mount -t tmpfs -o size=4m tmpfs "$1"
head -c "$4" /dev/zero > "$1/ballast"
status=0; "$2" -m axolotl.cli.train "$3" > full.log 2>&1 || status=$?
echo $status > full.status
rm "$1/ballast"
"$2" -m axolotl.cli.train "$3" > again.log 2>&1
cp -r "$1/out" result
mount -o remount,ro "$1"
status=0; "$2" -m axolotl.cli.train "$3" > readonly.log 2>&1 || status=$?
echo $status > readonly.status
"""


@pytest.mark.slow
def test_a_disk_that_is_full_and_one_that_is_read_only(calm: Campaign, tmp_path: Path) -> None:
    probe = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"mounting in a namespace is not permitted here: {probe.stderr.decode()}")
    disk = tmp_path / "disk"
    disk.mkdir()
    cfg = {**calm.cfg, "output_dir": str(disk / "out")}
    path = tmp_path / "cfg.yml"
    path.write_text(yaml.safe_dump(cfg))
    size = sum(file.stat().st_size for file in (calm.out / "checkpoint-18").iterdir())
    ballast = 4 * 2**20 - int(1.5 * size)
    command = [*NAMESPACE, "sh", "-c", ON_A_SMALL_DISK, "sh", str(disk), sys.executable, str(path), str(ballast)]
    env = {**os.environ, **QUIET, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(command, cwd=tmp_path, env=env, check=True)
    full, readonly = ((tmp_path / f"{name}.log").read_text() for name in ("full", "readonly"))
    assert (tmp_path / "full.status").read_text() == "1\n"
    assert f"versatune: {disk}/out/checkpoint-6 could not be saved" in full
    assert f"0.0 MiB free there), and will not be resumed from. {disk}/out/checkpoint-3 is complete" in full
    assert outcome(tmp_path / "result") == outcome(calm.out)
    assert (tmp_path / "readonly.status").read_text() == "1\n"
    assert f"versatune: {disk}/out cannot be written (Read-only file system" in readonly
