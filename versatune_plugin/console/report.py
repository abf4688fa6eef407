"""The page of HTML that is written of itself, once runs are over."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

LOG = logging.getLogger("axolotl.versatune")


def write_page(folders: Sequence[Path], out: Path | None = None) -> str:
    """Write the page about runs; whatever stands in its way, the runs themselves are over and done.

    Args:
        folders: their output directories.
        out: the page; None: beside the record of the one run.

    Returns:
        A line that says where it is, or why it is not there.
    """
    named = ["--out", str(out)] if out is not None else []
    command = shlex.join(["axolotl", "versatune", "report", *map(str, folders), *named])
    try:
        from versatune_plugin.report.write import write_report

        return f"  the report, for a browser, is {write_report(folders, command, out)}"
    except Exception as error:
        LOG.debug("the report was not written", exc_info=True)
        why = " ".join(str(error).split())
        return f"  there is no report ({type(error).__name__}: {why}); once that is mended, `{command}` makes it"
