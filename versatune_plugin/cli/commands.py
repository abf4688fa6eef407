"""The commands: ``versatune ...`` and ``axolotl versatune ...``. Everything heavy is imported inside a command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from versatune_plugin import __version__
from versatune_plugin.cli.comparing import comparing
from versatune_plugin.cli.options import CONFIG, FILE, FOLDER, PICTURES, READ, VERBOSE, check_picture, report_errors
from versatune_plugin.cli.report import report
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.host.plain_errors import STATUS


@click.group(name="versatune")
@click.version_option(__version__, package_name="versatune")
def versatune() -> None:
    """Mixtures of domains that move while a model is fine-tuned."""


versatune.add_command(comparing)
versatune.add_command(report)


JUDGE_OPTIONS = (
    click.option(
        "--judge",
        help="classifier (trained on your own rows), http (a served chat model), model (an instruct model, loaded "
        "here), or embedding. Default: classifier.",
    ),
    click.option("--judge-model", help="A path or a hub id; for --judge http the name under which it is served."),
    click.option("--judge-url", multiple=True, help="For --judge http: a server's address; several share the work."),
    click.option("--judge-key-env", help="For --judge http: the environment variable that holds the key."),
    click.option("--judge-answers", help="For --judge http: logprobs, json, or auto. Default: auto."),
    click.option("--judge-rotations", type=int, help="For --judge http: orders of the options. Default: all."),
    click.option("--judge-concurrency", type=int, help="For --judge http: questions at a time. Default: 16."),
    click.option("--judge-price", type=(float, float), help="Of a million tokens read, and written, by --judge http."),
    click.option("--training-rows", type=int, help="For --judge classifier: rows of each domain. Default: 1000."),
    click.option("--max-new-tokens", type=int, help="Tokens of a text. Default: 128."),
    click.option(
        "--max-unparsed", type=float, help="Share of texts without a judgement that is too many. Default: 0.02."
    ),
    click.option("--batch-size", type=int, help="Texts generated, and judged, at a time. Default: 64."),
    click.option("--seed", type=int, help="Of sampling, rows, judge and bootstrap. Default: 42."),
)


def judge_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every command with a judge takes."""
    for option in reversed(JUDGE_OPTIONS):
        command = option(command)
    return command


@versatune.command()
@CONFIG
@click.option("--out", type=FILE, help="The knowledge file. Default: what the YAML names, or knowledge.json.")
@click.option("--preset", help="paper: 40000 texts x 5 iterations; default: 2000 x 5; quick: 500 x 2.")
@click.option("--texts", type=int, help="Texts per iteration (N_S). Default: 2000.")
@click.option("--iterations", type=int, help="At most so many iterations (T). Default: 5.")
@click.option(
    "--tolerance", type=float, help="End once every 95 % half width is at most this; 0: never. Default: 0.01."
)
@click.option("--temperature", type=float, help="Of the sampling. Default: 1.")
@click.option("--estimator", help="The shares that a run uses: mean, label, adjusted or em. Default: mean.")
@click.option("--server-url", multiple=True, help="A server of the base model, to write the texts; several share them.")
@click.option("--server-model", help="The name under which it is served. Default: the only one.")
@click.option("--server-key-env", help="The environment variable that holds its key.")
@click.option("--server-concurrency", type=int, help="Requests at a time to each server. Default: 16.")
@click.option("--texts-per-request", type=int, help="Texts that one request asks for. Default: 8.")
@judge_options
@click.option("--only-estimate", is_flag=True, help="Do the first batch, say what all would take, and end.")
@VERBOSE
@report_errors
def detect(config: Path, preset: str | None, verbose: bool, **given: Any) -> None:
    """Detect which domains the base model knows, and how well: its knowledge distribution (Algorithm 1)."""
    from versatune_plugin.console.knowledge import show_knowledge
    from versatune_plugin.console.tables import new_console, say
    from versatune_plugin.host.quiet import quiet_host
    from versatune_plugin.knowledge.detect import detect as run
    from versatune_plugin.knowledge.options import DetectionOptions

    console = new_console()
    with quiet_host(verbose):
        knowledge = run(config, DetectionOptions.choose(preset, **given), partial(say, console))
    if knowledge is not None:
        show_knowledge(knowledge, console)


