"""Tokenised rows that Axolotl keeps under ``dataset_prepared_path``: which are of today's files, and which are whole.

Axolotl finds kept rows by a hash of the configuration that sees neither what a file holds nor some of the options that
shape rows, so an edited file would train its old rows. Hence every content gets a folder of its own there,
``versatune-<hash>``, and what was prepared from other files, options or tokenizers is never looked at.

Axolotl also takes a folder that has any file for a finished one, so a run killed while its rows were prepared could
never be started again. ``datasets`` writes the two JSON files of a folder last: so an unfinished one is known.

Tested with axolotl 0.19.0, datasets 4.8.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib.metadata
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from axolotl.common.const import DEFAULT_DATASET_PREPARED_PATH
from axolotl.utils.data.lock import LOCK_FILE_NAME
from filelock import FileLock

from versatune_plugin.artifacts.fingerprint import tokenizer_fingerprint
from versatune_plugin.artifacts.io import is_json, read_json, write_json
from versatune_plugin.errors import ConfigurationError, VersaTuneError

LOG = logging.getLogger("axolotl.versatune")
WRITTEN_LAST = ("state.json", "dataset_info.json")
# Axolotl names these folders by an MD5 sum; any other folder there is the user's.
PREPARED = "[0-9a-f]{32}"
DIGESTS_FILE = "versatune_files.json"
DIGESTS_KIND, DIGESTS_SCHEMA = "versatune.files", 1
# What, beside the entries of `datasets` and their files, decides the rows that Axolotl prepares.
SHAPING_ROWS = (
    "sequence_len", "excess_length_strategy", "min_sample_len", "max_prompt_len", "train_on_inputs", "sample_packing",
    "eval_sample_packing", "eval_sequence_len", "chat_template", "chat_template_jinja", "chat_template_kwargs",
    "default_system_message", "eot_tokens", "special_tokens", "tokens", "added_tokens_overrides", "model_config_type",
    "kd_temperature", "tokenizer_use_mistral_common",
)  # fmt: skip
# Local files up to this size are prepared in this process: starting a pool takes longer.
SMALL_BYTES = 32 << 20


class PreparedRows:
    """The place of the prepared rows of some entries of ``datasets``, and how they are best prepared.

    Args:
        cfg: Axolotl's validated configuration.
        entries: of ``datasets`` and ``test_datasets``.
        tokenizer: the run's.

    Attributes:
        folder: for these very entries, files, options and this tokenizer.
        small: all of it is local and small.
    """

    def __init__(self, cfg: Any, entries: Sequence[Mapping[str, Any]], tokenizer: Any) -> None:
        base = Path(cfg.dataset_prepared_path or DEFAULT_DATASET_PREPARED_PATH)
        paths = {path: None for entry in entries for path in local_files(entry)}
        templates = (cfg.chat_template_jinja, *(entry.get("chat_template_jinja") for entry in entries))
        files = [*paths, *(path for path in map(_template_file, templates) if path is not None)]
        base.mkdir(parents=True, exist_ok=True)
        with FileLock(base / LOCK_FILE_NAME):
            digests, self._cache_is_stale = _digests(base / DIGESTS_FILE, files)
        made_of = {
            "entries": [_plain(entry) for entry in entries],
            "files": digests,
            "settings": {name: _plain(cfg.get(name)) for name in SHAPING_ROWS},
            # Axolotl cuts a data set into `shards` at random.
            "seed": cfg.seed
            if any(entry.get("shards") or entry.get("preprocess_shards") for entry in entries)
            else None,
            "tokenizer": [tokenizer_fingerprint(tokenizer), str(tokenizer.chat_template)],
            "axolotl": importlib.metadata.version("axolotl"),
        }
        digest = hashlib.blake2b(json.dumps(made_of, sort_keys=True).encode(), digest_size=8).hexdigest()
        self.folder = base / f"versatune-{digest}"
        self.small = all(local_files(entry) for entry in entries) and sum(map(_size, paths)) <= SMALL_BYTES

    @contextlib.contextmanager
    def prepared(self, cfg: Any) -> Iterator[Any]:
        """Axolotl's configuration for preparing these rows: a copy of ``cfg`` that was made for it, changed."""
        _remove_unfinished(self.folder)
        cfg.dataset_prepared_path = str(self.folder)
        processes = os.environ.get("AXOLOTL_DATASET_NUM_PROC")
        cache = datasets.config.HF_DATASETS_CACHE
        if self.small:
            cfg.dataset_num_proc = 0
            os.environ["AXOLOTL_DATASET_NUM_PROC"] = "0"
        if self._cache_is_stale:
            datasets.config.HF_DATASETS_CACHE = self.folder / "cache"
        try:
            yield cfg
        finally:
            datasets.config.HF_DATASETS_CACHE = cache
            os.environ.pop("AXOLOTL_DATASET_NUM_PROC", None)
            if processes is not None:
                os.environ["AXOLOTL_DATASET_NUM_PROC"] = processes


