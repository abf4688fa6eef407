"""The file ``versatune_state.json`` in a checkpoint: enough to go on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from versatune_plugin.artifacts import read_json, write_json
from versatune_plugin.errors import VersaTuneError

STATE_FILE = "versatune_state.json"
KIND = "versatune.state"
SCHEMA = 1
# Without these the cursors mean something else, so no option overrides them.
BINDING = ("domains", "batch_size", "steps_per_epoch")


def write_state(checkpoint: Path, state: Mapping[str, Any]) -> None:
    """Write the state into a checkpoint directory."""
    write_json(checkpoint / STATE_FILE, {"kind": KIND, "schema": SCHEMA, **state})


def read_state(checkpoint: Path, fingerprint: Mapping[str, Any], accept_changes: bool) -> dict[str, Any]:
    """Read a checkpoint's state and compare what it was made under with what is configured now.

    Args:
        checkpoint: the checkpoint directory.
        fingerprint: of the run that wants to go on; nested mappings of plain values.
        accept_changes: go on in spite of differences, except in what the cursors depend on.

    Raises:
        VersaTuneError: no state, a damaged one, or one of another run; the differences are named.
    """
    path = checkpoint / STATE_FILE
    if not path.is_file():
        raise VersaTuneError(
            f"{checkpoint} has no {STATE_FILE}, so the mixture cannot be continued from it. It was saved without the "
            "plugin or with `save_only_model: true`. Resume from another checkpoint, or start a new run with "
            "`base_model:` set to this one"
        )
    state = read_json(path, KIND, SCHEMA)
    differences = list(_differences(state["fingerprint"], fingerprint))
    bound = [text for name, text in differences if name.split(".")[0] in BINDING and name.count(".") < 2]
    if bound or (differences and not accept_changes):
        remedy = (
            "Start a new run (`base_model:` set to the checkpoint)"
            if bound
            else "Undo the change, or set `versatune.accept_changes: true` to go on in spite of it"
        )
        problems = [text for _, text in differences]
        raise VersaTuneError.collected(
            f"{checkpoint} was made by another run than the one configured now", [*problems, remedy]
        )
    return state


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
