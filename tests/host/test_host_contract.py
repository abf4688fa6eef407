"""What VersaTune counts on in Axolotl, Transformers and Accelerate beyond what they promise (docs/compat.md).

When a new version of a host breaks VersaTune, a test here says what the host changed and which file leans on it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.calls import CALLS, HOOKS, REPLACED

HOSTS = ("axolotl", "transformers", "accelerate", "torch", "lm-eval")
STEPS, SAVED, ACCUMULATION = 4, 2, 2


def changed(what: str, file: str) -> str:
    """The message of a broken contract."""
    return f"{what}; versatune_plugin/{file} leans on it (with {', '.join(f'{h} {version(h)}' for h in HOSTS)})"


@pytest.fixture(scope="module")
def complaints(axolotl: Axolotl) -> dict[str, str | None]:
    """What is wrong with each call into the host; None where it is fine."""
    finished = axolotl.run("tests.helpers.calls")
    assert finished.status == 0, finished.output
    return json.loads(finished.output.splitlines()[-1])


@pytest.mark.parametrize("place", CALLS)
def test_the_host_takes_our_calls(complaints: dict[str, str | None], place: str) -> None:
    assert complaints[place] is None, changed(f"{place}: {complaints[place]}", CALLS[place][1])


@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_have_our_parameters(complaints: dict[str, str | None], hook: str) -> None:
    assert complaints[hook] is None, changed(f"the hook {hook}: {complaints[hook]}", "plugin.py")


@pytest.mark.parametrize("name", REPLACED)
def test_what_the_startup_hook_replaces_is_used(complaints: dict[str, str | None], name: str) -> None:
    assert complaints[name] is None, changed(str(complaints[name]), REPLACED[name][1])


Record = list[dict[str, Any]]


@dataclass
class Runs:
    """What the recorder saw in a run of four steps and in one that goes on from its checkpoint of step 2.

    A host that has changed may break a run: then there is less in the record, and ``failures`` tells how it ended.
    """

    fresh: Record
    resumed: Record
    failures: list[str]


@pytest.fixture(scope="module")
def runs(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("contract")
    cfg = tiny.config(
        folder / "out",
        plugins=["tests.helpers.recorder.HostRecorder", "versatune_plugin.VersaTunePlugin"],
        max_steps=STEPS,
        save_strategy="steps",
        save_steps=SAVED,
        gradient_accumulation_steps=ACCUMULATION,
        versatune={"mixture": "uniform", "heldout": 4},
    )
    again = {**cfg, "output_dir": str(folder / "again")}
    again["resume_from_checkpoint"] = str(folder / "out" / f"checkpoint-{SAVED}")
    records, failures = [], []
    for name, one in (("out", cfg), ("again", again)):
        file = folder / f"{name}.jsonl"
        file.touch()
        finished = axolotl.train(one, env={"RECORD_HOST": str(file)})
        records.append([json.loads(line) for line in file.read_text().splitlines()])
        if finished.status:
            failures.append("\n".join(finished.output.splitlines()[-20:]))
    return Runs(*records, failures)


def events(record: Record, *names: str) -> Record:
    return [line for line in record if line["event"] in names]


def first(record: Record, name: str) -> dict[str, Any]:
    found = events(record, name)
    assert found, f"the run ended before {name}: see test_the_runs_end_well"
    return found[0]


def order(record: Record, *names: str) -> list[str]:
    return [line["event"] for line in events(record, *names)]


def test_the_runs_end_well(runs: Runs) -> None:
    assert not runs.failures, "\n\n".join(runs.failures)


def test_hooks_come_in_order(runs: Runs) -> None:
    expected = [
        "register",
        "get_input_args",
        "load_datasets",
        "get_trainer_cls",
        "post_trainer_create",
        "train",
        "create_lr_scheduler",
    ]
    seen = list(dict.fromkeys(order(runs.fresh, *expected)))
    assert seen == expected, changed(f"the hooks come in the order {seen}", "plugin.py")


def test_register_sees_the_configuration_as_written(runs: Runs) -> None:
    seen = first(runs.fresh, "register")
    assert seen["domains"] == ["law", "code", "medicine"], changed(
        "register(cfg) no longer sees `domain` of the data sets", "host/configuration.py"
    )
    kept = first(runs.fresh, "load_datasets")
    assert kept["domains"] == ["law", "code", "medicine"], changed(
        f"validation dropped or changed the domains (left: {kept['domains']})", "host/section.py"
    )
    assert kept["section"]["mixture"] == "uniform", changed(
        f"validation changed the section (left: {kept['section']})", "host/section.py"
    )


def test_the_rows_trainer_and_steps_are_ours(runs: Runs) -> None:
    created = first(runs.fresh, "post_trainer_create")
    assert created["trainer"] == "VersaTuneTrainer", changed(
        "the trainer class is not the one of get_trainer_cls", "plugin.py"
    )
    assert created["rows"] == 130, changed(
        "the trainer's rows are not those that load_datasets returned, all of them and in their order",
        "data/domains.py",
    )
    steps = {line.get("steps", line.get("max_steps")) for line in events(runs.fresh, "on_train_begin")}
    assert steps == {STEPS}, changed("the trainer has another number of steps", "training/run_plan.py")


def test_the_trainer_is_handed_a_checkpoint_by_its_name(runs: Runs) -> None:
    call = first(runs.resumed, "train")
    assert (call["positional"], call["keywords"]) == (0, ["resume_from_checkpoint"]), changed(
        f"Axolotl calls Trainer.train with {call['positional']} arguments and {call['keywords']}", "training/trainer.py"
    )


def test_batches_are_asked_for_when_they_are_needed(runs: Runs) -> None:
    """An optimizer step asks for its own micro-batches and no more, so that new weights act on the next one."""
    seen = order(runs.fresh, "asked", "on_optimizer_step")
    step = ["asked"] * ACCUMULATION + ["on_optimizer_step"]
    assert seen[: len(step) * STEPS] == step * STEPS, changed(
        "the trainer asks for micro-batches ahead of the optimizer step that uses them", "sampling/sampler.py"
    )


def test_weights_move_between_the_optimizer_step_and_the_checkpoint(runs: Runs) -> None:
    names = ("on_step_begin", "on_optimizer_step", "on_step_end", "_save_rng_state", "on_save")
    seen = [(line["event"], line.get("step")) for line in events(runs.fresh, *names)]
    expected: list[tuple[str, int | None]] = []
    for step in range(STEPS):
        expected += [("on_step_begin", step), ("on_optimizer_step", step), ("on_step_end", step + 1)]
        if (step + 1) % SAVED == 0:
            expected += [("_save_rng_state", None), ("on_save", step + 1)]
    assert seen == expected, changed(f"the events of a step come in the order {seen}", "training/trainer.py")


def test_the_end_of_the_last_epoch_comes_before_the_trackers_close(runs: Runs) -> None:
    last = events(runs.fresh, "on_epoch_end", "on_train_end")[-2:]
    assert [(line["event"], line.get("stopping")) for line in last] == [
        ("on_epoch_end", True),
        ("on_train_end", None),
    ], changed(f"a run ends with {last}", "training/trainer.py")


def test_the_random_state_is_the_last_file_but_one(runs: Runs) -> None:
    """What is written there is complete in every checkpoint that has a ``trainer_state.json``."""
    saves = events(runs.fresh, "_save_rng_state")
    assert [save["folder"] for save in saves] == [f"checkpoint-{step}" for step in range(SAVED, STEPS + 1, SAVED)]
    for save in saves:
        assert {"model.safetensors", "optimizer.pt", "rng_state.pth", "scheduler.pt"} <= set(save["files"]), changed(
            f"_save_rng_state comes before parts of the checkpoint (there: {save['files']})", "training/trainer.py"
        )
        assert "trainer_state.json" not in save["files"], changed(
            "trainer_state.json is there before _save_rng_state", "training/trainer.py"
        )
    assert all(line["complete"] for line in events(runs.fresh, "on_save")), changed(
        "a checkpoint is done, in OUTPUT_DIR/checkpoint-STEP, without a trainer_state.json", "training/checkpoint.py"
    )


def test_a_resumed_run_skips_batches_without_loading_them(runs: Runs) -> None:
    skipped = [line["rows"] for line in events(runs.resumed, "asked")]
    assert skipped[: SAVED * ACCUMULATION + 1] == [0] * (SAVED * ACCUMULATION) + [2], changed(
        f"a resumed trainer asks for batches of {skipped} rows: it starts at another place of the epoch",
        "sampling/sampler.py",
    )
    loaded = len(events(runs.resumed, "collated"))
    assert loaded == (STEPS - SAVED) * ACCUMULATION, changed(
        f"a resumed trainer loads {loaded} batches, those to skip included", "sampling/sampler.py"
    )


def test_what_held_out_rows_are_measured_with(runs: Runs) -> None:
    begin = first(runs.fresh, "on_train_begin")
    assert begin["columns"] == begin["inputs"] == ["attention_mask", "input_ids", "labels"], changed(
        f"_remove_unused_columns leaves {begin['columns']}, the collator gives {begin['inputs']}",
        "training/heldout_eval.py",
    )
    assert begin["device"] == "cpu", changed("_prepare_inputs does not move to the device", "training/heldout_eval.py")
    assert not begin["drew"], changed(
        "_prepare_inputs or the collator draws a random number", "training/heldout_eval.py"
    )
    assert begin["plain"], changed("one process on a CPU wraps the model in something else", "training/trainer.py")
    assert begin["inner"] == "AdamW", changed(
        f"accelerate's optimizer has {begin['inner']} in `.optimizer`", "training/trainer.py"
    )


def test_what_only_newer_hosts_know_is_refused_as_well(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = tiny.config(
        tmp_path / "out", versatune={"mixture": "uniform"}, balance_labels=True, diffusion_lm={"loss": "bdlm"}
    )
    cfg["datasets"][0]["weight"] = 0.5
    finished = axolotl.train(cfg)
    assert finished.status != 0
    for told in ("balance_labels: True cannot", "diffusion_lm: ", "`weight: 0.5` is a fixed share of its rows"):
        assert told in finished.output, finished.output
