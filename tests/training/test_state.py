"""What a checkpoint's state may hold: what a run wrote is believed; accepted changes go on or say what does not."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.helpers.states import LOSSES, NAMES, VERSATUNE, advanced, live
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.mixtures.observations import Measurement
from versatune_plugin.training.checkpoint import STATE_FILE, TRAINER_STATE, complete, incompleteness, undamaged
from versatune_plugin.training.digests import DIGESTS_FILE, Digesting, damage, digests_of, write_digests
from versatune_plugin.training.run import MixtureRun

STAGES = [{"domains": ["law"], "steps": 3}, {"domains": ["code", "medicine"], "steps": 30, "mixture": "uniform"}]
KINDS: dict[str, dict[str, Any]] = {
    "versatune": VERSATUNE,
    "tokens": {**VERSATUNE, "unit": "tokens"},
    "odm": {"mixture": "odm", "heldout": 4, "samples_per_epoch": 80},
    "skills": {
        "mixture": "skills",
        "reward": "diff",
        "hidden": 3,
        "heldout": 4,
        "update_steps": 3,
        "samples_per_epoch": 80,
    },
    "stages": {"mixture": "stages", "stages": STAGES, "heldout": 4},
    "schedule": {
        "mixture": "schedule",
        "heldout": 4,
        "samples_per_epoch": 80,
        "schedule": [{"step": 0, "weights": LOSSES}, {"step": 3, "weights": dict.fromkeys(NAMES, 1.0)}],
    },
}


def options(kind: str) -> dict[str, Any]:
    """Stages say themselves how long a run is."""
    return {"max_steps": None} if kind == "stages" else {}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint after five steps of each kind."""
    folder = tmp_path_factory.mktemp("saved")
    return {
        kind: advanced(live(section, folder, **options(kind)), 5, folder / kind / "checkpoint-5")
        for kind, section in KINDS.items()
    }


def resumed(section: dict[str, Any], checkpoint: Path, **changes: Any) -> MixtureRun:
    mixture = live(section, checkpoint.parent, **changes)
    mixture.resume(checkpoint)
    return mixture


def next_rows(mixture: MixtureRun, steps: int = 4) -> list[Any]:
    drawn = []
    for _ in range(steps):
        planned = mixture.sampler.plan.advance()
        drawn.append((planned.domains.tolist(), planned.rows.tolist()))
    return drawn


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_run_wrote_is_taken_back(saved: dict[str, Path], kind: str, tmp_path: Path) -> None:
    mixture = resumed(KINDS[kind], saved[kind], **options(kind))
    again = advanced_copy(mixture, tmp_path / "checkpoint-5")
    for name in ("controller", "sampler", "fingerprint"):
        assert again[name] == json.loads((saved[kind] / STATE_FILE).read_text())[name]


def advanced_copy(mixture: MixtureRun, checkpoint: Path) -> dict[str, Any]:
    checkpoint.mkdir()
    mixture.save(checkpoint, 5)
    return dict(json.loads((checkpoint / STATE_FILE).read_text()))


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from leaves(one, (*path, key))


