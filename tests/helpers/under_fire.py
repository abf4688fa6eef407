"""Kills a training run again and again, starts the same command each time, and compares with the undisturbed run.

``python -m tests.helpers.under_fire --kills 30 --seed 0`` runs one campaign on a small model and prints where the kills
hit; ``--kind "packed LoRA"`` or ``--kind "two processes"`` runs one of another kind of training.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers.tiny import LORA, write_model, write_rows
from tests.integration import test_run
from versatune_plugin.artifacts.record import read_record

STEPS = 20
LIMIT = 2
SECTION = {**test_run.SECTION, "update_steps": 2, "samples_per_epoch": 48}
# Of the clock, of where a run was put together again, or of which run it is.
VARYING = ("seconds", "measuring_seconds", "seconds_since_start", "best_checkpoint", "run", "record")
# Of tensors, in a checkpoint and beside it.
TENSOR_FILES = (".safetensors", ".pt", ".pth")
SAVED = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")
# Everything that a save of the small model writes, in this order, and when; then what an update does.
WHILE_SAVING = [
    *(f"{name}:{moment}" for name in SAVED for moment in ("before", "half", "after")),
    *(f"versatune_state.json:{moment}" for moment in ("before", "half", "renaming", "after")),
    *(f"trainer_state.json:{moment}" for moment in ("before", "half", "after")),
    *(f"rotation:{moment}" for moment in ("before", "half", "after")),
]
WHILE_UPDATING = [
    *(f"measure:{moment}" for moment in ("before", "after")),
    *(f"record:{moment}" for moment in ("before", "half", "after")),
]
AT_THE_END = [f"final-model:{moment}" for moment in ("before", "half", "after")]
TIMES = {name: SECTION[name] for name in ("heldout", "update_steps", "samples_per_epoch")}
PACKED = {"sequence_len": 512, "sample_packing": True, "eval_sample_packing": False, "micro_batch_size": 1}
# What each kind of campaign changes in the configuration.
KINDS: dict[str, dict[str, Any]] = {
    "one process": {},
    "packed": PACKED,
    "packed LoRA": {**PACKED, **LORA},
    "two processes": {"micro_batch_size": 2},
    "probes": {"versatune": {**TIMES, "mixture": "skills", "reward": "diff", "scorer_learning_rate": 0.1}},
    "training losses": {"versatune": {**TIMES, "mixture": "odm"}},
}


def fire_config(tiny: Tiny, out: Path, model: Path, **changes: Any) -> dict[str, Any]:
    """Twenty steps across an epoch boundary, dropout on, an update every two steps and a save every three."""
    usual = {
        "base_model": str(model),
        "plugins": ["versatune_plugin.VersaTunePlugin", "tests.helpers.fire_plugin.FirePlugin"],
        "num_epochs": 2,
        "max_steps": STEPS,
        "save_strategy": "steps",
        "save_steps": 3,
        "save_total_limit": LIMIT,
        "auto_resume_from_checkpoints": True,
        "versatune": SECTION,
    }
    return tiny.config(out, **usual | changes)


@dataclass
class Kill:
    """One kill: how it was aimed, what the process was doing, and the step of its newest line in the record."""

    aim: str
    phase: str
    step: int | None
    seconds: float


@dataclass
class Campaign:
    """The same command, killed and started again.

    Args:
        axolotl: the command line.
        cfg: with ``tests.helpers.fire_plugin.FirePlugin`` among its plugins.
        folder: for what the campaign notes.
        processes: of the command.
    """

    axolotl: Axolotl
    cfg: dict[str, Any]
    folder: Path
    processes: int = 1
    kills: list[Kill] = field(default_factory=list)

    @property
    def out(self) -> Path:
        """The output directory of the run."""
        return Path(self.cfg["output_dir"])

    def start(self, aim: str = "", limit: str = "") -> Finished:
        """Start the command; a point of `tests.helpers.fire_plugin` says where to kill it, or where no room is left."""
        return self._start(aim, {"FIRE": aim, "FIRE_LIMIT": limit}, None)

    def start_for(self, seconds: float) -> Finished:
        """Start the command, and kill its process group from outside after so many seconds."""
        return self._start(f"{seconds:.2f} s", {}, seconds)

    def _start(self, aim: str, env: dict[str, str], seconds: float | None) -> Finished:
        phase = self.folder / "phase"
        phase.write_text("starting")
        began = time.monotonic()
        env |= {"FIRE_PHASE": str(phase)}
        finished = killed_after(
            seconds, self.folder, lambda own: self.axolotl.train(self.cfg, env=env | own, processes=self.processes)
        )
        if finished.status == -signal.SIGKILL:
            self.kills.append(Kill(aim, phase.read_text(), self._step(), time.monotonic() - began))
        return finished

    def _step(self) -> int | None:
        try:
            lines = (self.out / "versatune.jsonl").read_bytes().split(b"\n")
        except FileNotFoundError:
            return None
        steps = [json.loads(line).get("step", 0) for line in lines[:-1] if line]
        return steps[-1] if steps else None


def killed_after(seconds: float | None, folder: Path, run: Callable[[dict[str, str]], Finished]) -> Finished:
    """Run something through the Axolotl server, and kill its process group after so many seconds, or never.

    Args:
        seconds: from the moment at which the process is there.
        folder: for a note of the process group.
        run: runs it with this environment.
    """
    if seconds is None:
        return run({})
    group = folder / "group"
    group.unlink(missing_ok=True)
    over = threading.Event()

    def kill() -> None:
        while not (group.exists() and group.read_text()):
            time.sleep(0.001)
        if not over.wait(seconds):
            os.killpg(int(group.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    finished = run({"PROCESS_GROUP": str(group)})
    over.set()
    killer.join()
    return finished


def killed_at_random(
    kills: int, seed: int, length: float, folder: Path, run: Callable[[dict[str, str]], Finished]
) -> Finished:
    """Kill a command at so many moments spread over ``length`` seconds, as long as it does not end; then let it end."""
    draw = random.Random(seed)
    for _ in range(kills):
        finished = killed_after(draw.uniform(0, length), folder, run)
        if finished.status != -signal.SIGKILL:
            return finished
    return run({})


def outcome(out: Path) -> dict[str, Any]:
    """All that a finished run leaves behind and that must not depend on whether it was disturbed."""
    checkpoints = sorted((path.name for path in out.glob("checkpoint-*")), key=lambda name: int(name.split("-")[1]))
    last = out / checkpoints[-1]
    lines = [line for line in read_record(out) if line["kind"] != "resume"]
    state = json.loads((last / "versatune_state.json").read_text())
    # It holds the path of the output directory.
    state["files"].pop("training_args.bin")
    history = json.loads((last / "trainer_state.json").read_text())["log_history"]
    return {
        "model": _tensors(out),
        "record": [_steady(line) for line in lines],
        "checkpoints": checkpoints,
        "files": {name: sorted(path.name for path in (out / name).iterdir()) for name in checkpoints},
        "last": _tensors(last),
        "state": _steady(state),
        "losses": [[entry[key] for key in ("step", "loss", "grad_norm")] for entry in history if "loss" in entry],
    }


def _steady(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in VARYING}


def _tensors(folder: Path) -> dict[str, str]:
    """A digest of every file of tensors in a folder, which has some."""
    files = sorted(path for path in folder.iterdir() if path.suffix in TENSOR_FILES)
    assert files, folder
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def random_aim(draw: random.Random) -> str:
    """A point of a save, of an update or of the end, and the time of its occurrence in a process."""
    points = draw.choices([WHILE_SAVING, WHILE_UPDATING, AT_THE_END], weights=[5, 3, 1])[0]
    return f"{draw.choice(points)}@{1 if points is AT_THE_END else draw.randint(1, 3)}"


def run_campaign(
    axolotl: Axolotl, tiny: Tiny, folder: Path, kills: int, seed: int, kind: str = "one process"
) -> tuple[list[Kill], int]:
    """Kill until it was ``kills`` times, half of them by the clock and half aimed, through as many runs as that takes.

    Where there are two processes, a kill by the clock hits both, and an aimed one that which comes to the place.

    Returns:
        The kills, and how many runs they were spread over.

    Raises:
        AssertionError: a run that was killed did not end as the undisturbed one did.
    """
    draw = random.Random(seed)
    model = write_model(folder / "fire-model", dropout=0.1)
    processes = 2 if kind == "two processes" else 1
    calm = Campaign(axolotl, fire_config(tiny, folder / "calm", model, **KINDS[kind]), folder, processes)
    began = time.monotonic()
    finished = calm.start()
    length = time.monotonic() - began
    assert finished.status == 0, finished.output
    wanted = outcome(calm.out)
    done: list[Kill] = []
    runs = 0
    while len(done) < kills:
        runs += 1
        cfg = {**calm.cfg, "output_dir": str(folder / f"run-{runs}")}
        campaign = Campaign(axolotl, cfg, folder, processes)
        while True:
            left = len(done) + len(campaign.kills) < kills
            by_clock = draw.random() < 0.5
            aim, seconds = random_aim(draw), draw.uniform(0, 1.2 * length)
            if not left:
                finished = campaign.start()
            elif by_clock:
                finished = campaign.start_for(seconds)
            else:
                finished = campaign.start(aim)
            if finished.status != -signal.SIGKILL:
                break
        assert finished.status == 0, finished.output
        found = outcome(campaign.out)
        for name, value in wanted.items():
            assert found[name] == value, f"run {runs}, killed {campaign.kills}: {name} differs"
        done += campaign.kills
    return done, runs


def told(kills: Sequence[Kill], runs: int) -> str:
    """What a campaign did, in a few lines."""
    phases = Counter(kill.phase for kill in kills)
    clock = sum(kill.aim.endswith(" s") for kill in kills)
    lines = [f"{kill.aim:32} {kill.phase:9} step {kill.step!s:5} {kill.seconds:6.1f} s" for kill in kills]
    total = f"{len(kills)} kills ({clock} by the clock, {len(kills) - clock} aimed) over {runs} runs"
    return "\n".join([*lines, f"{total}: " + ", ".join(f"{count} {phase}" for phase, count in phases.most_common())])


def main() -> None:
    """One campaign, on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, default="one process")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_rows(folder / "rows", {"law": 60, "code": 40, "medicine": 30})
        tiny = Tiny(write_model(folder / "model"), files, folder / "prepared")
        axolotl = Axolotl(folder)
        began = time.monotonic()
        try:
            kills, runs = run_campaign(axolotl, tiny, folder, given.kills, given.seed, given.kind)
        finally:
            axolotl.close()
        print(told(kills, runs))
        print(f"{time.monotonic() - began:.0f} s; every run ended as the undisturbed one")


if __name__ == "__main__":
    main()
