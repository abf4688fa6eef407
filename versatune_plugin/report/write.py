"""From directories to the page on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from versatune_plugin.artifacts.io import write_text
from versatune_plugin.artifacts.record import RECORD_FILE
from versatune_plugin.errors import ArtifactError
from versatune_plugin.report.page import is_page, make_page
from versatune_plugin.report.parts import Section
from versatune_plugin.report.run import read_runs
from versatune_plugin.report.run_sections import run_sections

PAGE_FILE = "versatune.html"
SEVERAL_FILE = "versatune-report.html"
COMPARISON_FILE = "comparison.json"
TIME = "%Y-%m-%d %H:%M UTC"


def write_report(folders: Sequence[Path], command: str, out: Path | None = None) -> Path:
    """Write the page about runs, comparisons, or both.

    Args:
        folders: output directories of runs, and folders of comparisons.
        command: what makes the page anew.
        out: its file. None: beside the record of the one run, or here for several.

    Returns:
        The file.

    Raises:
        ArtifactError: a folder is neither, something in it cannot be read, or the page cannot be written.
    """
    if out is None:
        out = folders[0] / PAGE_FILE if len(folders) == 1 else Path(SEVERAL_FILE)
    html = report(folders, command, datetime.now(UTC).strftime(TIME))
    if out.is_file() and not is_page(out):
        raise ArtifactError(
            f"{out}: is no page of `axolotl versatune report`, and would be lost: move it, or name another file"
        )
    write_text(out, html)
    return out


def report(folders: Sequence[Path], command: str, made_at: str) -> str:
    """The page as HTML.

    Args:
        folders: as of `write_report`.
        command: as of `write_report`.
        made_at: when it is made.

    Raises:
        ArtifactError: as of `write_report`.
    """
    compared = [folder for folder in folders if (folder / COMPARISON_FILE).is_file()]
    ran = [folder for folder in folders if (folder / RECORD_FILE).is_file()]
    if nothing := [str(folder) for folder in folders if folder not in (*compared, *ran)]:
        raise ArtifactError.collected(
            f"no report of {', '.join(nothing)}",
            [
                f"{folder}: neither a run (no {RECORD_FILE} in it) nor a comparison (no {COMPARISON_FILE}); name an "
                "`output_dir`, or the folder of a comparison"
                for folder in nothing
            ],
        )
    sections: list[Section] = []
    for number, folder in enumerate(compared):
        # Comparisons bring SciPy, which a run at its end need not wait for.
        from versatune_plugin.report.comparison_sections import comparison_sections

        sections += comparison_sections(folder / COMPARISON_FILE, number)
    runs = read_runs(ran)
    sections += run_sections(runs) if runs else ()
    names = [folder.absolute().name for folder in compared] + [run.name for run in runs]
    return make_page(f"VersaTune: {', '.join(names)}", sections, command, made_at)
