"""What a run logs as it goes on: lines of ``versatune.jsonl``, and the same figures for every tracker."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from versatune_plugin import __version__
from versatune_plugin.artifacts.record import RunRecord
from versatune_plugin.data.domains import DomainTable
from versatune_plugin.mixtures.observations import (
    BatchObservation,
    HeldoutObservation,
    Measurement,
    Observation,
    ProbeObservation,
)
from versatune_plugin.mixtures.weights import Figures, Vector, by_domain, json_number
from versatune_plugin.sampling.sampler import GlobalBatchSampler
from versatune_plugin.training.port import TrainingPort
from versatune_plugin.training.run_plan import RunPlan

PACKAGES = ("axolotl", "torch", "transformers", "accelerate", "numpy")
TRACKED = {"weights": "weight"}


class RunLogger:
    """Writes the record and hands its figures to the trackers.

    Args:
        output_dir: where the record goes.
        table: the domains.
        plan: of the run.
        port: the trainer.

    Attributes:
        record: the run's.
        measuring_seconds: wall clock that measuring has taken so far.
    """

    def __init__(self, output_dir: Path, table: DomainTable, plan: RunPlan, port: TrainingPort) -> None:
        self.record = RunRecord(output_dir)
        self.measuring_seconds = 0.0
        self._names = table.names
        self._table = table
        self._plan = plan
        self._port = port
        self._started = 0.0

    def open(
        self, settings: dict[str, Any], resumed_at: int | None, so_far: Mapping[str, Any] | None, finished: bool
    ) -> None:
        """Begin the record, or go on with it after the step of the checkpoint.

        Args:
            settings: for the first line.
            resumed_at: step of the checkpoint; None in a fresh run.
            so_far: as in `RunRecord.resume`.
            finished: as in `RunRecord.resume`.
        """
        self._started = time.perf_counter()
        if self._port.rank != 0:
            return
        facts = self._facts() | settings
        if resumed_at is None:
            self.record.start(facts)
        else:
            self.record.resume(resumed_at, so_far, facts, finished)

    def log(
        self,
        kind: str,
        step: int,
        weights: Vector,
        sampler: GlobalBatchSampler,
        measurement: Measurement | None,
        observation: Observation | None,
    ) -> None:
        """Log a measurement, an update of the weights, or weights that were planned.

        Args:
            kind: ``measure``, ``update`` or ``scheduled``.
            step: optimizer steps done.
            weights: shape (k,), from now on.
            sampler: counts rows and tokens.
            measurement: of the held-out rows, if they were measured.
            observation: of all domains, at an update.
        """
        heldout = observation if isinstance(observation, HeldoutObservation) else None
        probes = observation if isinstance(observation, ProbeObservation) else None
        vectors: dict[str, Figures | None] = {
            "weights": weights,
            "loss": measurement.loss if measurement else None,
            "bits_per_byte": measurement.bits_per_byte if measurement else None,
            "potential": heldout.potential if heldout is not None and heldout.reference_loss is not None else None,
            "forgetting": heldout.forgetting if heldout is not None else None,
            "difficulty": probes.difficulty if probes is not None else None,
            "rows": sampler.plan.drawn,
            "tokens": sampler.tokens,
            "passes": sampler.plan.passes,
        }
        shown = {name: by_domain(self._names, vector) for name, vector in vectors.items() if vector is not None}
        facts: dict[str, Any] = {"step": step, "epoch": step / self._plan.steps_per_epoch, **shown}
        if self._plan.bin_tokens is not None and sampler.plan.step:
            facts["fill"] = sampler.fill
        if measurement is not None:
            lost = ~np.isfinite(measurement.loss)
            facts["not_finite"] = [name for name, is_lost in zip(self._names, lost, strict=True) if is_lost]
            facts["seconds"] = measurement.seconds
        if probes is not None:
            facts["similarity"] = {
                name: by_domain(self._names, row) for name, row in zip(self._names, probes.similarity, strict=True)
            }
        if isinstance(observation, BatchObservation) and observation.batch_losses:
            facts["batch_losses"] = [
                {"domain": self._names[batch.domain], "weight": batch.weight, "loss": json_number(batch.loss)}
                for batch in observation.batch_losses
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
        if measurement is not None or self._port.logs_now:
            self._port.log(logs)
        if self._port.rank == 0:
            self.record.add(kind, facts)

    def log_test(self, step: int, measurement: Measurement) -> None:
        """Log the losses of the test rows, which nothing else is told.

        Args:
            step: optimizer steps done.
            measurement: of the test rows.
        """
        losses = {
            "loss": by_domain(self._names, measurement.loss),
            "bits_per_byte": by_domain(self._names, measurement.bits_per_byte),
        }
        self._port.log(
            {
                f"versatune/test_{TRACKED.get(name, name)}/{domain}": value
                for name, values in losses.items()
                for domain, value in values.items()
                if value is not None
            }
        )
        if self._port.rank == 0:
            self.record.add("test", {"step": step, **losses, "seconds": measurement.seconds})

    def close(self, step: int, sampler: GlobalBatchSampler, exhausted: list[str]) -> None:
        """Log the totals."""
        if self._port.rank != 0:
            return
        best = self._port.best_checkpoint
        self.record.add(
            "end",
            {
                "step": step,
                "rows": by_domain(self._names, sampler.plan.drawn),
                "tokens": by_domain(self._names, sampler.tokens),
                "passes": by_domain(self._names, sampler.plan.passes),
                "exhausted": exhausted,
                "best_checkpoint": None if best is None else str(best),
                "measuring_seconds": self.measuring_seconds,
                "seconds_since_start": time.perf_counter() - self._started,
            },
        )

    def _facts(self) -> dict[str, Any]:
        plan = self._plan
        return {
            "schema": 1,
            "versions": {"versatune": __version__} | {name: importlib.metadata.version(name) for name in PACKAGES},
            "training_rows": {domain.name: domain.training_size for domain in self._table.domains},
            "heldout": plan.measuring.heldout,
            "test_rows": {domain.name: len(domain.test) for domain in self._table.domains},
            "update_steps": plan.measuring.update_steps,
            "batch_size": plan.batch_size,
            "steps_per_epoch": plan.steps_per_epoch,
            "total_steps": plan.total_steps,
            "seed": plan.seed,
            "split_seed": plan.split_seed,
            "measuring_cost": plan.measuring.cost,
            "stages": [
                {
                    "first_step": stage.first_step,
                    "steps": stage.steps,
                    "mixture": stage.mixture.name,
                    "rows": by_domain(self._names, stage.rows),
                }
                for stage in (plan.stages if plan.staged else ())
            ],
        }
