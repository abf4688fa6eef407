"""The parts of the page that are about runs, one or several side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from versatune_plugin.report.parts import UNKNOWN, Cell, Figure, Section, Table, count_cell, curves, figure_cell
from versatune_plugin.report.run import Points, RunFolder
from versatune_plugin.report.svg import Span, span_chart
from versatune_plugin.schema.wording import counted

NATS = "nats per token"
# Charts of what only some mixtures observe: key, heading, unit, what it means.
OBSERVED = (
    (
        "potential",
        "Learnable potential",
        "share of the loss",
        "max((loss - mastery ceiling) / loss, 0), what a domain can still learn",
    ),
    (
        "forgetting",
        "Forgetting",
        "share of the loss",
        "max((loss - loss before) / loss before, 0), what a domain lost since the update before",
    ),
    (
        "difficulty",
        "Difficulty",
        "perplexity over that at start",
        "the mean over held-out rows of perplexity now / before training",
    ),
)
# Of the first line, what has a section of its own, or says nothing to a reader.
ELSEWHERE = ("kind", "schema", "versions", "training_rows", "weights", "prior", "reference")


def run_sections(runs: Sequence[RunFolder]) -> Iterator[Section]:
    """All parts, from what matters most to what is looked up.

    Args:
        runs: with unlike names.
    """
    # By name, so that a domain looks alike in all charts of the page.
    looks = {name: number for number, name in enumerate(sorted({name for run in runs for name in run.domains}))}
    yield _overview(runs)
    moved = [_weights(runs, looks), *([_heldout(runs, looks)] if any(run.figures("loss") for run in runs) else [])]
    observed = list(_observed(runs, looks))
    if len(runs) == 1:
        # Charts of one run stand beside one another, those of several by run.
        moved, observed = _joined(moved), _joined(observed)
    yield from moved
    yield from observed
    yield _drawn(runs, looks)
    yield _knowledge(runs, looks)
    if any(run.tests for run in runs):
        yield _tests(runs)
    yield _cost(runs)
    yield _configuration(runs)


def _reach(found: Iterable[Points]) -> list[float]:
    """Lowest and highest figure of all runs, so that their charts have one scale."""
    figures = [figure for points in found for _, one in points for figure in one.values() if figure is not None]
    return [min(figures), max(figures)] if figures else []


def _joined(sections: Sequence[Section]) -> list[Section]:
    return (
        [
            Section(
                " and ".join([sections[0].heading, *(one.heading.lower() for one in sections[1:])]),
                [note for one in sections for note in one.notes],
                figures=[figure for one in sections for figure in one.figures],
                tables=[table for one in sections for table in one.tables],
            )
        ]
        if sections
        else []
    )


def _observed(runs: Sequence[RunFolder], looks: Mapping[str, int]) -> Iterator[Section]:
    for key, heading, unit, meaning in OBSERVED:
        found = [(number, run) for number, run in enumerate(runs) if run.figures(key)]
        if found:
            reach = [0.0, *_reach(run.figures(key) for _, run in found)]
            figures = [
                curves(f"{key}-{number}", _titled(heading, run, runs), unit, run.figures(key), looks, including=reach)
                for number, run in found
            ]
            yield Section(heading, [f"{heading} at each update: {meaning}."], figures=figures)


def _titled(what: str, run: RunFolder, runs: Sequence[RunFolder]) -> str:
    return what if len(runs) == 1 else f"{what}: {run.name}"


def _overview(runs: Sequence[RunFolder]) -> Section:
    columns = [
        "run",
        "mixture",
        "seed",
        "optimizer steps",
        "planned",
        f"mean held-out loss at start ({NATS})",
        "at end",
    ]
    rows = []
    for run in runs:
        losses = [_mean(one) for _, one in run.figures("loss")]
        ends = (losses[0], losses[-1]) if losses else (None, None)
        rows.append(
            [
                Cell(run.name),
                Cell(str(run.start["mixture"])),
                Cell(str(run.start.get("seed", UNKNOWN)), run.start.get("seed")),
                count_cell(run.step),
                count_cell(run.start["total_steps"]),
                *(figure_cell(one) for one in ends),
            ]
        )
    several = len(runs) > 1
    warnings = [f"{run.name}: {said}" if several else said for run in runs for said in run.warnings()]
    return Section("Overview", warnings=warnings, tables=[Table("Runs" if several else "The run", columns, rows)])


def _weights(runs: Sequence[RunFolder], looks: Mapping[str, int]) -> Section:
    reach = [0.0, *_reach(run.weights for run in runs)]
    figures = [
        curves(
            f"weights-{number}",
            _titled("Sampling weights", run, runs),
            "share of what is drawn",
            run.weights,
            looks,
            until=max(run.step, 1) if run.end else max(run.start["total_steps"], run.step),
            including=reach,
            show=lambda value: f"{value:.0%}",
        )
        for number, run in enumerate(runs)
    ]
    notes = ["A weight holds from the batch after its optimizer step until the next change."]
    return Section("Weights", notes, figures=figures)


def _heldout(runs: Sequence[RunFolder], looks: Mapping[str, int]) -> Section:
    measured = [(number, run) for number, run in enumerate(runs) if run.figures("loss")]
    reach = _reach(run.figures("loss") for _, run in measured)
    figures = [
        curves(f"loss-{number}", _titled("Held-out loss", run, runs), NATS, run.figures("loss"), looks, including=reach)
        for number, run in measured
    ]
    tables = [
        _losses(
            _titled(f"Held-out losses of {counted(run.start.get('heldout', 0), 'row')} of each domain", run, runs),
            run.figures("loss"),
            run.figures("bits_per_byte"),
            run.start.get("reference"),
        )
        for _, run in measured
    ]
    if len(measured) > 1:
        names = list(dict.fromkeys(name for _, run in measured for name in run.domains))
        ends = [run.figures("loss")[-1][1] for _, run in measured]
        rows = [[Cell(name), *(figure_cell(end.get(name)) for end in ends)] for name in names]
        columns = ["domain", *(run.name for _, run in measured)]
        tables.insert(0, Table(f"Held-out loss at the end, side by side ({NATS})", columns, rows))
    return Section("Held-out losses", figures=figures, tables=tables)


def _losses(
    caption: str,
    loss: Sequence[tuple[int, Mapping[str, Any]]],
    bits: Sequence[tuple[int, Mapping[str, Any]]],
    reference: Mapping[str, float] | None,
) -> Table:
    columns = ["domain", f"start ({NATS})", "end", "change"]
    columns += ["mastery ceiling"] if reference else []
    columns += ["start (bits per byte)", "end (bits per byte)"] if bits else []
    (_, first), (_, last) = loss[0], loss[-1]
    rows = []
    for name in first:
        known = first[name] is not None and last[name] is not None
        change = last[name] - first[name] if known else None
        cells = [Cell(name), *(figure_cell(one[name], lost="not finite") for one in (first, last))]
        cells.append(figure_cell(change, lambda value: f"{value:+.4f}"))
        cells += [figure_cell(reference[name])] if reference else []
        cells += [figure_cell(one[name], lost="not finite") for _, one in (bits[0], bits[-1])] if bits else []
        rows.append(cells)
    return Table(caption, columns, rows)


def _drawn(runs: Sequence[RunFolder], looks: Mapping[str, int]) -> Section:
    figures, tables = [], []
    for number, run in enumerate(runs):
        passes, vain = run.drawn["passes"], run.repeated_in_vain
        spans = [
            Span(
                name,
                passes[name],
                None,
                f"{passes[name]:.2f}{' loss rises' if name in vain else ''}",
                looks[name],
                name in vain,
            )
            for name in sorted(passes)
        ]
        title = _titled("Passes over each domain", run, runs)
        table = _drawn_table(run, runs)
        figures.append(
            Figure(span_chart(f"passes-{number}", title, spans, "passes"), f"passes-{number}.svg", _passes(title, run))
        )
        tables.append(table)
    note = (
        "A domain is marked where it was drawn more than once while its held-out loss rose over the last measurements."
    )
    return Section("What was drawn", [note], figures=figures, tables=tables)


def _passes(title: str, run: RunFolder) -> Table:
    rows = [
        [Cell(name), figure_cell(passes, lambda value: f"{value:.2f}")] for name, passes in run.drawn["passes"].items()
    ]
    return Table(title, ["domain", "passes"], rows)


def _drawn_table(run: RunFolder, runs: Sequence[RunFolder]) -> Table:
    drawn, own, vain = run.drawn, run.start.get("training_rows") or {}, run.repeated_in_vain
    all_rows, all_tokens = (max(sum(drawn[name].values()), 1) for name in ("rows", "tokens"))
    columns = [
        "domain",
        "training rows",
        "rows drawn",
        "share of rows",
        "tokens learnt",
        "share of tokens",
        "passes",
        "mark",
    ]
    rows = []
    for name in run.domains:
        count, tokens = int(drawn["rows"][name]), int(drawn["tokens"][name])
        rows.append(
            [
                Cell(name),
                count_cell(own[name]) if own.get(name) is not None else Cell(UNKNOWN),
                count_cell(count),
                figure_cell(count / all_rows, _percent),
                count_cell(tokens),
                figure_cell(tokens / all_tokens, _percent),
                figure_cell(drawn["passes"][name], lambda value: f"{value:.2f}"),
                Cell("repeated while its loss rises", warned=True) if name in vain else Cell(""),
            ]
        )
    return Table(_titled("Rows and tokens drawn", run, runs), columns, rows)


def _knowledge(runs: Sequence[RunFolder], looks: Mapping[str, int]) -> Section:
    figures = []
    for number, run in enumerate(runs):
        prior = run.start.get("prior")
        if not prior:
            continue
        intervals = (run.knowledge.interval95 if run.knowledge else None) or {}
        spans, rows = [], []
        for name in sorted(prior, key=lambda name: (-prior[name], name)):
            interval = intervals.get(name)
            low, high = interval or (None, None)
            ends = None if interval is None else (interval[0], interval[1])
            spans.append(Span(name, prior[name], ends, _percent(prior[name]), looks[name]))
            rows.append([Cell(name), figure_cell(prior[name]), figure_cell(low), figure_cell(high)])
        what = "Knowledge distribution" if run.knowledge else "Prior"
        title = _titled(what, run, runs)
        columns = ["domain", "share", "95 % from", "to"]
        if not intervals:
            columns, rows = columns[:2], [row[:2] for row in rows]
        source = [run.knowledge.fact(name) for name in ("base_model", "judge", "estimator")] if run.knowledge else []
        note = ", ".join(filter(None, source))
        svg = span_chart(
            f"prior-{number}", title, spans, "share of the base model's texts" if run.knowledge else "share"
        )
        figures.append(Figure(svg, f"prior-{number}.svg", Table(title, columns, rows), note))
    notes = ["What the base model was taken to know; lines are 95 % intervals, where a file has them."]
    return Section("Knowledge distribution", notes, figures=figures)


def _tests(runs: Sequence[RunFolder]) -> Section:
    tables = []
    for run in runs:
        if run.tests:
            loss, bits = ([(line["step"], line[name]) for line in run.tests] for name in ("loss", "bits_per_byte"))
            counts = set((run.start.get("test_rows") or {}).values())
            rows = " to ".join(f"{count:,}" for count in sorted({min(counts), max(counts)})) if counts else "the test"
            tables.append(_losses(_titled(f"Losses of {rows} test rows of each domain", run, runs), loss, bits, None))
    return Section("Test rows", ["Rows that steered nothing: no mixture was told of their losses."], tables=tables)


def _cost(runs: Sequence[RunFolder]) -> Section:
    columns = [
        "run",
        "seconds in all",
        "seconds of measuring",
        "share",
        "measurements",
        "seconds of test rows",
        "planned share",
    ]
    rows = []
    for run in runs:
        end = run.end or {}
        total, measuring = end.get("seconds_since_start"), end.get("measuring_seconds")
        resumed = any(line["kind"] == "resume" for line in run.lines) or "resumed_at" in run.start
        share = measuring / total if total and measuring is not None and not resumed else None
        tests = [line["seconds"] for line in run.tests if line.get("seconds") is not None]
        cells = [
            Cell(run.name),
            figure_cell(total, _seconds),
            figure_cell(measuring, _seconds),
            figure_cell(share, _percent),
        ]
        cells += [count_cell(len(run.figures("loss"))), figure_cell(sum(tests) if tests else None, _seconds)]
        rows.append([*cells, figure_cell(run.start.get("measuring_cost"), _percent)])
    notes = [
        "Wall clock of training. Of a run that was resumed, seconds in all are those since then, and those of "
        "measuring are of the whole run."
    ]
    return Section("What it cost", notes, tables=[Table("Seconds", columns, rows)])


def _configuration(runs: Sequence[RunFolder]) -> Section:
    facts = [dict(_facts("", {name: one for name, one in run.start.items() if name not in ELSEWHERE})) for run in runs]
    versions = [dict(_facts("", run.start.get("versions") or {})) for run in runs]
    names = [run.name for run in runs] if len(runs) > 1 else ["value"]
    tables = []
    for caption, first, found in (("Configuration", "setting", facts), ("Versions", "package", versions)):
        keys = list(dict.fromkeys(key for one in found for key in one))
        rows = [[Cell(key), *(Cell(one.get(key, UNKNOWN)) for one in found)] for key in keys]
        tables.append(Table(caption, [first, *names], rows))
    return Section("Configuration and versions", tables=tables)


def _facts(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, one in value.items():
            yield from _facts(f"{place}.{name}" if place else str(name), one)
    else:
        yield place, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _mean(losses: Mapping[str, float | None]) -> float | None:
    known = [loss for loss in losses.values() if loss is not None]
    return sum(known) / len(known) if len(known) == len(losses) else None


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _seconds(value: float) -> str:
    return f"{value:,.2f}"
