"""A comparison of mixtures on the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table as Shown

from versatune_plugin.comparing.contrasts import Contrast
from versatune_plugin.comparing.tables import Comparison, Table
from versatune_plugin.console.tables import add_row, new_console, new_table, say
from versatune_plugin.schema.wording import counted

WARNED = "yellow"
UNITS = {"nats_per_token": "nats per token", "bits_per_byte": "bits per byte"}
UNKNOWN = "-"
MOST_DIGITS = 7


def show_comparison(comparison: Comparison) -> None:
    """Print both tables of a comparison: effects, verdicts, remarks, what the runs took.

    Args:
        comparison: of `versatune_plugin.comparing.tables.compare`.
    """
    console = new_console()
    _show_table(console, comparison, comparison.training)
    if comparison.equal_totals:
        say(console, "Equal total budget: no mixture costs more or less in all than wall clock varies; the same table.")
    else:
        _show_table(console, comparison, comparison.total)
    for table in (comparison.training, *([comparison.total] if comparison.made_for_total else [])):
        console.print(_costs(table))


def _show_table(console: Console, comparison: Comparison, table: Table) -> None:
    question = comparison.question
    quantity = table.answer[0].quantity.name
    budget = f"Equal {table.budget} budget"
    if table is comparison.training:
        budget += f" ({question.training_unit.replace('_', ' ')})"
    console.print(_answer(f"{budget}: {quantity} in {UNITS[question.unit]}, against {question.baseline!r}", table))
    for one in table.answer:
        say(console, f"{one.mixture}: {_says(one)}")
    # Of the same runs as before, the details say nothing else.
    if table is comparison.training or comparison.made_for_total:
        for mixture in comparison.mixtures[1:]:
            console.print(_details(f"{budget}: {mixture!r} against {question.baseline!r}, in detail", table, mixture))
    said = () if table is comparison.training else comparison.training.remarks
    for remark in table.remarks:
        if remark not in said:
            say(console, f"warning: {remark}", WARNED)


def _answer(title: str, table: Table) -> Shown:
    shown = new_table(title, ["mixture", "mean", "effect", "95 % interval", "pairs", "p", "Holm's p"])
    levels = {one.mixture: one.estimate.mean for one in table.levels if one.quantity == table.answer[0].quantity}
    contrasts = {one.mixture: one for one in table.answer}
    for mixture, level in levels.items():
        mean = UNKNOWN if math.isnan(level) else f"{level:.4f}"
        if mixture in contrasts:
            one = contrasts[mixture]
            cells = [*_effect(one), str(one.effect.seeds), _p(one.p), _p(one.holm_p)]
        else:
            cells = ["baseline", *[""] * 4]
        add_row(shown, mixture, mean, *cells)
    return shown


def _details(title: str, table: Table, mixture: str) -> Shown:
    shown = new_table(title, ["quantity", "effect", "95 % interval", "Holm's p", "seeds needed", "verdict"])
    for one in table.details:
        if one.mixture == mixture:
            needed = UNKNOWN if one.verdict.seeds_needed is None else f"{one.verdict.seeds_needed:,}"
            add_row(shown, one.quantity.name, *_effect(one), _p(one.holm_p), needed, _word(one))
    return shown


def _costs(table: Table) -> Shown:
    title = f"What a run took (equal {table.budget} budget)"
    shown = new_table(title, ["mixture", "runs", "training s", "total s", "extra", "rows", "tokens", "most passes"])
    for one in table.costs:
        extra = UNKNOWN if math.isnan(one.extra) else f"{one.extra:+.0%}"
        figures = (one.training_seconds, one.total_seconds)
        seconds = [UNKNOWN if math.isnan(figure) else f"{figure:,.1f}" for figure in figures]
        drawn = [UNKNOWN if math.isnan(figure) else f"{figure:,.0f}" for figure in (one.rows, one.supervised_tokens)]
        passes = UNKNOWN if math.isnan(one.most_passes) else f"{one.most_passes:.1f}"
        add_row(shown, one.mixture, str(one.runs), *seconds, extra, *drawn, passes)
    return shown


def _says(one: Contrast) -> str:
    """The verdict with its direction, and what so many seeds would have found."""
    if one.verdict.significant:
        return f"{_word(one)} than the baseline (significant)"
    detectable = one.verdict.detectable
    if not detectable:
        return one.verdict.says
    would = f"{counted(one.effect.seeds, 'seed')} would find {detectable:.3g}"
    return f"{one.verdict.says} ({would})"


def _word(one: Contrast) -> str:
    if not one.verdict.significant:
        return UNKNOWN
    return "better" if one.better else "worse"


def _effect(one: Contrast) -> list[str]:
    """Effect and interval, with two digits of the interval's half width."""
    effect = one.effect
    if effect.interval95 is None:
        return [UNKNOWN if math.isnan(effect.mean) else f"{effect.mean:+.3g}", UNKNOWN]
    low, high = effect.interval95
    half = (high - low) / 2
    digits = 4 if half == 0 else min(max(1 - math.floor(math.log10(half)), 0), MOST_DIGITS)
    return [f"{effect.mean:+.{digits}f}", f"{low:+.{digits}f} to {high:+.{digits}f}"]


def _p(p: float) -> str:
    return UNKNOWN if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"
