"""What a run tells as it goes on: lines of ``versatune.jsonl``, and the same figures for every tracker."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from versatune_plugin import __version__
from versatune_plugin.artifacts.record import RunRecord
from versatune_plugin.data.domains import DomainTable
from versatune_plugin.mixtures.base import Signal
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.sampling.sampler import GlobalBatchSampler
from versatune_plugin.training.heldout_eval import DomainLosses
from versatune_plugin.training.run_plan import Outline

if TYPE_CHECKING:
    from versatune_plugin.training.trainer import VersaTuneTrainer

Figures = Vector | NDArray[np.int64]
PACKAGES = ("axolotl", "torch", "transformers", "accelerate", "numpy")
TRACKED = {"weights": "weight"}


class Account:
    """Tells the record and the trackers.

    Args:
        output_dir: where the record goes.
        table: the domains.
        outline: of the run.
    """

    def __init__(self, output_dir: Path, table: DomainTable, outline: Outline) -> None:
        self.record = RunRecord(output_dir)
        self.measuring_seconds = 0.0
        self._names = table.names
        self._table = table
        self._outline = outline
        self._started = 0.0

    def open(
        self,
        trainer: VersaTuneTrainer,
        settings: dict[str, Any],
        resumed_at: int | None,
        so_far: Mapping[str, Any] | None,
        over: bool,
    ) -> None:
        """Begin the record, or go on with it after the step of the checkpoint.

        Args:
            trainer: of the run.
            settings: for the first line.
            resumed_at: step of the checkpoint; None in a fresh run.
            so_far: as in `RunRecord.resume`.
            over: as in `RunRecord.resume`.
        """
        self._started = time.perf_counter()
        if not trainer.is_world_process_zero():
            return
        facts = self._facts() | settings
        if resumed_at is None:
            self.record.start(facts)
        else:
            self.record.resume(resumed_at, so_far, facts, over)

    def tell(
        self,
        trainer: VersaTuneTrainer,
        kind: str,
        step: int,
        weights: Vector,
        sampler: GlobalBatchSampler,
        losses: DomainLosses | None,
        signal: Signal | None,
    ) -> None:
        """Tell a measurement, an update of the weights, or a planned turn of them.

        Args:
            trainer: whose ``log`` reaches the trackers.
            kind: ``measure``, ``update`` or ``turn``.
            step: optimizer steps done.
            weights: shape (k,), from now on.
            sampler: counts rows and tokens.
            losses: what was measured, if anything.
            signal: what the policy was told at an update.
        """
        vectors: dict[str, Figures | None] = {
            "weights": weights,
            "loss": losses.loss if losses else None,
            "bits_per_byte": losses.bits_per_byte if losses else None,
            "potential": signal.potential if signal else None,
            "forgetting": signal.forgetting if signal else None,
            "difficulty": signal.difficulty if signal else None,
            "rows": sampler.plan.drawn,
            "tokens": sampler.tokens,
            "passes": sampler.plan.passes,
        }
        shown = {name: by_domain(self._names, vector) for name, vector in vectors.items() if vector is not None}
        facts: dict[str, Any] = {"step": step, "epoch": step / self._outline.steps_per_epoch, **shown}
        if sampler.fill is not None:
            facts["fill"] = sampler.fill
        if losses is not None:
            facts["not_finite"] = [n for n, x in zip(self._names, losses.loss, strict=True) if not np.isfinite(x)]
            facts["seconds"] = losses.seconds
        if signal is not None and signal.similarity is not None:
            facts["similarity"] = {
                name: by_domain(self._names, row) for name, row in zip(self._names, signal.similarity, strict=True)
            }
        if signal is not None and signal.batch_losses:
            facts["batch_losses"] = [
                {"domain": self._names[batch.domain], "weight": batch.weight, "loss": json_number(batch.loss)}
                for batch in signal.batch_losses
            ]
        elapsed = time.perf_counter() - self._started
        logs = {
            f"versatune/{TRACKED.get(name, name)}/{domain}": value
            for name, values in shown.items()
            for domain, value in values.items()
            if value is not None
        }
        logs["versatune/measuring_share"] = self.measuring_seconds / elapsed if elapsed > 0 else 0.0
        # Every batch's loss is for the record; trackers hear of it when they hear of anything.
        if losses is not None or trainer.control.should_log:
            should_log = trainer.control.should_log
            trainer.log(logs)
            # Logging clears the flag, and the trainer's own loss of this step would go unheard.
            trainer.control.should_log = should_log
        if trainer.is_world_process_zero():
            self.record.add(kind, facts)

    def close(self, trainer: VersaTuneTrainer, step: int, sampler: GlobalBatchSampler, exhausted: list[str]) -> None:
        """Tell the totals."""
        if not trainer.is_world_process_zero():
            return
        best = trainer.state.best_model_checkpoint if trainer.args.load_best_model_at_end else None
        self.record.add(
            "end",
            {
                "step": step,
                "rows": by_domain(self._names, sampler.plan.drawn),
                "tokens": by_domain(self._names, sampler.tokens),
                "passes": by_domain(self._names, sampler.plan.passes),
                "exhausted": exhausted,
                "best_checkpoint": best,
                "measuring_seconds": self.measuring_seconds,
                "seconds_since_start": time.perf_counter() - self._started,
            },
        )

    def _facts(self) -> dict[str, Any]:
        outline = self._outline
        return {
            "schema": 1,
            "versions": {"versatune": __version__} | {name: importlib.metadata.version(name) for name in PACKAGES},
            "training_rows": {domain.name: domain.training_size for domain in self._table.domains},
            "heldout": outline.measuring.heldout,
            "update_steps": outline.measuring.update_steps,
            "batch_size": outline.batch_size,
            "steps_per_epoch": outline.steps_per_epoch,
            "total_steps": outline.total_steps,
            "seed": outline.seed,
            "measuring_cost": outline.measuring.cost,
            "stages": [
                {
                    "first_step": settled.first_step,
                    "steps": settled.steps,
                    "mixture": settled.stage.mixture,
                    "rows": by_domain(self._names, settled.rows),
                }
                for settled in outline.stages
            ],
        }


def by_domain(names: Sequence[str], vector: Figures) -> dict[str, Any]:
    """A vector as plain JSON."""
    return {name: json_number(value) for name, value in zip(names, vector.tolist(), strict=True)}


def json_number(value: float) -> float | None:
    """JSON has no infinities: they become null."""
    return value if np.isfinite(value) else None
