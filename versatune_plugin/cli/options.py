"""What the commands have in common: errors as messages, and options that mean the same everywhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from versatune_plugin.errors import ConfigurationError, VersaTuneError
from versatune_plugin.host.plain_errors import STATUS, report


def report_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Print a `VersaTuneError` as a message instead of a traceback, and end with status 2."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except VersaTuneError as error:
            report(error, sys.stderr)
            sys.exit(STATUS)

    return run


PICTURES = (".png", ".svg", ".pdf")


def _quiet_imports(context: click.Context, option: click.Parameter, verbose: bool) -> bool:
    """What these libraries warn of when they are imported is about their own insides."""
    for library in () if verbose else ("torchao", "torch.utils._pytree"):
        logging.getLogger(library).setLevel(logging.ERROR)
    return verbose


VERBOSE = click.option("--verbose", is_flag=True, callback=_quiet_imports, help="Show what Axolotl logs as well.")
FILE = click.Path(dir_okay=False, path_type=Path)
READ = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
CONFIG = click.argument("config", type=READ)


def check_picture(path: Path | None) -> None:
    """See that a picture is of a kind that can be drawn.

    Raises:
        ConfigurationError: it is not.
    """
    if path is not None and path.suffix not in PICTURES:
        raise ConfigurationError(f"--plot {path}: a picture is a {', '.join(PICTURES)} file; name one")
