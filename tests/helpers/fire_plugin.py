"""An Axolotl plugin that ends its own process with SIGKILL, or takes away its disk, at a named point.

``FIRE=place:moment@n`` in the environment kills at the n-th time that the process comes to the place:

==================  =================================================  =================================
place               what happens there                                 moments
==================  =================================================  =================================
``measure``         held-out rows are measured                         ``before``, ``after``
``record``          a line is appended to ``versatune.jsonl``          ``before``, ``half``, ``after``
a file's name       the file is written, in a checkpoint or elsewhere  ``before``, ``half``, ``after``
``final-model``     the model is written after training                ``before``, ``half``, ``after``
``rotation``        an old checkpoint is removed                       ``before``, ``half``, ``after``
``prepared``        a domain's tokenised rows are kept                 ``before``, ``half``, ``after``
==================  =================================================  =================================

``half`` leaves half the bytes (or files) behind. A file that is written under another name and renamed also has the
moment ``renaming``. ``FIRE_LIMIT=place@n`` lets no file grow beyond 1000 bytes while that happens, as a quota does.
``FIRE_PHASE=file`` keeps what the process is doing in a file of one word.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from axolotl.integrations.base import BasePlugin

LIMIT_BYTES = 1000


class FirePlugin(BasePlugin):
    """Waits for the places that the environment names; to be listed after VersaTune's own plugin."""

    _armed = False

    def register(self, cfg: dict[str, Any]) -> None:
        """Arm the process, once however many configurations it loads."""
        if not FirePlugin._armed:
            FirePlugin._armed = True
            _watch_places()
            if file := os.environ.get("FIRE_PHASE"):
                _watch_phases(Path(file))


class _Aim:
    """The n-th time at a place."""

    def __init__(self, variable: str) -> None:
        aim, _, number = os.environ.get(variable, "").partition("@")
        self.place, _, self.moment = aim.partition(":")
        self._left = int(number or 1)

    def hit(self, place: str) -> bool:
        """Count a visit of ``place``; true at the one meant."""
        if place != self.place:
            return False
        self._left -= 1
        return self._left == 0


def _limited(act: Callable[[], Any]) -> Any:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, before[1]))
    try:
        return act()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _watch_places() -> None:
    kill, limit = _Aim("FIRE"), _Aim("FIRE_LIMIT")

    def visit(place: str, act: Callable[[], Any], halve: Callable[[], None]) -> Any:
        """Do ``act`` at ``place``; ``halve`` cuts what is there after it, or before it where it removes something."""
        if limit.hit(place):
            return _limited(act)
        if not kill.hit(place):
            return act()
        if kill.moment == "after" or (kill.moment == "half" and place != "rotation"):
            act()
        if kill.moment == "half":
            halve()
        return _kill()

    _watch_saving(visit)
    _watch_writing(visit)
    _watch_replacing(kill, limit)


def _watch_replacing(kill: _Aim, limit: _Aim) -> None:
    """Files that are written under another name and renamed."""
    from versatune_plugin.artifacts import io as artifacts

    write, rename = artifacts.write_text, Path.replace

    def written(path: Path, text: str) -> None:
        if limit.hit(path.name):
            _limited(lambda: write(path, text))
        else:
            write(path, text)

    def renamed(self: Path, target: Path) -> Any:
        if not kill.hit(target.name):
            return rename(self, target)
        if kill.moment == "half":
            _cut(self)
        if kill.moment == "after":
            rename(self, target)
        return _kill()

    artifacts.write_text = written
    Path.replace = renamed  # type: ignore[method-assign,assignment]


