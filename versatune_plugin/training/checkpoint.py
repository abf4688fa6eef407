"""Which checkpoints a run can go on from: whole ones, undamaged ones, and what to say of the others."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Set
from pathlib import Path
from typing import Any

from versatune_plugin.artifacts.io import check_writable, free_space, is_json
from versatune_plugin.errors import CheckpointError
from versatune_plugin.schema.wording import counted
from versatune_plugin.training.digests import damage

LOG = logging.getLogger("axolotl.versatune")
STATE_FILE = "versatune_state.json"
TRAINER_STATE = "trainer_state.json"
STATE_KIND = "versatune.state"
STATE_SCHEMA = 6


def resolve_resume(cfg: Any) -> bool:
    """See that the output directory can be written, and resolve which checkpoint the run goes on from.

    The host takes the checkpoint with the highest number, even if its writer was killed in the middle. Every process
    looks for itself: nothing is written there before all have passed.

    Args:
        cfg: Axolotl's validated configuration; ``resume_from_checkpoint`` is set where
            ``auto_resume_from_checkpoints`` finds one.

    Returns:
        Whether it was found, and not named by the user.

    Raises:
        CheckpointError: the directory cannot be written, or the checkpoint is no complete one of VersaTune.
    """
    output_dir = Path(cfg.output_dir)
    check_writable(output_dir)
    if cfg.resume_from_checkpoint is not None:
        check_resumable(Path(cfg.resume_from_checkpoint))
        return False
    if cfg.auto_resume_from_checkpoints:
        chosen = None
        for checkpoint in _checkpoints(output_dir):
            if (why := incompleteness(checkpoint)) is None:
                chosen = checkpoint
                break
            LOG.warning("%s is not resumed from: %s. Its writer was stopped; nothing of it is needed", checkpoint, why)
        if chosen is None:
            # Else the host would take an incomplete one.
            cfg.auto_resume_from_checkpoints = False
            return False
        check_resumable(chosen)
        LOG.info("going on from %s", chosen)
        cfg.resume_from_checkpoint = str(chosen)
        return True
    return False


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
        CheckpointError: it is missing, incomplete, or without the mixture's state; the newest complete one is named.
    """
    if not checkpoint.is_dir():
        problem = f"{checkpoint}: no such checkpoint"
    elif why := incompleteness(checkpoint):
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
    raise CheckpointError(f"{problem}. {remedy}, or start a new run with `base_model:` set to a saved model")


def last_complete(output_dir: Path) -> Path | None:
    """The checkpoint of the highest step in an output directory that was saved to its end, or None."""
    return next(iter(complete(output_dir)), None)


def complete(output_dir: Path) -> list[Path]:
    """The checkpoints that were saved to their end, from the highest step down."""
    return [path for path in _checkpoints(output_dir) if (path / STATE_FILE).is_file() and incompleteness(path) is None]


def undamaged(checkpoint: Path, only_this: bool) -> Path | None:
    """The checkpoint, if its files hold what was saved; else the newest older one beside it of which that is true.

    All bytes of a checkpoint are read, so this comes once, when it is known which one the run goes on from.

    Args:
        checkpoint: a complete one.
        only_this: the user named it, so no other one will do.

    Returns:
        None where every checkpoint is damaged.

    Raises:
        CheckpointError: it is damaged, and ``only_this``; the newest good one is named.
    """
    why = damage(checkpoint)
    if why is None:
        return checkpoint
    older = [path for path in complete(checkpoint.parent) if _step(path) < _step(checkpoint)]
    if not only_this:
        LOG.warning("%s is not resumed from: %s", checkpoint, why)
        return undamaged(older[0], only_this) if older else None
    good = next((path for path in complete(checkpoint.parent) if path != checkpoint and damage(path) is None), None)
    remedy = "Start a new run without resuming" if good is None else f"Resume from {good}, the newest undamaged one"
    raise CheckpointError(f"{checkpoint} cannot be resumed from: {why}. {remedy}")


def incompleteness(checkpoint: Path) -> str | None:
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
    state = json.loads((checkpoint / STATE_FILE).read_bytes())
    # A state of another schema may list none; `read_state` refuses it.
    listed = state.get("files") if isinstance(state, dict) else None
    for name, size in (listed if isinstance(listed, dict) else {}).items():
        path = checkpoint / name
        if not path.is_file():
            return f"{name} is not there any more"
        if path.stat().st_size != size:
            return f"{name} is cut off or damaged: {counted(path.stat().st_size, 'byte')}, and {size} when it was saved"
    return None


def incomplete_checkpoints(output_dir: Path) -> set[Path]:
    """The checkpoints in an output directory that were not written to their end, or lost a part."""
    return {checkpoint for checkpoint in _checkpoints(output_dir) if incompleteness(checkpoint) is not None}


def remove_surplus(output_dir: Path, limit: int | None, step: int, best: str | None, unsound: Set[Path]) -> None:
    """Remove the checkpoints that ``save_total_limit`` leaves no room for; clocks say nothing about which.

    First go the incomplete ones, then those beyond ``step`` (of an earlier run, or of one that was resumed from before
    them), then the others from the lowest step up; never the one of ``step``, nor the best.

    Args:
        output_dir: where they are.
        limit: how many may stay; None or 0: all.
        step: of the newest.
        best: the best one, or None.
        unsound: which of them are incomplete.
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


def not_saved(checkpoint: Path, error: Exception) -> CheckpointError:
    """The error for a checkpoint that could not be saved: what is intact, and how to go on."""
    last = last_complete(checkpoint.parent)
    intact = "There is no complete checkpoint yet" if last is None else f"{last} is complete"
    again = "run it again" if last is None else "go on from it with `auto_resume_from_checkpoints: true`"
    return CheckpointError(
        f"{checkpoint} could not be saved ({error}; {free_space(checkpoint)}), and will not be resumed from. {intact}: "
        f"free space there, or make it writable, and {again}"
    )


def _checkpoints(output_dir: Path) -> list[Path]:
    """The checkpoint directories, from the highest step down."""
    return sorted((path for path in output_dir.glob("checkpoint-*") if _step(path) >= 0), key=_step, reverse=True)


def _step(checkpoint: Path) -> int:
    number = checkpoint.name.removeprefix("checkpoint-")
    return int(number) if number.isdecimal() else -1
