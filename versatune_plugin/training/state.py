"""The file ``versatune_state.json`` in a checkpoint: enough to go on as if nothing had happened.

What stands in the file was written by a run; what a run could not have written is refused, with the key and the remedy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from versatune_plugin.artifacts.fingerprint import settings_differences
from versatune_plugin.artifacts.io import read_json, write_json
from versatune_plugin.errors import CheckpointError
from versatune_plugin.mixtures.controller import SUM_TOLERANCE, ControllerState, Share
from versatune_plugin.schema.model import Count, StrictModel, problems_of
from versatune_plugin.schema.wording import counted
from versatune_plugin.training.checkpoint import STATE_FILE, STATE_KIND, STATE_SCHEMA, TRAINER_STATE, check_resumable
from versatune_plugin.training.digests import DIGESTS_FILE
from versatune_plugin.training.optimizer import OF_THE_PARAMETERS, OF_THE_STATE

# Without these the cursors mean something else, as without others the optimizer's state; no option overrides them.
BINDING = ("domains", "batch_size", "steps_per_epoch", "packing")
# A domain is never owed more than a few batches: the plan would walk through all of it at once.
MOST_BATCHES_OWED = 8


class PlanState(StrictModel):
    """The plan of batches; see `BatchPlan.state_dict`."""

    step: Count
    credit: dict[str, float]
    cursor: dict[str, Count]
    drawn: dict[str, Count]
    ahead: dict[str, list[Count]] | None = None


class SamplerState(StrictModel):
    """The sampler; see `GlobalBatchSampler.state_dict`."""

    plan: PlanState
    tokens: dict[str, Count]
    fill: Share


class RecordState(StrictModel):
    """The run's id, and what of its record was written; see `RunRecord.so_far`."""

    run: str
    bytes: Count
    digest: str


class RunState(StrictModel):
    """Everything in the file but ``kind``, ``schema`` and ``files``."""

    step: Count
    fingerprint: dict[str, Any]
    split: str
    controller: ControllerState
    sampler: SamplerState
    measuring_seconds: float = Field(ge=0)
    record: RecordState | None

    def problems(self, names: Sequence[str], batch_size: int, room: float) -> list[str]:
        """What no run of these domains could have written, one sentence each.

        Args:
            names: the domains.
            batch_size: rows (bins, under packing) of a global batch.
            room: what one batch holds, in the unit of the plan's credit.
        """
        plan = self.sampler.plan
        by_domain: dict[str, Mapping[str, Any] | None] = {
            "sampler.plan.credit": plan.credit,
            "sampler.plan.cursor": plan.cursor,
            "sampler.plan.drawn": plan.drawn,
            "sampler.plan.ahead": plan.ahead,
            "sampler.tokens": self.sampler.tokens,
        }
        problems = [f"controller.{problem}" for problem in self.controller.problems(names, self.step)]
        problems += [
            f"{place} is of the domains {sorted(values)}, not of {sorted(names)}"
            for place, values in by_domain.items()
            if values is not None and values.keys() != set(names)
        ]
        if problems:
            return problems
        if plan.step != self.step:
            problems.append(f"step is {self.step}, sampler.plan.step {plan.step}")
        if abs(math.fsum(plan.credit.values())) > SUM_TOLERANCE * max(room, 1):
            problems.append("sampler.plan.credit does not sum to 0")
        for name in names:
            ahead = [] if plan.ahead is None else plan.ahead[name]
            if abs(plan.credit[name]) > MOST_BATCHES_OWED * room:
                problems.append(f"sampler.plan.credit of {name} is {plan.credit[name]:g}, more than any run owes")
            if plan.cursor[name] + len(ahead) > plan.drawn[name]:
                problems.append(f"sampler.plan.cursor of {name} is beyond the {counted(plan.drawn[name], 'row')} drawn")
            if ahead != sorted(set(ahead)) or (ahead and ahead[0] <= plan.cursor[name]):
                problems.append(f"sampler.plan.ahead of {name} is no rising list of positions beyond the cursor")
        drawn = sum(plan.drawn.values())
        if plan.ahead is None and drawn != self.step * batch_size:
            problems.append(
                f"sampler.plan.drawn is {counted(drawn, 'row')}, but {self.step} steps of {batch_size} were done"
            )
        return problems


