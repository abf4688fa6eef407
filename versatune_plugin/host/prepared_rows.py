"""Tokenised rows that Axolotl keeps under ``dataset_prepared_path``: what a killed process left unfinished there.

Axolotl takes a folder that has any file for a finished one, so a run killed while its rows were prepared could never be
started again. ``datasets`` writes the two JSON files of a folder last, which is how an unfinished one is known.

Tested with axolotl 0.19.0, datasets 4.8.
"""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from typing import Any

from axolotl.common.const import DEFAULT_DATASET_PREPARED_PATH
from axolotl.utils.data.lock import LOCK_FILE_NAME
from filelock import FileLock

from versatune_plugin.artifacts import is_json

LOG = logging.getLogger("axolotl.versatune")
WRITTEN_LAST = ("state.json", "dataset_info.json")
# Axolotl names these folders by an MD5 sum; any other folder there is the user's.
PREPARED = "[0-9a-f]{32}"


def remove_unfinished_rows(cfg: Any) -> None:
    """Remove unfinished folders of prepared rows, so that their rows are prepared anew.

    Args:
        cfg: Axolotl's validated configuration.
    """
    prepared = Path(cfg.dataset_prepared_path or DEFAULT_DATASET_PREPARED_PATH)
    if not prepared.is_dir():
        return
    # Axolotl holds this lock while it prepares rows, so nobody is at it now.
    with FileLock(prepared / LOCK_FILE_NAME):
        for folder in sorted({path.parent for path in prepared.glob("*/*.arrow")}):
            if re.fullmatch(PREPARED, folder.name) and not all(is_json(folder / name) for name in WRITTEN_LAST):
                LOG.warning("%s: rows whose preparation was stopped; they are prepared anew", folder)
                shutil.rmtree(folder)
