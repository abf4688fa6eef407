"""A campaign on the terminal: what it will do, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from versatune_plugin.comparing.campaign import CampaignFile, Plan, result_file, write_campaign, write_scripts
from versatune_plugin.comparing.collect import collect
from versatune_plugin.comparing.files import write_comparison
from versatune_plugin.comparing.local import run_campaign
from versatune_plugin.comparing.power import fewest_seeds
from versatune_plugin.comparing.work import work
from versatune_plugin.console.comparison import show_comparison
from versatune_plugin.console.report import write_page
from versatune_plugin.console.tables import new_console, say
from versatune_plugin.errors import ArtifactError
from versatune_plugin.host.quiet import quiet_host
from versatune_plugin.schema.wording import counted


def run_and_compare(plan: Plan, workers: int) -> None:
    """Write a campaign, do it here, and show what came of it.

    Args:
        plan: what is asked for.
        workers: runs that are trained at a time.
    """
    show_planned(plan, _written(plan), workers)
    run_campaign(plan.out, workers)
    show_collected(plan.out)


def plan_for_queues(plan: Plan) -> None:
    """Write a campaign for others to do."""
    campaign = _written(plan)
    files = write_scripts(plan.out, campaign)
    show_planned(plan, campaign, None)
    console = new_console()
    say(console, "Do them with any of these, in any order and on any machines that see the folder:")
    for file in files:
        say(console, f"  {file}")
    say(console, f"Then: versatune compare collect {plan.out}")


def do_work(out: Path, names: Sequence[str]) -> None:
    """Do runs of a campaign in this process.

    Raises:
        ArtifactError: some failed.
    """
    failures = work(out, names)
    if failures:
        raise ArtifactError.collected(
            f"{counted(len(failures), 'run')} of {out} failed", [f"{one.folder}: {one.said}" for one in failures]
        )


def show_collected(out: Path) -> None:
    """Compare what is finished, print it, and write its files into the campaign's folder."""
    comparison, missing = collect(out)
    show_comparison(comparison)
    console = new_console()
    if missing:
        say(console, f"warning: not finished, and so not in it: {', '.join(missing)}", "yellow")
    for file in write_comparison(comparison, out):
        say(console, str(file))
    say(console, write_page([out]))


def show_planned(plan: Plan, campaign: CampaignFile, workers: int | None) -> None:
    """Say what a campaign will do, and whether it can show anything.

    Args:
        plan: what was asked for.
        campaign: what was written.
        workers: runs that are trained at a time; None: others do them.
    """
    console = new_console()
    jobs = campaign.jobs
    done = sum(result_file(plan.out, job.folder).is_file() for job in jobs)
    contenders, seeds = counted(len(plan.contenders), "mixture"), counted(len(plan.seeds), "seed")
    finished = f", {done} of them finished already" if done else ""
    say(console, f"{contenders} x {seeds} = {counted(len(jobs), 'run')}{finished}; baseline {plan.question.baseline!r}")
    kept = "kept" if plan.keep_models else "removed as soon as it is measured"
    say(console, f"compared on {counted(plan.test_rows, 'test row')} of each domain; the model of a run is {kept}")
    needed = fewest_seeds(len(plan.contenders) - 1)
    if len(plan.seeds) < needed:
        say(
            console,
            f"warning: {seeds} can show an effect, but never call one significant: with "
            f"{counted(len(plan.contenders) - 1, 'comparison')} that takes {needed} (Holm)",
            "yellow",
        )
    for name, seconds, what in (
        ("--prior-seconds", plan.prior_seconds, "knowledge"),
        ("--reference-seconds", plan.reference_seconds, "reference"),
    ):
        if not seconds and _uses(plan, what):
            say(console, f"warning: what the {what} file cost is not known, and counts as 0; give {name}", "yellow")


def _written(plan: Plan) -> CampaignFile:
    with quiet_host():
        return write_campaign(plan)


def _uses(plan: Plan, what: str) -> bool:
    from versatune_plugin.comparing.campaign import config_file, read_campaign
    from versatune_plugin.host.yaml_file import read_yaml

    jobs = read_campaign(plan.out).jobs
    return any(isinstance(read_yaml(config_file(plan.out, job.folder))["versatune"].get(what), str) for job in jobs)
