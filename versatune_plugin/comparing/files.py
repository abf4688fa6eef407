"""A comparison as files: one JSON with every figure, and two plain tables for spreadsheets."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from versatune_plugin.artifacts.io import check_writable, write_json, write_text
from versatune_plugin.comparing.contrasts import Contrast
from versatune_plugin.comparing.outcomes import Losses, Outcome
from versatune_plugin.comparing.runs import Run
from versatune_plugin.comparing.tables import Comparison, Table

KIND, SCHEMA = "versatune.comparison", 1
JSON_FILE, CONTRASTS_FILE, RUNS_FILE = "comparison.json", "contrasts.csv", "runs.csv"


def write_comparison(comparison: Comparison, folder: Path) -> tuple[Path, ...]:
    """Write a comparison into a folder; what an earlier one left there is replaced.

    Args:
        comparison: with its runs.
        folder: is made where it is not there.

    Returns:
        The files: ``comparison.json`` has every figure; ``contrasts.csv`` a row for each budget, quantity and mixture;
        ``runs.csv`` one for each run and domain, and one of all its domains.

    Raises:
        ArtifactError: they cannot be written.
    """
    paths = tuple(folder / name for name in (JSON_FILE, CONTRASTS_FILE, RUNS_FILE))
    check_writable(folder)
    write_json(paths[0], {"kind": KIND, "schema": SCHEMA, **as_json(comparison)})
    write_text(paths[1], _csv(_contrast_rows(comparison)))
    write_text(paths[2], _csv(_run_rows(comparison)))
    return paths


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Every figure of a comparison as plain JSON; what is not finite, or not known, is null."""
    return _plain(
        {
            "question": asdict(comparison.question),
            "domains": comparison.domains,
            "weights": comparison.weights,
            "mixtures": comparison.mixtures,
            "tables": {table.budget: _table(table) for table in (comparison.training, comparison.total)},
            "runs": [_run(run, comparison.outcome(run)) for run in comparison.runs],
        }
    )


def _table(table: Table) -> dict[str, Any]:
    return {
        "answer": [_contrast(one) for one in table.answer],
        "details": [_contrast(one) for one in table.details],
        "levels": [
            {
                "mixture": one.mixture,
                "quantity": one.quantity.name,
                "domain": one.quantity.domain,
                "values": one.values,
                **asdict(one.estimate),
            }
            for one in table.levels
        ],
        "costs": [asdict(one) for one in table.costs],
        "remarks": table.remarks,
    }


def _contrast(one: Contrast) -> dict[str, Any]:
    return {
        "mixture": one.mixture,
        "quantity": one.quantity.name,
        "domain": one.quantity.domain,
        "lower_is_better": one.quantity.lower_is_better,
        "differences": dict(zip(one.pairs.seeds, one.pairs.differences.tolist(), strict=True)),
        "unpaired": one.pairs.unpaired,
        "not_finite": one.pairs.not_finite,
        **asdict(one.effect),
        "p": one.p,
        "holm_p": one.holm_p,
        "max_t_p": one.max_t_p,
        "comparisons": one.comparisons,
        "better": one.better,
        **asdict(one.verdict),
    }


def _run(run: Run, outcome: Outcome) -> dict[str, Any]:
    return {
        **asdict(run),
        "total_seconds": run.cost.total_seconds,
        "outcome": asdict(outcome),
    }


def _plain(value: Any) -> Any:
    """Numbers, texts, lists and mappings with text as keys."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _contrast_rows(comparison: Comparison) -> Iterable[Mapping[str, Any]]:
    question = comparison.question
    for table in (comparison.training, comparison.total):
        extra = {cost.mixture: cost.extra for cost in table.costs}
        for family, found in (("answer", table.answer), ("details", table.details)):
            for one in found:
                low, high = one.effect.interval95 or (None, None)
                yield {
                    "budget": table.budget,
                    "family": family,
                    "quantity": one.quantity.name,
                    "domain": one.quantity.domain,
                    "mixture": one.mixture,
                    "baseline": question.baseline,
                    "unit": question.unit,
                    "pairs": one.effect.seeds,
                    "seeds": " ".join(map(str, one.pairs.seeds)),
                    "unpaired": " ".join(map(str, one.pairs.unpaired)),
                    "not_finite": " ".join(map(str, one.pairs.not_finite)),
                    "effect": one.effect.mean,
                    "spread": one.effect.spread,
                    "low95": low,
                    "high95": high,
                    "p": one.p,
                    "holm_p": one.holm_p,
                    "max_t_p": one.max_t_p,
                    "comparisons": one.comparisons,
                    "better": one.better,
                    **asdict(one.verdict),
                    "extra_cost": extra[one.mixture],
                }


def _run_rows(comparison: Comparison) -> Iterable[Mapping[str, Any]]:
    """A row of each domain; of all domains (an empty name) the sums and means."""
    for run in comparison.runs:
        outcome = comparison.outcome(run)
        named = {"mixture": run.mixture, "seed": run.seed, "budget": run.budget}
        cost = run.cost
        for name in comparison.domains:
            yield {
                **named,
                "domain": name,
                **_losses("start", run.start, name),
                **_losses("end", run.end, name),
                "gain": None if outcome.expansion is None else outcome.expansion.gains[name],
                "rows": cost.rows[name],
                "supervised_tokens": cost.supervised_tokens[name],
                "passes": cost.passes[name],
            }
        yield {
            **named,
            "domain": None,
            "rows": cost.trained("rows"),
            "supervised_tokens": cost.trained("supervised_tokens"),
            "mean": outcome.mean,
            "weighted": outcome.weighted,
            "worst": outcome.worst,
            "worst_domain": outcome.worst_domain,
            "training_seconds": cost.training_seconds,
            "measuring_seconds": cost.measuring_seconds,
            "prior_seconds": cost.prior_seconds,
            "reference_seconds": cost.reference_seconds,
            "total_seconds": cost.total_seconds,
            "target_gain": None if outcome.expansion is None else outcome.expansion.target,
            "others_gain": None if outcome.expansion is None else outcome.expansion.others,
            "forgetting": None if outcome.expansion is None else outcome.expansion.forgetting,
        }


def _losses(when: str, losses: Losses, name: str) -> dict[str, float]:
    return {
        f"{when}_nats_per_token": losses.nats_per_token[name],
        f"{when}_bits_per_byte": losses.bits_per_byte[name],
    }


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    written = [_plain(row) for row in rows]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in written for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(written)
    return text.getvalue()