def _watch_saving(visit: Callable[..., Any]) -> None:
    """What the host writes into a checkpoint, file by file, and what it removes."""
    import torch
    from datasets import Dataset
    from peft import PeftModel
    from transformers import PreTrainedModel, TrainerState

    save, save_to_json, rmtree = torch.save, TrainerState.save_to_json, shutil.rmtree

    @wraps(save)
    def saved(obj: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(f, str | os.PathLike):
            return save(obj, f, *args, **kwargs)
        path = Path(f)
        return visit(path.name, lambda: save(obj, f, *args, **kwargs), lambda: _cut(path))

    def stated(self: Any, json_path: str) -> Any:
        return visit("trainer_state.json", lambda: save_to_json(self, json_path), lambda: _cut(Path(json_path)))

    def removed(path: Any, *args: Any, **kwargs: Any) -> Any:
        if not Path(path).name.startswith("checkpoint-"):
            return rmtree(path, *args, **kwargs)

        def halve() -> None:
            for file in sorted(Path(path).iterdir())[::2]:
                file.unlink()

        return visit("rotation", lambda: rmtree(path, *args, **kwargs), halve)

    torch.save = saved
    TrainerState.save_to_json = stated  # type: ignore[method-assign]
    shutil.rmtree = removed  # type: ignore[assignment]
    save_to_disk = Dataset.save_to_disk

    def prepared(self: Any, dataset_path: Any, *args: Any, **kwargs: Any) -> Any:
        def halve() -> None:
            for name in ("state.json", "dataset_info.json"):
                (Path(dataset_path) / name).unlink()

        return visit("prepared", lambda: save_to_disk(self, dataset_path, *args, **kwargs), halve)

    Dataset.save_to_disk = prepared  # type: ignore[method-assign]
    for model in (PreTrainedModel, PeftModel):
        _watch_model(model, visit)


def _watch_model(model: Any, visit: Callable[..., Any]) -> None:
    save_pretrained = model.save_pretrained

    def saved(self: Any, save_directory: Any, *args: Any, **kwargs: Any) -> Any:
        folder = Path(save_directory)

        def cut() -> None:
            for weights in folder.glob("*.safetensors"):
                _cut(weights)

        place = "model.safetensors" if folder.name.startswith("checkpoint-") else "final-model"
        return visit(place, lambda: save_pretrained(self, save_directory, *args, **kwargs), cut)

    model.save_pretrained = saved


def _watch_writing(visit: Callable[..., Any]) -> None:
    """What VersaTune writes, and when it measures."""
    from versatune_plugin.artifacts import record
    from versatune_plugin.artifacts.journal import Journal
    from versatune_plugin.training.heldout_eval import HeldoutEvaluation

    measure, append, journal = HeldoutEvaluation.measure, record.append_json_line, Journal.append

    def measured(self: Any, *args: Any, **kwargs: Any) -> Any:
        return visit("measure", lambda: measure(self, *args, **kwargs), lambda: None)

    def appended(path: Path, payload: Any) -> Any:
        before = path.stat().st_size if path.exists() else 0
        return visit("record", lambda: append(path, payload), lambda: _cut(path, before))

    def journaled(self: Any, records: Any) -> Any:
        before = self.path.stat().st_size
        return visit(self.path.name, lambda: journal(self, records), lambda: _cut(self.path, before))

    HeldoutEvaluation.measure = measured  # type: ignore[method-assign]
    record.append_json_line = appended
    Journal.append = journaled  # type: ignore[method-assign]


def _cut(path: Path, kept: int = 0) -> None:
    """Leave the first ``kept`` bytes and half of what follows."""
    os.truncate(path, kept + (path.stat().st_size - kept) // 2)


def _watch_phases(file: Path) -> None:
    from versatune_plugin.training.heldout_eval import HeldoutEvaluation
    from versatune_plugin.training.run import MixtureRun
    from versatune_plugin.training.trainer import VersaTuneTrainer

    def mark(owner: Any, name: str, during: str, after: str) -> None:
        original = getattr(owner, name)

        def marked(self: Any, *args: Any, **kwargs: Any) -> Any:
            file.write_text(during)
            try:
                return original(self, *args, **kwargs)
            finally:
                file.write_text(after)

        setattr(owner, name, marked)

    file.write_text("starting")
    mark(MixtureRun, "begin", "training", "training")
    mark(HeldoutEvaluation, "measure", "update", "training")
    mark(VersaTuneTrainer, "_save_checkpoint", "save", "training")
    mark(MixtureRun, "finish", "ending", "ending")