def local_files(entry: Mapping[str, Any]) -> list[str]:
    """The local files that an entry of ``datasets`` reads, as paths; none where it reads from elsewhere."""
    path = str(entry.get("path"))
    named = entry.get("data_files") or []
    patterns = (
        list(named.values()) if isinstance(named, Mapping) else [named] if isinstance(named, str) else list(named)
    )
    flat = [one for pattern in patterns for one in ([pattern] if isinstance(pattern, str) else pattern)]
    found = [match for pattern in flat for match in sorted(glob.glob(str(pattern), recursive=True))]  # noqa: PTH207 - absolute patterns too
    if Path(path).is_file():
        found.append(path)
    elif Path(path).is_dir():
        found += [str(inner) for inner in sorted(Path(path).rglob("*")) if not inner.name.startswith(".")]
    return [one for one in found if Path(one).is_file()]


def _template_file(template: Any) -> str | None:
    # A template may stand in the YAML itself, longer than any path.
    text = str(template or "")
    return text if "\n" not in text and 0 < len(text) < 4096 and Path(text).is_file() else None


def _digests(kept: Path, paths: Sequence[str]) -> tuple[dict[str, str], bool]:
    """A hash of each file's bytes, and whether the cache of ``datasets`` may hold other bytes of one of them.

    A file is read again only if its size, times, inode or device are not those that stand in ``kept``. ``datasets``
    knows a file by its time of change alone: its cache is wrong about one that was changed and given its old time.
    """
    known = _known(kept)
    digests: dict[str, str] = {}
    stale = False
    for path in paths:
        name = str(Path(path).absolute())
        try:
            stat = Path(path).stat()
            marks = [stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino, stat.st_dev]
            before: dict[str, Any] = known.get(name, {})
            if before.get("marks") != marks:
                with Path(path).open("rb") as file:
                    digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
                changed = bool(before) and before["digest"] != digest
                if changed:
                    LOG.warning("%s has changed since its rows were prepared: they are prepared anew", path)
                same_time = bool(before) and before["marks"][0] == marks[0]
                known[name] = {
                    "marks": marks,
                    "digest": digest,
                    "stale": same_time and (changed or before["stale"]),
                }
        except OSError as error:
            raise ConfigurationError(
                f"{path}: cannot be read ({error.strerror}); make it readable, or remove it"
            ) from error
        digests[path] = known[name]["digest"]
        stale = stale or known[name]["stale"]
    write_json(kept, {"kind": DIGESTS_KIND, "schema": DIGESTS_SCHEMA, "files": known})
    return digests, stale


def _known(kept: Path) -> dict[str, dict[str, Any]]:
    # It only spares reading the files again, so a damaged one is as good as none.
    try:
        files = read_json(kept, DIGESTS_KIND, DIGESTS_SCHEMA).get("files")
    except VersaTuneError:
        return {}
    entries = files if isinstance(files, dict) else {}
    wanted = {"marks", "digest", "stale"}
    return {name: one for name, one in entries.items() if isinstance(one, dict) and one.keys() == wanted}


def _remove_unfinished(folder: Path) -> None:
    """Remove unfinished folders of prepared rows in ``folder``, so that their rows are prepared anew."""
    if not folder.is_dir():
        return
    # Axolotl holds this lock while it prepares rows, so nobody is at it now.
    with FileLock(folder / LOCK_FILE_NAME):
        for inner in sorted({path.parent for path in folder.glob("*/*.arrow")}):
            if re.fullmatch(PREPARED, inner.name) and not all(is_json(inner / name) for name in WRITTEN_LAST):
                LOG.warning("%s: rows whose preparation was stopped; they are prepared anew", inner)
                shutil.rmtree(inner)


def _size(path: str) -> int:
    return Path(path).stat().st_size


def _plain(value: Any) -> Any:
    """As plain JSON, what is not set left out."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, bool | int | float | str | None) else str(value)