JUNK = [None, True, "x", -1, 1e9, -1e9, 10**30, 0.3, [], {}, [1, 2], {"law": 1}, float("nan"), float("inf"), "DELETED"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_junk_in_any_place_is_refused_or_changes_nothing(
    saved: dict[str, Path], tmp_path: Path, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    state = json.loads((saved[kind] / STATE_FILE).read_text())
    places = [place for place in leaves(state) if place[0] not in ("kind", "schema", "files")]
    place, junk = data.draw(st.sampled_from(places)), data.draw(st.sampled_from(JUNK))
    changed = copy.deepcopy(state)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    if junk == "DELETED":
        del inner[place[-1]]
    else:
        inner[place[-1]] = junk
    checkpoint = tmp_path / "checkpoint-5"
    shutil.rmtree(checkpoint, ignore_errors=True)
    shutil.copytree(saved[kind], checkpoint)
    (checkpoint / STATE_FILE).write_text(json.dumps(changed))
    mixture = live(KINDS[kind], tmp_path, **options(kind))
    with contextlib.suppress(VersaTuneError):
        mixture.resume(checkpoint)
    if mixture._resumed_at is None:
        return
    # A number that a run could have written: the plan goes on, at once and within bounds.
    assert changed == state or place[0] in (
        "controller", "sampler", "measuring_seconds", "split", "fingerprint",
    )  # fmt: skip
    assert len(next_rows(mixture)) == 4


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("controller.weights.law", 5 / 6, "controller.weights sum to 1.5, not to 1"),
        ("controller.weights.law", -0.1, "controller.weights.law: is -0.1, but should be greater than or equal to 0"),
        ("sampler.plan.cursor.law", -3, "sampler.plan.cursor.law: is -3, but should be greater than or equal to 0"),
        ("sampler.plan.cursor.law", 400, "sampler.plan.cursor of law is beyond the"),
        ("sampler.plan.step", 4, "step is 5, sampler.plan.step 4"),
        ("sampler.plan.credit.law", 1e9, "sampler.plan.credit of law is 1e+09, more than any run owes"),
        ("sampler.plan.drawn.law", 3, "rows, but 5 steps of 8 were done"),
        ("step", True, "step: is true, but should be a valid integer"),
        ("controller.weights.poetry", 0.0, "controller.weights is of the domains"),
        ("controller.state", {"x": 1}, "controller.state is none of the mixture 'versatune'"),
        ("controller.previous_loss", {"law": 1.0}, "controller.previous_loss is of the domains ['law']"),
        ("extra", 1, "extra: is not known here"),
    ],
)
def test_what_no_run_could_have_written(
    saved: dict[str, Path], tmp_path: Path, place: str, value: Any, told: str
) -> None:
    checkpoint = tmp_path / "checkpoint-5"
    shutil.copytree(saved["versatune"], checkpoint)
    state = json.loads((checkpoint / STATE_FILE).read_text())
    *outer, last = place.split(".")
    inner = state
    for key in outer:
        inner = inner[key]
    inner[last] = value
    (checkpoint / STATE_FILE).write_text(json.dumps(state))
    with pytest.raises(VersaTuneError) as refused:
        resumed(VERSATUNE, checkpoint)
    assert told in str(refused.value)
    assert f"{checkpoint / STATE_FILE} was not written by a run like this one" in str(refused.value)


