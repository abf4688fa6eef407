"""The parts of the page that are about a comparison of mixtures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field

from versatune_plugin.artifacts.io import read_artifact
from versatune_plugin.comparing.files import KIND, SCHEMA
from versatune_plugin.report.parts import UNKNOWN, Cell, Figure, Section, Table, count_cell, figure_cell, four_digits
from versatune_plugin.report.svg import Span, span_chart
from versatune_plugin.schema.model import StrictModel
from versatune_plugin.schema.wording import counted

UNITS = {"nats_per_token": "nats per token", "bits_per_byte": "bits per byte"}
INTERVAL = ("95 % from", "to")
Float = float | None
Interval = Annotated[list[float], Field(min_length=2, max_length=2)] | None


class _Part(StrictModel):
    # Of a file with every figure, the page shows some.
    model_config = ConfigDict(extra="ignore")


class _Question(_Part):
    baseline: str
    unit: str
    training_unit: str
    targets: list[str]


class _Contrast(_Part):
    mixture: str
    quantity: str
    lower_is_better: bool
    seeds: int
    mean: Float
    interval95: Interval
    p: Float
    holm_p: Float
    better: bool | None
    significant: bool
    says: str
    seeds_needed: int | None
    detectable: Float

    @property
    def of_losses(self) -> bool:
        """In the unit of the losses; gains and forgetting are shares."""
        return self.lower_is_better and not self.quantity.startswith("forgetting")

    @property
    def word(self) -> str:
        """What may be said, in a word."""
        return ("better" if self.better else "worse") if self.significant else "no difference shown"

    @property
    def sentence(self) -> str:
        """What may be said."""
        if self.significant:
            return f"{self.mixture}: {self.word} than the baseline (significant)."
        would = f" ({counted(self.seeds, 'seed')} would find {self.detectable:.3g})" if self.detectable else ""
        return f"{self.mixture}: {self.says}{would}."


class _Level(_Part):
    mixture: str
    quantity: str
    seeds: int
    mean: Float
    spread: Float
    interval95: Interval


class _Cost(_Part):
    mixture: str
    runs: int
    training_seconds: Float
    total_seconds: Float
    rows: Float
    supervised_tokens: Float
    most_passes: Float
    extra: Float


class _Table(_Part):
    answer: list[_Contrast]
    details: list[_Contrast]
    levels: list[_Level]
    costs: list[_Cost]
    remarks: list[str]


class _Expansion(_Part):
    gains: dict[str, Float]


class _Outcome(_Part):
    expansion: _Expansion | None


class _Run(_Part):
    mixture: str
    budget: str
    outcome: _Outcome


class _Comparison(_Part):
    question: _Question
    mixtures: list[str]
    tables: dict[str, _Table]
    runs: list[_Run]


def comparison_sections(file: Path, number: int) -> Iterator[Section]:
    """All parts about one comparison: the answer first.

    Args:
        file: of `versatune_plugin.comparing.files.write_comparison`.
        number: of the comparison on the page.

    Raises:
        ArtifactError: it cannot be read.
    """
    found = read_artifact(file, KIND, SCHEMA, _Comparison)
    looks = {mixture: place for place, mixture in enumerate(sorted(found.mixtures))}
    shown: list[_Table] = []
    for budget, table in found.tables.items():
        identity = f"{budget}-{number}"
        if (table.answer, table.details) in [(one.answer, one.details) for one in shown]:
            yield Section(f"Equal {budget} budget", ["The figures are those of the table above."], table.remarks)
            continue
        yield _answer(found, budget, table, identity, looks)
        yield Section(
            f"Equal {budget} budget, in detail",
            figures=[
                _forest(
                    f"detail-{identity}-{looks[mixture]}", f"Losses: {mixture}", losses, found, looks, by_mixture=False
                )
                for mixture in found.mixtures
                if (losses := _losses(table, mixture))
            ],
            tables=[_contrasts("Every other quantity", table.details), _levels(table.levels), _costs(table.costs)],
        )
        shown.append(table)
    if found.question.targets:
        yield _expansion(found, number, looks)


def _losses(table: _Table, mixture: str) -> list[_Contrast]:
    return [one for one in table.details if one.mixture == mixture and one.of_losses]


def _answer(found: _Comparison, budget: str, table: _Table, identity: str, looks: Mapping[str, int]) -> Section:
    quantity = table.answer[0].quantity if table.answer else "nothing"
    title = f"{quantity[:1].upper()}{quantity[1:]}"
    unit = found.question.training_unit.replace("_", " ")
    return Section(
        f"Equal {budget} budget{f' ({unit})' if budget == 'training' else ''}",
        [
            f"Mixture minus the baseline {found.question.baseline}, in {_unit(found)}, with 95 % intervals: below 0 "
            "the mixture is better.",
            *(one.sentence for one in table.answer),
        ],
        warnings=table.remarks,
        figures=[_forest(f"answer-{identity}", title, table.answer, found, looks, by_mixture=True)],
        tables=[_contrasts(title, table.answer)],
    )


def _unit(found: _Comparison) -> str:
    return UNITS.get(found.question.unit, found.question.unit)


def _forest(
    identity: str,
    title: str,
    contrasts: Sequence[_Contrast],
    found: _Comparison,
    looks: Mapping[str, int],
    *,
    by_mixture: bool,
) -> Figure:
    spans = [
        Span(
            one.mixture if by_mixture else one.quantity,
            one.mean,
            _ends(one.interval95),
            one.word if one.significant else "not shown",
            looks.get(one.mixture, 0),
        )
        for one in contrasts
    ]
    svg = span_chart(identity, title, spans, f"difference to {found.question.baseline}, {_unit(found)}")
    rows = [
        [Cell(span.name), figure_cell(span.value, _signed), *_interval(one.interval95, _signed), Cell(one.word)]
        for span, one in zip(spans, contrasts, strict=True)
    ]
    columns = ["mixture" if by_mixture else "quantity", "effect", *INTERVAL, "verdict"]
    return Figure(svg, f"{identity}.svg", Table(title, columns, rows))


def _contrasts(caption: str, contrasts: Sequence[_Contrast]) -> Table:
    columns = ["mixture", "quantity", "effect", *INTERVAL, "pairs", "p", "Holm's p", "seeds needed", "verdict"]
    rows = [
        [
            Cell(one.mixture),
            Cell(one.quantity),
            figure_cell(one.mean, _signed),
            *_interval(one.interval95, _signed),
            count_cell(one.seeds),
            figure_cell(one.p),
            figure_cell(one.holm_p),
            Cell(UNKNOWN) if one.seeds_needed is None else count_cell(one.seeds_needed),
            Cell(one.word),
        ]
        for one in contrasts
    ]
    return Table(f"{caption}: effects against the baseline", columns, rows)


def _levels(levels: Sequence[_Level]) -> Table:
    rows = [
        [
            Cell(one.mixture),
            Cell(one.quantity),
            figure_cell(one.mean),
            *_interval(one.interval95, four_digits),
            figure_cell(one.spread),
            count_cell(one.seeds),
        ]
        for one in levels
    ]
    columns = ["mixture", "quantity", "mean", *INTERVAL, "spread", "runs"]
    return Table("What each mixture came to", columns, rows)


def _costs(costs: Sequence[_Cost]) -> Table:
    columns = ["mixture", "runs", "training seconds", "total seconds", "extra", "rows", "tokens", "most passes"]
    rows = [
        [
            Cell(one.mixture),
            count_cell(one.runs),
            *(figure_cell(seconds, _seconds) for seconds in (one.training_seconds, one.total_seconds)),
            figure_cell(one.extra, lambda value: f"{value:+.0%}"),
            *(figure_cell(figure, lambda value: f"{value:,.0f}") for figure in (one.rows, one.supervised_tokens)),
            figure_cell(one.most_passes, lambda value: f"{value:.1f}"),
        ]
        for one in costs
    ]
    return Table("What a run took (means)", columns, rows)


def _expansion(found: _Comparison, number: int, looks: Mapping[str, int]) -> Section:
    """Gains relative to before fine-tuning, like Figure 2 of the paper."""
    gains: dict[tuple[str, str], list[Float]] = {}
    for run in found.runs:
        for domain, gain in (run.outcome.expansion.gains if run.outcome.expansion else {}).items():
            if run.budget == "training":
                gains.setdefault((domain, run.mixture), []).append(gain)
    spans, rows = [], []
    targets = found.question.targets
    for domain, mixture in sorted(gains, key=lambda one: (one[0] not in targets, one[0], looks[one[1]])):
        known = [gain for gain in gains[domain, mixture] if gain is not None]
        mean = math.fsum(known) / len(known) if known else None
        kind = "target" if domain in targets else "other"
        text = UNKNOWN if mean is None else f"{mean:+.1%}"
        spans.append(Span(f"{domain}: {mixture}", mean, None, text, looks[mixture]))
        cells = (Cell(domain), Cell(kind), Cell(mixture))
        rows.append([*cells, figure_cell(mean, lambda value: f"{value:+.1%}"), count_cell(len(known))])
    title = "Gain of each domain, relative to before fine-tuning"
    table = Table(title, ["domain", "kind", "mixture", "mean gain", "runs"], rows)
    svg = span_chart(f"expansion-{number}", title, spans, "share of the loss that training took away")
    notes = [f"The target is {', '.join(targets)}; means over the runs at equal training budget."]
    return Section("Expansion", notes, figures=[Figure(svg, f"expansion-{number}.svg", table)])


def _ends(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0], interval[1])


def _interval(interval: Sequence[float] | None, show: Callable[[float], str]) -> list[Cell]:
    return [figure_cell(end, show) for end in _ends(interval) or (None, None)]


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _seconds(value: float) -> str:
    return f"{value:,.1f}"
