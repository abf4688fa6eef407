"""The file ``versatune_state.json`` in a checkpoint: enough to go on as if nothing had happened."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from versatune_plugin.artifacts import check_writable, free_space, is_json, read_json, write_json
from versatune_plugin.errors import VersaTuneError

LOG = logging.getLogger("axolotl.versatune")
STATE_FILE = "versatune_state.json"
TRAINER_STATE = "trainer_state.json"
KIND = "versatune.state"
SCHEMA = 5
# Without these the cursors mean something else, so no option overrides them.
BINDING = ("domains", "batch_size", "steps_per_epoch", "packing")


def write_state(checkpoint: Path, state: Mapping[str, Any]) -> None:
    """Write the state into a checkpoint directory in which all else lies but the host's ``trainer_state.json``.

    The state lists those files and their sizes in bytes, so that a checkpoint that lost some of them is recognised.
    """
    files = {
        path.relative_to(checkpoint).as_posix(): path.stat().st_size
        for path in sorted(checkpoint.rglob("*"))
        # Our own may lie there under a temporary name, if it was being written when an earlier process was killed.
        if path.is_file() and path.name != TRAINER_STATE and STATE_FILE not in path.name
    }
    write_json(checkpoint / STATE_FILE, {"kind": KIND, "schema": SCHEMA, **state, "files": files})


def read_state(checkpoint: Path, fingerprint: Mapping[str, Any], accept_changes: bool, split: str) -> dict[str, Any]:
    """Read a checkpoint's state and compare what it was made under with what is configured now.

    Args:
        checkpoint: the checkpoint directory.
        fingerprint: of the run that wants to go on; nested mappings of plain values.
        accept_changes: go on in spite of differences, except in what the cursors depend on.
        split: how a global batch is shared out now; it may differ from the checkpoint's, its product may not.

    Raises:
        VersaTuneError: no state, a damaged one, or one of another run; the differences are named.
    """
    check_resumable(checkpoint)
    state = read_json(checkpoint / STATE_FILE, KIND, SCHEMA)
    differences = list(_differences(state["fingerprint"], fingerprint))
    bound = [text for name, text in differences if name.split(".")[0] in BINDING and name.count(".") < 2]
    if bound or (differences and not accept_changes):
        remedy = (
            "Start a new run (`base_model:` set to the checkpoint)"
            if bound
            else "Undo the change, or set `versatune.accept_changes: true` to go on in spite of it"
        )
        problems = [text for _, text in differences]
        if any(name == "batch_size" for name, _ in differences):
            problems.append(
                f"a global batch was {state['split']}, and now is {split}: set them so that their product is "
                f"{state['fingerprint']['batch_size']} again, and the run goes on"
            )
        raise VersaTuneError.collected(
            f"{checkpoint} was made by another run than the one configured now", [*problems, remedy]
        )
    return state


def settle_resume(cfg: Any) -> None:
    """See that the output directory can be written, and settle which checkpoint the run goes on from.

    The host takes the checkpoint with the highest number, even if its writer was killed in the middle. Every process
    looks for itself: nothing is written there before all have passed.

    Args:
        cfg: Axolotl's validated configuration; ``resume_from_checkpoint`` is set where
            ``auto_resume_from_checkpoints`` finds one.

    Raises:
        VersaTuneError: the directory cannot be written, or the checkpoint is no complete one of VersaTune.
    """
    output_dir = Path(cfg.output_dir)
    check_writable(output_dir)
    if cfg.resume_from_checkpoint is not None:
        check_resumable(Path(cfg.resume_from_checkpoint))
    elif cfg.auto_resume_from_checkpoints:
        chosen = None
        for checkpoint in _checkpoints(output_dir):
            if (why := torn(checkpoint)) is None:
                chosen = checkpoint
                break
            LOG.warning("%s is not resumed from: %s. Its writer was stopped; nothing of it is needed", checkpoint, why)
        if chosen is None:
            # Else the host would take a torn one.
            cfg.auto_resume_from_checkpoints = False
            return
        check_resumable(chosen)
        LOG.info("going on from %s", chosen)
        cfg.resume_from_checkpoint = str(chosen)


def saving_warnings(cfg: Any) -> list[str]:
    """What a user should think about before a run is started whose checkpoints would not help after a stop."""
    if cfg.save_only_model and str(cfg.save_strategy) != "no":
        return [
            "`save_only_model: true`: no checkpoint of this run can be resumed from, and a run that is stopped starts "
            "again from step 0; remove it unless that is what you want"
        ]
    return []


def check_resumable(checkpoint: Path) -> None:
    """See that a run can go on from a checkpoint, as far as its files show.

    Raises:
        VersaTuneError: it is missing, torn, or without the mixture's state; the newest complete one is named.
    """
    if not checkpoint.is_dir():
        problem = f"{checkpoint}: no such checkpoint"
    elif why := torn(checkpoint):
        problem = f"{checkpoint} was not saved to its end: {why}"
    elif not (checkpoint / STATE_FILE).is_file():
        problem = (
            f"{checkpoint} has no {STATE_FILE}, so the mixture cannot be continued from it. It was saved without the "
            "plugin or with `save_only_model: true`"
        )
    else:
        return
    last = last_complete(checkpoint.parent)
    remedy = "Start a new run without resuming" if last is None else f"Resume from {last}, the newest complete one"
    raise VersaTuneError(f"{problem}. {remedy}, or start a new run with `base_model:` set to a saved model")


def last_complete(output_dir: Path) -> Path | None:
    """The checkpoint of the highest step in an output directory that a run can go on from, or None."""
    whole = (path for path in _checkpoints(output_dir) if (path / STATE_FILE).is_file() and torn(path) is None)
    return next(whole, None)


def torn(checkpoint: Path) -> str | None:
    """What shows that a checkpoint was not written to its end, or lost a part of it; None if nothing does.

    The host writes ``trainer_state.json`` last, and our state before it.
    """
    if not (checkpoint / TRAINER_STATE).is_file():
        return f"{TRAINER_STATE}, which is written last, is not there"
    for name in (TRAINER_STATE, STATE_FILE):
        if (checkpoint / name).is_file() and not is_json(checkpoint / name):
            return f"{name} is cut off or damaged"
    if not (checkpoint / STATE_FILE).is_file():
        return None
    # A state of another schema may list none; `read_state` refuses it.
    for name, size in json.loads((checkpoint / STATE_FILE).read_bytes()).get("files", {}).items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is not there any more"
        if path.stat().st_size != size:
            return f"{name} is cut off or damaged: {path.stat().st_size} bytes, and {size} when it was saved"
    return None


def torn_checkpoints(output_dir: Path) -> set[Path]:
    """The checkpoints in an output directory that were not written to their end, or lost a part."""
    return {checkpoint for checkpoint in _checkpoints(output_dir) if torn(checkpoint) is not None}


def remove_surplus(output_dir: Path, limit: int | None, step: int, best: str | None, unsound: Set[Path]) -> None:
    """Remove the checkpoints that ``save_total_limit`` leaves no room for; clocks say nothing about which.

    First go the torn ones, then those beyond ``step`` (of an earlier run, or of one that was resumed from before them),
    then the others from the lowest step up; never the one of ``step``, nor the best.

    Args:
        output_dir: where they are.
        limit: how many may stay; None or 0: all.
        step: of the newest.
        best: the best one, or None.
        unsound: which of them are torn.
    """
    found = _checkpoints(output_dir)
    if not limit or len(found) <= limit:
        return
    kept = {f"checkpoint-{step}", Path(best).name if best is not None else None}
    surplus = sorted(
        (path for path in found if path.name not in kept),
        key=lambda path: (path not in unsound, _step(path) < step, _step(path)),
    )
    for checkpoint in surplus[: len(found) - limit]:
        shutil.rmtree(checkpoint, ignore_errors=True)


def not_saved(checkpoint: Path, error: Exception) -> VersaTuneError:
    """The error for a checkpoint that could not be saved: what is intact, and how to go on."""
    last = last_complete(checkpoint.parent)
    intact = "There is no complete checkpoint yet" if last is None else f"{last} is complete"
    again = "run it again" if last is None else "go on from it with `auto_resume_from_checkpoints: true`"
    return VersaTuneError(
        f"{checkpoint} could not be saved ({error}; {free_space(checkpoint)}), and will not be resumed from. {intact}: "
        f"free space there, or make it writable, and {again}"
    )


def _checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoint directories, from the highest step down."""
    named = [path for path in output_dir.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdecimal()]
    return sorted(named, key=_step, reverse=True)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-"))


def _differences(old: Any, new: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        found = []
        for key in sorted({*old, *new}):
            inner = f"{name}.{key}" if name else str(key)
            if key not in old:
                found.append((inner, f"{inner}: not in the checkpoint, now {_short(new[key])}"))
            elif key not in new:
                found.append((inner, f"{inner}: {_short(old[key])} in the checkpoint, gone now"))
            else:
                found += _differences(old[key], new[key], inner)
        return found
    return [] if old == new else [(name, f"{name}: {_short(old)} in the checkpoint, {_short(new)} now")]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