def test_another_step_than_the_trainers(saved: dict[str, Path], tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint-5"
    shutil.copytree(saved["versatune"], checkpoint)
    (checkpoint / TRAINER_STATE).write_text(json.dumps({"global_step": 4}))
    with pytest.raises(VersaTuneError, match=r"step is 5, but trainer_state.json says 4"):
        resumed(VERSATUNE, checkpoint)


def test_every_file_deleted_cut_or_with_one_bit_flipped_is_recognised(saved: dict[str, Path], tmp_path: Path) -> None:
    whole = tmp_path / "whole" / "checkpoint-5"
    shutil.copytree(saved["versatune"], whole)
    write_digests(whole, digests_of(whole))
    assert (incompleteness(whole), damage(whole)) == (None, None)
    names = sorted(path.name for path in whole.iterdir())
    assert len(names) == 7
    for name in names:
        for harm in ("deleted", "cut", "flipped"):
            checkpoint = tmp_path / f"{name}.{harm}" / "checkpoint-5"
            shutil.copytree(whole, checkpoint)
            path = checkpoint / name
            content = path.read_bytes()
            if harm == "deleted":
                path.unlink()
            elif harm == "cut":
                path.write_bytes(content[: len(content) // 2])
            else:
                middle = len(content) // 2
                path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
            seen = incompleteness(checkpoint) or damage(checkpoint)
            if name == STATE_FILE and harm == "deleted":
                # As a run without the plugin would have left it.
                assert complete(checkpoint.parent) == []
            elif name == DIGESTS_FILE and harm == "deleted":
                assert seen is None
            else:
                assert seen is not None, (name, harm)
                # A digest that changed accuses the file that it is of.
                assert name in seen or name == DIGESTS_FILE, (name, harm, seen)


def test_a_damaged_checkpoint_is_passed_over_or_refused_by_name(
    saved: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (5, 10, 15):
        shutil.copytree(saved["versatune"], tmp_path / f"checkpoint-{number}")
        write_digests(tmp_path / f"checkpoint-{number}", digests_of(tmp_path / f"checkpoint-{number}"))
    newest = tmp_path / "checkpoint-15"
    assert undamaged(newest, only_this=False) == newest
    optimizer = newest / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-1] + b"?")
    with caplog.at_level(logging.WARNING, "axolotl.versatune"):
        assert undamaged(newest, only_this=False) == tmp_path / "checkpoint-10"
    assert f"{newest} is not resumed from: optimizer.pt is damaged" in caplog.text
    with pytest.raises(VersaTuneError, match=r"optimizer.pt is damaged.*Resume from .*checkpoint-10, the newest und"):
        undamaged(newest, only_this=True)
    for number in (5, 10):
        (tmp_path / f"checkpoint-{number}" / "model.safetensors").write_bytes(b"x" * 850)
    assert undamaged(newest, only_this=False) is None


def test_digests_are_written_between_steps_and_never_into_another_checkpoint(
    saved: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept, removed, rewritten = (tmp_path / f"checkpoint-{number}" for number in (5, 6, 7))
    for checkpoint in (kept, removed, rewritten):
        shutil.copytree(saved["versatune"], checkpoint)
    digesting = Digesting()
    digesting.add([kept, removed, rewritten])
    digesting._thread.submit(int).result()
    # All is read, and nothing is written until the thread that removes checkpoints says so.
    assert not any((checkpoint / DIGESTS_FILE).exists() for checkpoint in (kept, removed, rewritten))
    shutil.rmtree(removed)
    digesting.forget(rewritten)
    (rewritten / "optimizer.pt").write_bytes(b"another training")
    digesting.add([rewritten])
    with caplog.at_level(logging.WARNING, "axolotl.versatune"):
        digesting.write(wait=True)
    assert caplog.text == ""
    assert not removed.exists()
    for checkpoint in (kept, rewritten):
        assert (checkpoint / DIGESTS_FILE).is_file()
        assert damage(checkpoint) is None


def test_a_first_loss_that_is_not_finite_is_saved_and_taken_back(tmp_path: Path) -> None:
    mixture = live(KINDS["skills"], tmp_path)
    first = [np.ones(4) for _ in NAMES]
    first[0][1], first[2][0] = np.nan, np.inf
    mixture.controller.begin(Measurement(np.ones(3), np.ones(3), np.ones(3), 0.0, row_loss=first))
    again = resumed(KINDS["skills"], advanced(mixture, 5, tmp_path / "checkpoint-5"))
    kept = again.controller.state_dict()["first_row_loss"]
    assert [[loss is not None for loss in rows] for rows in kept.values()] == [
        np.isfinite(rows).tolist() for rows in first
    ]


STILL = {"heldout": 4, "samples_per_epoch": 80}
# Kind of the checkpoint, the section that goes on, other changes, and what starts anew (None: nothing is said).
ACCEPTED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str | None]] = {
    "sigma": ("versatune", {**VERSATUNE, "sigma": 0.3}, {}, None),
    "the prior": ("versatune", {**VERSATUNE, "knowledge": LOSSES}, {}, None),
    "reference losses": ("versatune", {**VERSATUNE, "reference": dict.fromkeys(NAMES, 1.5)}, {}, None),
    "a floor": ("versatune", {**VERSATUNE, "floor": 0.3}, {}, None),
    "the update interval": ("versatune", {**VERSATUNE, "update_steps": 4}, {}, None),
    "held-out rows": ("versatune", {**VERSATUNE, "heldout": 6}, {}, None),
    "other rows": ("versatune", VERSATUNE, {"seed": 3}, None),
    "more rows": ("versatune", VERSATUNE, {"size": 60}, None),
    "another mixture": ("versatune", KINDS["odm"], {}, "starts anew from the weights in force: the mixture was"),
    "a mixture that does not move": ("versatune", {**STILL, "mixture": "proportional"}, {}, "starts anew"),
    "from a bandit": ("odm", VERSATUNE, {}, "starts anew"),
    "shares of tokens": ("versatune", {**VERSATUNE, "unit": "tokens"}, {}, "what the domains are owed starts anew"),
    "shares of rows": ("tokens", VERSATUNE, {}, "what the domains are owed starts anew"),
    "held-out rows of skills": ("skills", {**KINDS["skills"], "heldout": 5}, {}, "first losses of held-out rows"),
    "hidden units of skills": ("skills", {**KINDS["skills"], "hidden": 8}, {}, "the scorer's w1 is of the shape"),
    "a schedule": ("schedule", {**KINDS["schedule"], "schedule": [{"step": 0, "weights": LOSSES}]}, {}, None),
    "fewer stages": (
        "stages",
        {**KINDS["stages"], "stages": [{"domains": ["law"], "steps": 33}]},
        {"max_steps": None},
        "it stood in stage 2, and step 5 is in stage 1",
    ),
    "a stage's length": (
        "stages",
        {**KINDS["stages"], "stages": [{**STAGES[0], "steps": 9}, {**STAGES[1], "steps": 24}]},
        {"max_steps": None},
        "it stood in stage 2, and step 5 is in stage 1",
    ),
    "a stage's domains": (
        "stages",
        {**KINDS["stages"], "stages": [STAGES[0], {**STAGES[1], "domains": ["code"]}]},
        {"max_steps": None},
        None,
    ),
}


@pytest.mark.parametrize("change", ACCEPTED)
def test_accepted_changes_go_on_and_say_what_starts_anew(
    saved: dict[str, Path], change: str, caplog: pytest.LogCaptureFixture
) -> None:
    kind, section, changes, told = ACCEPTED[change]
    with pytest.raises(VersaTuneError, match="accept_changes"):
        resumed(section, saved[kind], **changes)
    with caplog.at_level(logging.WARNING, "axolotl.versatune"):
        mixture = resumed({**section, "accept_changes": True}, saved[kind], **changes)
    assert (told in caplog.text) if told else not caplog.records, caplog.text
    weights = mixture.controller.weights_at(5)
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    for domains, rows in next_rows(mixture):
        assert len(domains) == len(rows) == 8
    if change == "a floor":
        assert weights.min() >= 0.3 - 1e-12
    if change in ("a schedule", "a mixture that does not move"):
        fresh = live(section, saved[kind].parent)
        assert weights.tolist() == pytest.approx(fresh.controller.weights_at(0).tolist())
    if change == "a stage's domains":
        assert weights.tolist() == [1.0, 0.0, 0.0]
    if change in ("fewer stages", "a stage's length"):
        assert weights.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("section", "changes", "told"),
    [
        ({}, {"gradient_accumulation_steps": 1}, "batch_size: 8 in the checkpoint, 4 now"),
        ({"samples_per_epoch": 32}, {}, "steps_per_epoch: 10 in the checkpoint, 4 now"),
        ({"unit": "tokens"}, {"sample_packing": True}, "packing: None in the checkpoint, 64 now"),
    ],
)
def test_what_the_cursors_mean_cannot_be_accepted(
    saved: dict[str, Path], section: dict[str, Any], changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(VersaTuneError) as refused:
        resumed({**VERSATUNE, **section, "accept_changes": True}, saved["versatune"], **changes)
    assert told in str(refused.value)
    assert "Start a new run" in str(refused.value)
