"""The commands that compare mixtures. Everything heavy is imported inside a command."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from versatune_plugin.cli.options import CONFIG, FOLDER, report_errors
from versatune_plugin.errors import ConfigurationError


class _WithDefault(click.Group):
    """A group whose own arguments are those of one of its commands, where they name none."""

    default = "run"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help",):
            args = [self.default, *args]
        return super().parse_args(ctx, args)


@click.group(name="compare", cls=_WithDefault)
def comparing() -> None:
    """Did it help, by how much, and is that sure? Trains every mixture with every seed, and compares.

    `compare CONFIG` does all of it here; `compare plan CONFIG` writes the runs for a queue, each of which is done by
    `compare work`, and `compare collect` compares what is finished.
    """


CAMPAIGN_OPTIONS = (
    click.option("--mixtures", required=True, help="As in 'versatune(sigma=2), uniform, again=uniform, random'."),
    click.option("--seeds", type=click.IntRange(1, 1000), default=6, show_default=True, help="So many, from --first."),
    click.option("--first", type=click.IntRange(0), default=1, show_default=True, help="The first seed."),
    click.option("--out", type=FOLDER, default="comparison", show_default=True, help="Where everything is kept."),
    click.option(
        "--baseline", help="Whom the others are compared with. Default: uniform if it is there, else the first."
    ),
    click.option("--test-rows", type=click.IntRange(1), default=32, show_default=True, help="Of each domain, unseen."),
    click.option("--unit", type=click.Choice(["nats_per_token", "bits_per_byte"]), default="nats_per_token"),
    click.option("--importance", multiple=True, metavar="DOMAIN=NUMBER", help="Compare by a weighted mean."),
    click.option("--target", multiple=True, metavar="DOMAIN", help="Its gain is set against what the others lose."),
    click.option("--worth", type=float, help="The smallest difference that you care for; for the seeds needed."),
    click.option("--prior-seconds", type=click.FloatRange(0), default=0.0, help="What `detect` took."),
    click.option("--reference-seconds", type=click.FloatRange(0), default=0.0, help="What `reference` took."),
    click.option("--launcher", help="As in 'accelerate launch -m axolotl.cli.train'. Default: Axolotl, forked here."),
    click.option("--keep-models", is_flag=True, help="Keep the trained weights of every run."),
)


def campaign_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every command that writes a campaign takes."""
    for option in reversed(CAMPAIGN_OPTIONS):
        command = option(command)
    return command


@comparing.command(name="run", hidden=True)
@CONFIG
@campaign_options
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Runs at a time.")
@report_errors
def compare_here(config: Path, jobs: int, **asked: Any) -> None:
    """Train every mixture with every seed here, and compare."""
    from versatune_plugin.console.campaign import run_and_compare

    run_and_compare(_campaign(config, **asked), jobs)


@comparing.command(name="plan")
@CONFIG
@campaign_options
@report_errors
def compare_plan(config: Path, **asked: Any) -> None:
    """Write every run for a queue: a YAML and a command each, a Slurm array, a shell script."""
    from versatune_plugin.console.campaign import plan_for_queues

    plan_for_queues(_campaign(config, **asked))


@comparing.command(name="work")
@click.argument("folder", type=FOLDER)
@click.option("--run", "runs", multiple=True, help="One of the runs. Default: all that is left.")
@click.option("--tied", is_flag=True, hidden=True, help="End with the process that started this one.")
@report_errors
def compare_work(folder: Path, runs: tuple[str, ...], tied: bool) -> None:
    """Do what is left of a planned comparison; any number of these may work at once."""
    from versatune_plugin.comparing.local import tie_to_parent
    from versatune_plugin.console.campaign import do_work

    if tied:
        tie_to_parent()
    do_work(folder, runs)


@comparing.command(name="collect")
@click.argument("folder", type=FOLDER)
@report_errors
def compare_collect(folder: Path) -> None:
    """Compare what is finished."""
    from versatune_plugin.console.campaign import show_collected

    show_collected(folder)


def _campaign(
    config: Path,
    mixtures: str,
    seeds: int,
    first: int,
    out: Path,
    baseline: str | None,
    importance: tuple[str, ...],
    target: tuple[str, ...],
    unit: Any,
    worth: float | None,
    launcher: str | None,
    **others: Any,
) -> Any:
    """What is asked for by the options of a command."""
    from versatune_plugin.comparing.campaign import Plan
    from versatune_plugin.comparing.contenders import read_contenders
    from versatune_plugin.comparing.tables import Question

    contenders = read_contenders(mixtures)
    names = [one.name for one in contenders]
    chosen = baseline if baseline is not None else "uniform" if "uniform" in names else names[0]
    if chosen not in names:
        raise ConfigurationError(f"--baseline is {chosen!r}, but the mixtures are {', '.join(names)}")
    weights: dict[str, float] = {}
    for one in importance:
        name, _, number = one.rpartition("=")
        try:
            weights[name] = float(number)
        except ValueError:
            raise ConfigurationError(f"--importance {one}: is not of the form DOMAIN=NUMBER, as in law=2") from None
    return Plan(
        config=config,
        contenders=contenders,
        seeds=tuple(range(first, first + seeds)),
        question=Question(chosen, unit, importance=weights or None, targets=target, worth=worth),
        out=out,
        launcher=tuple(shlex.split(launcher or "")),
        command=shlex.join(["axolotl", "versatune", *sys.argv[sys.argv.index("compare") :]])
        if "compare" in sys.argv
        else "",
        **others,
    )