@versatune.command("judge-check")
@CONFIG
@click.option("--out", type=FILE, help="The file of the check. Default: beside the knowledge file, NAME.judge.json.")
@click.option("--rows", type=int, help="Labelled rows of each domain at most. Default: 200.")
@click.option("--plot", type=FILE, help="Draw the confusion and the reliability (.png, .svg, .pdf).")
@judge_options
@VERBOSE
@report_errors
def judge_check(config: Path, verbose: bool, **given: Any) -> None:
    """Measure a judge on held-out rows of the configuration's own domains, and calibrate it."""
    from versatune_plugin.console.judge_check import show_check
    from versatune_plugin.console.tables import new_console
    from versatune_plugin.host.quiet import quiet_host
    from versatune_plugin.knowledge.check import check_judge
    from versatune_plugin.knowledge.options import CheckOptions

    console = new_console()
    options = CheckOptions.choose(**given)
    if options.plot is not None and options.plot.suffix not in PICTURES:
        raise ConfigurationError(f"--plot {options.plot}: a picture is a {', '.join(PICTURES)} file; name one")
    with quiet_host(verbose):
        path, figures = check_judge(config, options)
    show_check(console, path, figures, options.plot)


@versatune.command()
@click.option("--out", type=FOLDER, default="quickstart-out", show_default=True, help="Where everything is written.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Another seed, other figures.")
@click.option("--preset", default="default", show_default=True, help="default, short, real or real-short.")
@click.option("--rows", type=FOLDER, help="Your own rows, <domain>.jsonl in alpaca format, instead of made ones.")
@report_errors
def quickstart(out: Path, seed: int, preset: str, rows: Path | None) -> None:
    """The whole path on a small model made on the spot: offline, on a CPU, in minutes."""
    from versatune_plugin.quickstart.run import run_quickstart

    run_quickstart(out, seed, preset, rows)


@versatune.command()
@CONFIG
@click.option("--model", help="The reference model: a path or a hub id. Default: the run's own base_model.")
@click.option("--epochs", type=click.IntRange(1, 1000), default=3, show_default=True, help="Passes over each domain.")
@click.option("--out", type=FILE, help="The file. Default: what the YAML names.")
@VERBOSE
@report_errors
def reference(config: Path, model: str | None, epochs: int, out: Path | None, verbose: bool) -> None:
    """Measure each domain's mastery ceiling: the lowest held-out loss of a model tuned on it alone."""
    from versatune_plugin.console.reference import show_references
    from versatune_plugin.console.tables import new_console, say
    from versatune_plugin.host.quiet import quiet_host
    from versatune_plugin.reference.measure import measure_references

    console = new_console()
    with quiet_host(verbose):
        file, losses = measure_references(config, model=model, epochs=epochs, out=out, tell=partial(say, console))
    show_references(console, file, losses)


@versatune.command()
@CONFIG
@click.option("--processes", type=click.IntRange(min=1), help="Processes of the run to plan. Default: of this launch.")
@VERBOSE
@report_errors
def plan(config: Path, processes: int | None, verbose: bool) -> None:
    """Print what a configuration would do, without training: rows, shares, passes, stages, updates, cost."""
    from versatune_plugin.console.run_plan import show_plan

    show_plan(config, processes, verbose)


@versatune.group(name="knowledge")
def knowledge_files() -> None:
    """Look at knowledge files, compare two, or make one of counts."""


@knowledge_files.command()
@click.argument("files", nargs=-1, required=True, type=READ)
@click.option("--plot", type=FILE, help="Draw stacked bars side by side (.png, .svg, .pdf).")
@click.option("--json", "json_file", type=FILE, help="Write everything as JSON.")
@report_errors
def show(files: tuple[Path, ...], plot: Path | None, json_file: Path | None) -> None:
    """Show knowledge FILES side by side: shares, intervals, bars, and how each was made."""
    from versatune_plugin.console.knowledge_files import show_knowledge_files

    check_picture(plot)
    show_knowledge_files(files, plot, json_file)


