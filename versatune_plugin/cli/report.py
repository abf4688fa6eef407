"""The command that makes a page of runs. Everything heavy is imported inside it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from versatune_plugin.cli.options import FILE, report_errors
from versatune_plugin.errors import ConfigurationError


@click.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=FILE, help="The page. Default: DIR/versatune.html; of several, versatune-report.html here.")
@click.option("--watch", "watched", is_flag=True, help="Write nothing: serve it to this machine alone, until Ctrl-C.")
@report_errors
def report(folders: tuple[Path, ...], out: Path | None, watched: bool) -> None:
    """Write a page of HTML about runs, side by side, or a comparison: DIR is an `output_dir`, or its folder."""
    from versatune_plugin.report.watch import watch
    from versatune_plugin.report.write import write_report

    if watched and out is not None:
        raise ConfigurationError(f"--watch writes nothing, so there is no --out {out}: leave one of the two out")
    given = [*map(str, folders), *(["--out", str(out)] if out is not None else ["--watch"] if watched else [])]
    command = shlex.join(["axolotl", "versatune", "report", *given])
    if watched:
        watch(folders, command, click.echo)
    else:
        click.echo(write_report(folders, command, out))
