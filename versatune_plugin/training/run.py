"""One run: it measures when the controller asks, draws batches by its weights, and keeps record and checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from versatune_plugin.data.domains import DomainTable
from versatune_plugin.errors import DataError
from versatune_plugin.host.section import Section
from versatune_plugin.mixtures.observations import BatchObservation, Measurement
from versatune_plugin.mixtures.weights import Vector, by_domain
from versatune_plugin.training.batches import make_sampler
from versatune_plugin.training.heldout_eval import HeldoutEvaluation
from versatune_plugin.training.port import TrainingPort
from versatune_plugin.training.run_logger import RunLogger
from versatune_plugin.training.run_plan import RunPlan, make_controller
from versatune_plugin.training.state import RunState, changed_settings, read_state, refused, write_state

LOG = logging.getLogger("axolotl.versatune")


@dataclass(frozen=True)
class PreparedRun:
    """All that is known of a run before there is a model.

    Attributes:
        section: the section ``versatune:``.
        plan: steps, stages, batch size and what is measured.
        table: the domains, their rows and held-out rows.
        prior: shape (k,).
        reference_loss: shape (k,), nats per token of this run's tokenizer, or None.
        output_dir: where the record goes.
        settings: of the host, those that shape the run, as plain JSON.
        resumes_from_any: any undamaged checkpoint will do; the user named none.
    """

    section: Section
    plan: RunPlan
    table: DomainTable
    prior: Vector
    reference_loss: Vector | None
    output_dir: Path
    settings: Mapping[str, Any]
    resumes_from_any: bool = False

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a resumed run to be the same run, as plain JSON."""
        section, plan, names = self.section, self.plan, self.table.names
        return {
            "batch_size": plan.batch_size,
            "steps_per_epoch": plan.steps_per_epoch,
            "packing": plan.bin_tokens,
            "seed": plan.seed,
            "split_seed": plan.split_seed,
            "total_steps": plan.total_steps,
            "run": dict(self.settings),
            "domains": {
                domain.name: {
                    "rows": domain.size,
                    "held out": len(domain.heldout),
                    "test": len(domain.test),
                    "content": domain.digest,
                }
                for domain in self.table.domains
            },
            "versatune": {
                "mixture": section.mixture,
                "options": section.mixture_options.model_dump(mode="json"),
                "heldout": plan.measuring.heldout,
                "update_steps": plan.measuring.update_steps,
                "floor": section.floor,
                "cap": section.cap,
                "unit": section.unit,
                "max_passes": section.max_passes,
                "on_exhausted": section.on_exhausted,
                "prior": by_domain(names, self.prior),
                "reference": None if self.reference_loss is None else by_domain(names, self.reference_loss),
            },
        }