def write_state(checkpoint: Path, state: Mapping[str, Any]) -> None:
    """Write the state into a checkpoint directory in which all else lies but the host's ``trainer_state.json``.

    The state lists those files and their sizes in bytes, so that a checkpoint that lost some of them is recognised.
    """
    files = {
        path.relative_to(checkpoint).as_posix(): path.stat().st_size
        for path in sorted(checkpoint.rglob("*"))
        # Our own may lie there under a temporary name, if it was being written when an earlier process was killed.
        if path.is_file()
        and path.name != TRAINER_STATE
        and STATE_FILE not in path.name
        and DIGESTS_FILE not in path.name
    }
    write_json(checkpoint / STATE_FILE, {"kind": STATE_KIND, "schema": STATE_SCHEMA, **state, "files": files})


def read_state(
    checkpoint: Path, fingerprint: Mapping[str, Any], accept_changes: bool, split: str
) -> tuple[RunState, bool]:
    """Read a checkpoint's state and compare what it was made under with what is configured now.

    Args:
        checkpoint: the checkpoint directory.
        fingerprint: of the run that wants to go on; nested mappings of plain values.
        accept_changes: go on in spite of differences, except in what the cursors depend on.
        split: how a global batch is shared out now; it may differ from the checkpoint's, its product may not.

    Returns:
        The state, and whether it was made under other settings, which were accepted.

    Raises:
        CheckpointError: no state, a damaged one, or one of another run; the differences are named.
    """
    check_resumable(checkpoint)
    payload = read_json(checkpoint / STATE_FILE, STATE_KIND, STATE_SCHEMA)
    own = {name: value for name, value in payload.items() if name not in ("kind", "schema", "files")}
    try:
        state = RunState.model_validate_json(json.dumps(own))
    except ValidationError as error:
        raise refused(checkpoint, problems_of(error, RunState)) from error
    if lacking := [name for name in BINDING if name not in state.fingerprint]:
        raise refused(checkpoint, [f"fingerprint: lacks {', '.join(lacking)}"])
    _check_trainer_step(checkpoint, state.step)
    differences = settings_differences(state.fingerprint, dict(fingerprint), "in the checkpoint")
    bound = any(_binds(name) for name in differences)
    if bound or (differences and not accept_changes):
        remedy = (
            "Start a new run (`base_model:` set to the checkpoint)"
            if bound
            else "Undo the change, or set `versatune.accept_changes: true` to go on in spite of it"
        )
        problems = list(differences.values())
        if "batch_size" in differences:
            problems.append(
                f"a global batch was {state.split}, and now is {split}: set them so that their product is "
                f"{state.fingerprint.get('batch_size')} again, and the run goes on"
            )
        raise CheckpointError.collected(
            f"{checkpoint} was made by another run than the one configured now", [*problems, remedy]
        )
    return state, bool(differences)


def refused(checkpoint: Path, problems: Sequence[str]) -> CheckpointError:
    """The error for a state that no run wrote."""
    return CheckpointError.collected(
        f"{checkpoint / STATE_FILE} was not written by a run like this one: edited or damaged",
        [*problems, "Resume from another checkpoint, or start a new run with `base_model:` set to this one"],
    )


def changed_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    """The host's settings, and ``total_steps``, in which two fingerprints differ."""
    differences = settings_differences(dict(old), dict(new), "in the checkpoint")
    names = {name.removeprefix("run.").split(".")[0] for name in differences}
    settings = [fingerprint["run"] for fingerprint in (old, new) if isinstance(fingerprint.get("run"), Mapping)]
    return frozenset(names & {"total_steps"}.union(*settings))


def _binds(name: str) -> bool:
    first, *rest = name.split(".")
    if first == "run":
        return rest[:1] != [] and rest[0] in (*OF_THE_STATE, *OF_THE_PARAMETERS)
    return first in BINDING and len(rest) < 2


def _check_trainer_step(checkpoint: Path, step: int) -> None:
    host = json.loads((checkpoint / TRAINER_STATE).read_bytes())
    done = host.get("global_step") if isinstance(host, dict) else None
    if done != step:
        raise refused(checkpoint, [f"step is {step}, but {TRAINER_STATE} says {done!r}"])
