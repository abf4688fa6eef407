"""One run at a time in an output directory: two would write each other's record and checkpoints.

The lock is the system's (`fcntl.lockf`): it dies with the process that holds it, however that ends, and no child
inherits it, so a stale one never blocks. It holds between machines where the file system passes locks on, as NFS does;
where there are none, a warning says so. The file says who holds it and goes when the lock is released.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import shlex
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from versatune_plugin.errors import ConfigurationError

LOG = logging.getLogger("axolotl.versatune")
LOCK_FILE = ".versatune.lock"


class FolderLock:
    """Taken by the first process of a run, before it writes anything into its output directory.

    Args:
        output_dir: Axolotl's ``output_dir``.

    Raises:
        VersaTuneError: another process holds it; who that is, and since when.
    """

    def __init__(self, output_dir: Path) -> None:
        output_dir.mkdir(parents=True, exist_ok=True)
        self._path = output_dir / LOCK_FILE
        self._file = self._taken(output_dir)
        holder = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": shlex.join(sys.argv),
        }
        self._file.truncate(0)
        self._file.write(json.dumps(holder).encode())
        self._file.flush()

    def _taken(self, output_dir: Path) -> BinaryIO:
        while True:
            file = self._path.open("a+b")
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    LOG.warning("%s has no locks (%s): see that no other run writes there", output_dir, error.strerror)
                    return file
                raise ConfigurationError(
                    f"{output_dir} is in use by {_holder(file)}: wait for it, or choose another `output_dir`"
                ) from error
            # Whoever held it may have removed the file since it was opened.
            if self._path.exists() and os.fstat(file.fileno()).st_ino == self._path.stat().st_ino:
                return file
            file.close()

    def release(self) -> None:
        """Let another run have the directory."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return f"process {holder['process']} on {holder['host']} since {holder['since']} ({holder['command']})"
    except (ValueError, KeyError, TypeError):
        # It is just being written.
        return "another run that has just begun"