class MixtureRun:
    """The mixture of one run, from its first step to its last.

    Args:
        prepared: the run.
        port: the trainer.

    Attributes:
        controller: of the weights.
        sampler: of the batches that are drawn by them.
        exhausted: the domains that ``max_passes`` lets nothing more be drawn of.
        changed_settings: of the host, those that were other ones when the checkpoint was saved, and were accepted.

    Raises:
        VersaTuneError: the trainer's processes and micro-batches do not make the global batch that was planned.
    """

    def __init__(self, prepared: PreparedRun, port: TrainingPort) -> None:
        self.prepared = prepared
        self.controller = make_controller(
            prepared.section, prepared.plan, prepared.table, prepared.prior, prepared.reference_loss
        )
        self.sampler = make_sampler(prepared.section, prepared.plan, prepared.table, self.controller.schedule, port)
        self.exhausted: list[str] = []
        self.changed_settings: frozenset[str] = frozenset()
        self._port = port
        table = prepared.table
        self._heldout = HeldoutEvaluation(table, table.heldout, port)
        self._test = HeldoutEvaluation(table, table.test, port) if prepared.section.test_rows else None
        self._logger = RunLogger(prepared.output_dir, prepared.table, prepared.plan, port)
        self._resumed_at: int | None = None
        self._recorded: dict[str, Any] | None = None
        self._end_measured = False

    def begin(self) -> None:
        """Open the record and, in a fresh run, measure where the model starts."""
        section, names, resumed_at = self.prepared.section, self.prepared.table.names, self._resumed_at
        reference = self.prepared.reference_loss
        settings = {
            "mixture": section.mixture,
            "options": section.mixture_options.model_dump(mode="json"),
            "prior": by_domain(names, self.prepared.prior),
            "weights": by_domain(names, self.controller.weights),
            "reference": None if reference is None else by_domain(names, reference),
        }
        if isinstance(section.knowledge, Path):
            # The file has intervals, which no run needs and a reader does.
            settings["knowledge"] = str(section.knowledge)
        finished = resumed_at is not None and self.is_finished(resumed_at)
        self._logger.open(settings, resumed_at, self._recorded, finished)
        if resumed_at is None and self.prepared.plan.measuring.heldout:
            measurement = self._measure(0)
            self.controller.begin(measurement)
            self._log("measure", 0, measurement)
        if resumed_at is None:
            self._measure_test(0)
        elif self.controller.lacks_first_losses:
            # Resumed with other held-out rows or another mixture: difficulty is counted from here.
            self.controller.begin(self._measure(resumed_at))

    @property
    def needs_batch_loss(self) -> bool:
        """Whether the mixture in force learns from the losses of the training batches."""
        return self.controller.observes_batches

    def after_step(self, step: int, batch_loss: float | None) -> None:
        """Bring the weights to what is due after ``step`` optimizer steps; they act on the very next batch.

        Args:
            step: optimizer steps done.
            batch_loss: training loss of the step in nats per token; None unless `needs_batch_loss`.
        """
        measure = partial(self._measure, step) if self.prepared.plan.measuring.heldout else None
        batch = None if batch_loss is None else (int(np.argmax(self.sampler.counts)), batch_loss)
        change = self.controller.after_step(step, measure, batch)
        if change is not None:
            if change.begins_stage:
                self._port.forget_optimizer_state()
            if isinstance(change.observation, BatchObservation):
                lost = {one.domain for one in change.observation.batch_losses if not np.isfinite(one.loss)}
                self._warn_of_lost("training", sorted(lost), step)
            self._logger.log(
                change.kind, step, self.controller.weights, self.sampler, change.measurement, change.observation
            )
        if step < self.prepared.plan.total_steps:
            self._count_exhausted()

    def is_finished(self, step: int) -> bool:
        """Whether nothing is left to train after ``step`` optimizer steps."""
        return step >= self.prepared.plan.total_steps or bool(self.exhausted)

    def measure_end(self, step: int) -> None:
        """Measure where training ended, once."""
        if self._end_measured:
            return
        self._end_measured = True
        if self.prepared.plan.measuring.heldout:
            self._log("measure", step, self._measure(step))
        self._measure_test(step)

    def finish(self, step: int) -> None:
        """Close the record.

        Raises:
            VersaTuneError: a domain ran out under ``on_exhausted: error``.
        """
        section = self.prepared.section
        self._logger.close(step, self.sampler, self.exhausted)
        if self.exhausted:
            message = f"{', '.join(self.exhausted)}: max_passes ({section.max_passes:g}) reached after step {step}"
            if section.on_exhausted == "error":
                raise DataError(f"{message}. Everything until there is saved; add rows or raise `max_passes`")
            LOG.warning("the run ended early: %s", message)

    def save(self, checkpoint: Path, step: int) -> None:
        """Write the state of the mixture into a checkpoint."""
        if self.sampler.plan.step != step:
            raise RuntimeError(f"the plan stands at step {self.sampler.plan.step}, the trainer at {step}")
        state = {
            "step": step,
            "fingerprint": self.prepared.fingerprint(),
            "split": str(self.prepared.plan.split),
            "controller": self.controller.state_dict(),
            "sampler": self.sampler.state_dict(),
            "measuring_seconds": self._logger.measuring_seconds,
            "record": self._logger.record.so_far,
        }
        write_state(checkpoint, state)

    def resume(self, checkpoint: Path) -> None:
        """Take back the state that `save` wrote; under accepted changes, what no longer fits starts anew, and is named.

        Raises:
            VersaTuneError: the state is missing, damaged, of another run, or one that no run could have written.
        """
        fingerprint = self.prepared.fingerprint()
        state, changed = read_state(
            checkpoint, fingerprint, self.prepared.section.accept_changes, str(self.prepared.plan.split)
        )
        self._resume_sampler(checkpoint, state, changed)
        self._resume_controller(checkpoint, state, changed)
        self._logger.measuring_seconds = state.measuring_seconds
        self._resumed_at = state.step
        self._recorded = None if state.record is None else state.record.model_dump()
        self.changed_settings = changed_settings(state.fingerprint, fingerprint)
        if state.step < self.prepared.plan.total_steps:
            self._count_exhausted()

    def _resume_sampler(self, checkpoint: Path, state: RunState, changed: bool) -> None:
        names, plan = self.prepared.table.names, state.sampler.plan
        of_another_unit = (plan.ahead is None) == self.sampler.plan.counts_tokens
        if of_another_unit and changed:
            LOG.warning("what the domains are owed starts anew: the weights are shares of something else now")
            owed = {"credit": dict.fromkeys(names, 0.0), "ahead": None}
            plan = plan.model_copy(update=owed)
            state = state.model_copy(update={"sampler": state.sampler.model_copy(update={"plan": plan})})
        problems = state.problems(names, self.prepared.plan.batch_size, self.sampler.plan.room_of_a_batch)
        if of_another_unit and not changed:
            problems.append("sampler.plan.ahead is not that of a plan in this unit")
        if problems:
            raise refused(checkpoint, problems)
        self.sampler.load_state_dict(state.sampler.model_dump())

    def _resume_controller(self, checkpoint: Path, state: RunState, changed: bool) -> None:
        kept, section = state.controller, self.prepared.section
        heldout = {domain.name: len(domain.heldout) for domain in self.prepared.table.domains}
        other_rows = kept.first_row_loss is not None and any(
            len(losses) != heldout[name] for name, losses in kept.first_row_loss.items()
        )
        if other_rows and not changed:
            raise refused(checkpoint, ["controller.first_row_loss is not of as many rows as are held out"])
        try:
            self.controller.load_state_dict(kept.model_dump(), state.step)
        except ValueError as error:
            message = " ".join(str(error).split())
            if not changed:
                raise refused(
                    checkpoint, [f"controller.state is none of the mixture {section.mixture!r}: {message}"]
                ) from error
            LOG.warning("the mixture %r starts anew from the weights in force: %s", section.mixture, message)
            self.controller.begin_anew(state.step)
        if other_rows:
            LOG.warning("the first losses of held-out rows start anew: other rows are held out")
            self.controller.forget_first_losses()
        if changed:
            self.controller.apply_configuration(state.step)

    def _count_exhausted(self) -> None:
        if self.prepared.section.max_passes is not None:
            exhausted = self.sampler.plan.exhausted(self.prepared.section.max_passes)
            self.exhausted = [name for name, out in zip(self.prepared.table.names, exhausted, strict=True) if out]

    def _measure(self, step: int) -> Measurement:
        measurement = self._heldout.measure(probe=self.controller.requirements.probes)
        self._logger.measuring_seconds += measurement.seconds
        self._warn_of_lost("held-out", np.flatnonzero(~np.isfinite(measurement.loss)), step)
        return measurement

    def _measure_test(self, step: int) -> None:
        if self._test is not None:
            measurement = self._test.measure()
            self._warn_of_lost("test", np.flatnonzero(~np.isfinite(measurement.loss)), step)
            self._logger.log_test(step, measurement)

    def _log(self, kind: str, step: int, measurement: Measurement) -> None:
        self._logger.log(kind, step, self.controller.weights, self.sampler, measurement, None)

    def _warn_of_lost(self, which: str, domains: Iterable[int], step: int) -> None:
        if names := ", ".join(self.prepared.table.names[index] for index in domains):
            LOG.warning(
                "%s loss of %s is not finite at step %d; the weights stay as they are. Look at the learning rate and "
                "at the rows of that domain",
                which,
                names,
                step,
            )
