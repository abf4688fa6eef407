"""A digest of every file of a checkpoint, so that a single flipped bit is seen before a run goes on from it.

Sizes tell a file that was cut off, but not one whose bytes changed. The bytes are read once the host has written all of
them, in a thread beside training, so a save takes no longer. That thread writes nothing: checkpoints are removed and
written over between the steps of training, and there the digests are written, too. A checkpoint whose process was
killed before its digests were there is known by its sizes alone; the run that goes on adds them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import xxhash

from versatune_plugin.artifacts.io import read_json, write_json
from versatune_plugin.errors import VersaTuneError

LOG = logging.getLogger("axolotl.versatune")
DIGESTS_FILE = "versatune_digests.json"
KIND, SCHEMA = "versatune.checkpoint_digests", 1
PIECE_BYTES = 1 << 22


def write_digests(checkpoint: Path, digests: Mapping[str, str]) -> None:
    """Write the digests of a checkpoint's files beside them."""
    try:
        write_json(checkpoint / DIGESTS_FILE, {"kind": KIND, "schema": SCHEMA, "files": dict(digests)})
    except VersaTuneError as error:
        LOG.warning("%s has no digests, so damage to it would be seen by sizes alone: %s", checkpoint, error)


def digests_of(checkpoint: Path) -> dict[str, str]:
    """The digest of each file of a complete checkpoint.

    Raises:
        OSError: one of them cannot be read, or was removed meanwhile.
    """
    return {name: _digest(checkpoint / name) for name in _files(checkpoint)}


def damage(checkpoint: Path) -> str | None:
    """Which file does not hold what it held when it was saved; None if all do, or if there are no digests."""
    if not (checkpoint / DIGESTS_FILE).is_file():
        LOG.info("%s has no digests; its files have the sizes that they had", checkpoint)
        return None
    try:
        digests = read_json(checkpoint / DIGESTS_FILE, KIND, SCHEMA).get("files")
    except VersaTuneError as error:
        return str(error)
    if not isinstance(digests, dict) or not digests:
        return f"{DIGESTS_FILE} lists no files"
    for name, digest in digests.items():
        try:
            if _digest(checkpoint / name) != digest:
                return f"{name} is damaged: it has not the bytes that were saved"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return None


class Digesting:
    """Digests checkpoints one after the other in a thread; all methods are for the thread that saves and removes."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="versatune-digests")
        self._pending: dict[Path, Future[dict[str, str]]] = {}

    def add(self, checkpoints: Iterable[Path]) -> None:
        """Digest those that have none yet."""
        for checkpoint in checkpoints:
            if not (checkpoint / DIGESTS_FILE).exists():
                self._pending[checkpoint] = self._thread.submit(digests_of, checkpoint)

    def forget(self, checkpoint: Path) -> None:
        """Throw away what was found of a checkpoint that is written over."""
        if (pending := self._pending.pop(checkpoint, None)) is not None:
            pending.cancel()

    def write(self, wait: bool = False) -> None:
        """Write the digests that are there by now; with ``wait``, all."""
        for checkpoint, pending in list(self._pending.items()):
            if not (wait or pending.done()):
                continue
            del self._pending[checkpoint]
            error = pending.exception()
            # Else `save_total_limit` removed it meanwhile.
            if checkpoint.is_dir():
                if error is None:
                    write_digests(checkpoint, pending.result())
                else:
                    LOG.warning("%s has no digests: %s", checkpoint, error)


def _files(checkpoint: Path) -> list[str]:
    return [
        path.relative_to(checkpoint).as_posix()
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and DIGESTS_FILE not in path.name
    ]


def _digest(path: Path) -> str:
    """XXH3, 128 bits: as fast as memory; against accidents, not against forgers."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