@knowledge_files.command()
@click.argument("first", type=READ)
@click.argument("second", type=READ)
@click.option("--json", "json_file", type=FILE, help="Write everything as JSON.")
@report_errors
def compare(first: Path, second: Path, json_file: Path | None) -> None:
    """How far two knowledge files are apart: total variation and differences, with 95 % intervals."""
    from versatune_plugin.console.knowledge_files import show_knowledge_comparison

    show_knowledge_comparison(first, second, json_file)


@knowledge_files.command(name="from-counts")
@click.argument("counts", nargs=-1, required=True, metavar="NAME=COUNT...")
@click.option("--out", type=FILE, required=True, help="The knowledge file.")
@click.option("--base-model", help="The model that wrote the texts.")
@click.option("--source", help="Where the counts come from.")
@click.option("--warning", help="What whoever uses the file should know; every run with it shows this.")
@report_errors
def from_counts(counts: tuple[str, ...], out: Path, **facts: str | None) -> None:
    """Write a knowledge file from how many texts were judged to be of each domain, as in law=571 medicine=866."""
    from versatune_plugin.console.knowledge_files import show_knowledge_files
    from versatune_plugin.knowledge.counts import write_counts

    write_counts(counts, out, {name: text for name, text in facts.items() if text and text.strip()})
    show_knowledge_files([out])


@versatune.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@report_errors
def doctor(as_json: bool) -> None:
    """Say what is active in this environment, which versions, and what is missing."""
    from versatune_plugin.console.doctor import show_doctor

    if not show_doctor(as_json):
        sys.exit(STATUS)


@versatune.command()
@click.argument("name", required=False)
@report_errors
def mixtures(name: str | None) -> None:
    """List every mixture with its options, defaults, cost and source; or only NAME."""
    from versatune_plugin.console.mixtures import show_mixtures

    show_mixtures(name)


@versatune.command()
def tasks() -> None:
    """Print the folder of the evaluation tasks, for `lm_eval --include_path`."""
    from versatune_plugin.host.startup import eval_tasks_directory

    click.echo(eval_tasks_directory())


@versatune.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--gain",
    "gains",
    type=(str, str),
    multiple=True,
    metavar="RUN BASELINE",
    help="The relative gain of one run over another; give it once for each model, and the mean is shown too.",
)
@click.option("--json", "json_file", type=FILE, help="Write everything as JSON.")
@click.option("--csv", "csv_file", type=FILE, help="Write a plain table, which this command also reads.")
@click.option("--plot", type=FILE, help="Draw the domain scores with their errors (.png, .svg, .pdf).")
@report_errors
def scores(
    results: tuple[Path, ...],
    gains: tuple[tuple[str, str], ...],
    json_file: Path | None,
    csv_file: Path | None,
    plot: Path | None,
) -> None:
    """Domain scores of the twelve benchmarks: RESULTS are directories of lm-eval's results, or plain tables (.csv)."""
    from versatune_plugin.artifacts.io import check_writable, write_json
    from versatune_plugin.console.plots import check_plotted, plot_scores
    from versatune_plugin.console.scores import show_gains, show_scores
    from versatune_plugin.evaluation.figures import as_json, write_csv
    from versatune_plugin.evaluation.results import read_runs
    from versatune_plugin.evaluation.scores import relative_gains

    check_picture(plot)
    files = [file for file in (json_file, csv_file, plot) if file is not None]
    for file in files:
        check_writable(file)
    runs = read_runs(results)
    by_name = {run.name: run for run in runs}
    unknown = sorted({name for pair in gains for name in pair if name not in by_name})
    if unknown:
        raise ConfigurationError(f"--gain names {', '.join(unknown)}, but the runs are {', '.join(by_name)}")
    # What was measured is seen before anything that cannot be made of it is refused; files are all written, or none.
    show_scores(runs)
    found = relative_gains([(by_name[run], by_name[baseline]) for run, baseline in gains])
    show_gains(found)
    if plot is not None:
        check_plotted(runs)
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    if json_file is not None:
        write_json(json_file, {"kind": "versatune.scores", "schema": 1, **as_json(runs, found)})
    if csv_file is not None:
        write_csv(runs, found, csv_file)
    if plot is not None:
        plot_scores(runs, plot)
