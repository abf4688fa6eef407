"""The live mixture of one run: it measures, lets the policy decide, and keeps schedule, sampler and record together."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from versatune_plugin.data.domains import DomainTable
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.host.configuration import Section
from versatune_plugin.mixtures.base import BatchLoss, Signal
from versatune_plugin.mixtures.weight_schedule import Schedule
from versatune_plugin.mixtures.weights import Vector
from versatune_plugin.sampling.sampler import GlobalBatchSampler
from versatune_plugin.training.batches import make_sampler
from versatune_plugin.training.heldout_eval import DomainLosses, HeldoutLosses
from versatune_plugin.training.probes import difficulty
from versatune_plugin.training.run_logger import Account, by_domain, json_number
from versatune_plugin.training.run_plan import Outline, make_policy, within_bounds
from versatune_plugin.training.state import RunState, changed_settings, read_state, refused, write_state

if TYPE_CHECKING:
    from versatune_plugin.training.trainer import VersaTuneTrainer

LOG = logging.getLogger("axolotl.versatune")


class LiveMixture:
    """Everything that changes while a run goes on, apart from the model.

    Args:
        section: the section ``versatune:``.
        outline: steps, stages, batch size and what is measured.
        table: the domains, their rows and held-out rows.
        prior: shape (k,).
        reference_loss: shape (k,), nats per token of this run's tokenizer, or None.
        output_dir: where the record goes.
        settings: of the host, those that shape the run, as plain JSON.

    Attributes:
        changed_settings: of the host, those that were other ones when the checkpoint was saved, and were accepted.
        resumes_by_itself: any undamaged checkpoint will do; the user named none.
    """

    def __init__(
        self,
        section: Section,
        outline: Outline,
        table: DomainTable,
        prior: Vector,
        reference_loss: Vector | None,
        output_dir: Path,
        settings: Mapping[str, Any],
    ) -> None:
        self.settings = dict(settings)
        self.section = section
        self.outline = outline
        self.table = table
        self.prior = prior
        self.reference_loss = reference_loss
        self.policy = make_policy(section, outline, table, prior)
        self.schedule = Schedule(0, within_bounds(section, self.policy, self.policy.initial_weights()))
        self.previous_loss: Vector | None = None
        self.first_row_loss: list[Vector] | None = None
        self.batch_losses: list[BatchLoss] = []
        self.exhausted: list[str] = []
        self.account = Account(output_dir, table, outline)
        self.changed_settings: frozenset[str] = frozenset()
        self.resumes_by_itself = False
        self._resumed_at: int | None = None
        self._recorded: dict[str, Any] | None = None
        self._end_measured = False
        self._heldout: HeldoutLosses
        self.sampler: GlobalBatchSampler

    def attach(self, trainer: VersaTuneTrainer) -> None:
        """Fit the plan to the trainer's processes and micro-batches.

        Raises:
            VersaTuneError: they do not make the global batch that the plan was settled for.
        """
        args = trainer.args
        self.sampler = make_sampler(self.section, self.outline, self.table, self.schedule, args)
        self._heldout = HeldoutLosses(self.table, trainer.processing_class, args.per_device_eval_batch_size)

    @property
    def needs_batch_loss(self) -> bool:
        """Whether the mixture in force learns from the losses of the training batches."""
        return self.policy.reads_now == "training losses"

    def begin(self, trainer: VersaTuneTrainer) -> None:
        """Open the record and, in a fresh run, measure where the model starts."""
        settings = {
            "mixture": self.section.mixture,
            "options": self.section.policy_options.model_dump(mode="json"),
            "prior": by_domain(self.table.names, self.prior),
            "weights": by_domain(self.table.names, self._weights),
            "reference": None if self.reference_loss is None else by_domain(self.table.names, self.reference_loss),
        }
        resumed_at = self._resumed_at
        over = resumed_at is not None and self.over(resumed_at)
        self.account.open(trainer, settings, resumed_at, self._recorded, over)
        if self._resumed_at is None and self.outline.measuring.heldout:
            losses = self._measure(trainer, 0)
            self.first_row_loss = losses.row_loss
            self._tell(trainer, "measure", 0, losses)
        elif self._resumed_at is not None and self.first_row_loss is None and "probes" in self.section.traits.reads:
            # Resumed with other held-out rows or another mixture: difficulty is counted from here.
            self.first_row_loss = self._measure(trainer, self._resumed_at).row_loss

    def after_step(self, trainer: VersaTuneTrainer, step: int, batch_loss: float | None) -> None:
        """Update the weights when ``step`` (optimizer steps done) is due; they act on the very next batch.

        Args:
            trainer: of the run.
            step: optimizer steps done.
            batch_loss: training loss of the step in nats per token; None unless `needs_batch_loss`.
        """
        if batch_loss is not None:
            domain = int(np.argmax(self.sampler.counts))
            self.batch_losses.append(BatchLoss(domain, float(self._weights[domain]), batch_loss))
        if step >= self.outline.total_steps:
            return
        if self.outline.update_due(step):
            self._update(trainer, step)
        self._turn(trainer, step)
        self._count_exhausted()

    def over(self, step: int) -> bool:
        """Whether nothing is left to train after ``step`` optimizer steps."""
        return step >= self.outline.total_steps or bool(self.exhausted)

    def measure_end(self, trainer: VersaTuneTrainer, step: int) -> None:
        """Measure where training ended, once."""
        if self.outline.measuring.heldout and not self._end_measured:
            self._end_measured = True
            self._tell(trainer, "measure", step, self._measure(trainer, step))

    def finish(self, trainer: VersaTuneTrainer, step: int) -> None:
        """Close the record.

        Raises:
            VersaTuneError: a domain ran out under ``on_exhausted: error``.
        """
        self.account.close(trainer, step, self.sampler, self.exhausted)
        if self.exhausted:
            told = f"{', '.join(self.exhausted)}: max_passes ({self.section.max_passes:g}) reached after step {step}"
            if self.section.on_exhausted == "error":
                raise VersaTuneError(f"{told}. Everything until there is saved; add rows or raise `max_passes`")
            LOG.warning("the run ended early: %s", told)

    def save(self, checkpoint: Path, step: int) -> None:
        """Write the state of the mixture into a checkpoint."""
        if self.sampler.plan.step != step:
            raise RuntimeError(f"the plan stands at step {self.sampler.plan.step}, the trainer at {step}")
        names = self.table.names
        first_step, weights = self.schedule.latest
        write_state(
            checkpoint,
            {
                "step": step,
                "fingerprint": self.fingerprint(),
                "split": str(self.outline.split),
                "weights": by_domain(names, weights),
                "first_step": first_step,
                "sampler": self.sampler.state_dict(),
                "policy": {"mixture": self.section.mixture, "state": self.policy.state_dict()},
                "previous_loss": None if self.previous_loss is None else by_domain(names, self.previous_loss),
                "first_row_loss": None
                if self.first_row_loss is None
                else {
                    name: [json_number(loss) for loss in rows.tolist()]
                    for name, rows in zip(names, self.first_row_loss, strict=True)
                },
                "batch_losses": [
                    [names[batch.domain], batch.weight, json_number(batch.loss)] for batch in self.batch_losses
                ],
                "measuring_seconds": self.account.measuring_seconds,
                "record": self.account.record.so_far,
            },
        )

    def resume(self, checkpoint: Path) -> None:
        """Take back the state that `save` wrote; under accepted changes, what no longer fits starts anew, and is named.

        Raises:
            VersaTuneError: the state is missing, damaged, of another run, or one that no run could have written.
        """
        accepts = self.section.accept_changes
        state, changed = read_state(checkpoint, self.fingerprint(), accepts, str(self.outline.split))
        names, plan = self.table.names, state.sampler.plan
        of_another_unit = (plan.ahead is None) == self.sampler.plan.counts_tokens
        if of_another_unit and changed:
            LOG.warning("what the domains are owed starts anew: the weights are shares of something else now")
            owed = {"credit": dict.fromkeys(names, 0.0), "ahead": None}
            plan = plan.model_copy(update=owed)
            state = state.model_copy(update={"sampler": state.sampler.model_copy(update={"plan": plan})})
        problems = state.complaints(names, self.outline.batch_size, self.sampler.plan.room_of_a_batch)
        if of_another_unit and not changed:
            problems.append("sampler.plan.ahead is not that of a plan in this unit")
        if problems:
            raise refused(checkpoint, problems)
        self.schedule = Schedule(state.first_step, self._vector(state.weights))
        self.sampler.plan.schedule = self.schedule
        self.sampler.load_state_dict(state.sampler.model_dump())
        if state.previous_loss is not None:
            self.previous_loss = self._vector(state.previous_loss)
        self._load_first_rows(checkpoint, state, changed)
        self.batch_losses = [
            BatchLoss(names.index(name), weight, np.nan if loss is None else loss)
            for name, weight, loss in state.batch_losses
        ]
        self.account.measuring_seconds = state.measuring_seconds
        anew = self._load_policy(checkpoint, state, changed)
        self._resumed_at = state.step
        self._recorded = None if state.record is None else state.record.model_dump()
        self.changed_settings = changed_settings(state.fingerprint, self.fingerprint())
        if changed:
            # New bounds hold for the weights in force, too.
            self._rule(self._weights.copy() if anew is None else anew, state.step, bound=True)
        if state.step < self.outline.total_steps:
            self._count_exhausted()

    def _load_policy(self, checkpoint: Path, state: RunState, changed: bool) -> Vector | None:
        """Take back the mixture's own state; returns the weights that rule from here, if not those in force."""
        try:
            if state.policy.mixture != self.section.mixture:
                raise ValueError(f"the mixture was {state.policy.mixture!r}")
            self.policy.load_state_dict(state.policy.state)
            if (misfit := self.policy.misfit(state.step)) is not None:
                raise ValueError(misfit)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            told = " ".join(str(error).split())
            if not changed:
                raise refused(
                    checkpoint, [f"policy.state is none of the mixture {self.section.mixture!r}: {told}"]
                ) from error
            LOG.warning("the mixture %r starts anew from the weights in force: %s", self.section.mixture, told)
            self.policy = make_policy(self.section, self.outline, self.table, self.prior)
            self.batch_losses = []
            return self.policy.start_at(state.step)
        # Where nothing is measured, the mixture as it is configured now says what rules.
        return self.policy.start_at(state.step) if changed and self.policy.reads_now == "nothing" else None

    def _load_first_rows(self, checkpoint: Path, state: RunState, changed: bool) -> None:
        if state.first_row_loss is None:
            return
        rows = [np.array(state.first_row_loss[name], dtype=np.float64) for name in self.table.names]
        if all(len(own) == len(domain.heldout) for own, domain in zip(rows, self.table.domains, strict=True)):
            self.first_row_loss = rows
        elif not changed:
            raise refused(checkpoint, ["first_row_loss is not of as many rows as are held out"])
        else:
            LOG.warning("the first losses of held-out rows start anew: other rows are held out")

    def fingerprint(self) -> dict[str, Any]:
        """What must be the same for a resumed run to be the same run, as plain JSON."""
        settled = self.outline.measuring
        return {
            "batch_size": self.outline.batch_size,
            "steps_per_epoch": self.outline.steps_per_epoch,
            "packing": self.outline.bin_tokens,
            "seed": self.outline.seed,
            "total_steps": self.outline.total_steps,
            "run": self.settings,
            "domains": {
                domain.name: {"rows": domain.size, "held out": len(domain.heldout), "content": domain.digest}
                for domain in self.table.domains
            },
            "versatune": {
                "mixture": self.section.mixture,
                "options": self.section.policy_options.model_dump(mode="json"),
                "heldout": settled.heldout,
                "update_steps": settled.update_steps,
                "floor": self.section.floor,
                "cap": self.section.cap,
                "unit": self.section.unit,
                "max_passes": self.section.max_passes,
                "on_exhausted": self.section.on_exhausted,
                "prior": by_domain(self.table.names, self.prior),
                "reference": None if self.reference_loss is None else by_domain(self.table.names, self.reference_loss),
            },
        }

    @property
    def _weights(self) -> Vector:
        return self.schedule.latest[1]

    def _count_exhausted(self) -> None:
        if self.section.max_passes is not None:
            over = self.sampler.plan.over(self.section.max_passes)
            self.exhausted = [name for name, is_over in zip(self.table.names, over, strict=True) if is_over]

    def _update(self, trainer: VersaTuneTrainer, step: int) -> None:
        traits = self.section.traits
        if traits.updates and not traits.measures and not self.needs_batch_loss:
            # A stage that stands still between others that learn from training losses: nothing is worth measuring.
            return
        if self.needs_batch_loss:
            losses, signal = None, Signal(step, self._weights, batch_losses=tuple(self.batch_losses))
            finite = self._all_finite(self.batch_losses, step)
        else:
            losses = self._measure(trainer, step)
            signal = self._signal(losses, step)
            read = (signal.loss, signal.similarity, signal.difficulty)
            finite = all(np.isfinite(figures).all() for figures in read if figures is not None)
        self.batch_losses = []
        if finite:
            self._rule(self.policy.update(signal), step)
            self.previous_loss = signal.loss
        self._tell(trainer, "update", step, losses, signal)

    def _turn(self, trainer: VersaTuneTrainer, step: int) -> None:
        """Let weights rule that were planned for this step, whatever is measured; a stage begins anew."""
        weights = self.policy.turn(step)
        if weights is None:
            return
        losses = None
        if any(stage.first_step == step for stage in self.outline.stages):
            self.batch_losses = []
            self.previous_loss = None
            trainer.forget_optimizer_state()
            if self.outline.measuring.heldout:
                losses = self._measure(trainer, step)
                self.first_row_loss = losses.row_loss
        self._rule(weights, step)
        self._tell(trainer, "turn", step, losses)

    def _rule(self, weights: Vector, step: int, bound: bool = False) -> None:
        """Let the proposed weights rule from ``step`` on; ``bound``: also if they do already, within today's bounds."""
        if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
            raise RuntimeError(f"the mixture {self.section.mixture!r} proposed {weights.tolist()} at step {step}")
        # Unchanged weights stay as they are, to the last bit.
        if bound or not np.array_equal(weights, self._weights):
            self.schedule.append(step, within_bounds(self.section, self.policy, weights))
            self.schedule.forget(step)

    def _signal(self, losses: DomainLosses, step: int) -> Signal:
        signal = Signal(
            step,
            self._weights,
            losses.loss,
            losses.tokens,
            self.previous_loss,
            self.reference_loss,
            losses.similarity,
        )
        if losses.row_loss is None or self.first_row_loss is None:
            return signal
        return replace(signal, difficulty=difficulty(losses.row_loss, self.first_row_loss))

    def _measure(self, trainer: VersaTuneTrainer, step: int) -> DomainLosses:
        losses = self._heldout.measure(trainer, probe="probes" in self.section.traits.reads)
        self.account.measuring_seconds += losses.seconds
        lost = [name for name, loss in zip(self.table.names, losses.loss, strict=True) if not np.isfinite(loss)]
        if lost:
            LOG.warning(
                "held-out loss of %s is not finite at step %d; the weights stay as they are. Look at the learning rate "
                "and at the rows of that domain",
                ", ".join(lost),
                step,
            )
        return losses

    def _all_finite(self, batches: list[BatchLoss], step: int) -> bool:
        lost = {self.table.names[batch.domain] for batch in batches if not np.isfinite(batch.loss)}
        if lost:
            LOG.warning(
                "training loss of %s is not finite at step %d; the weights stay as they are. Look at the learning rate "
                "and at the rows of that domain",
                ", ".join(sorted(lost)),
                step,
            )
        return not lost

    def _tell(
        self,
        trainer: VersaTuneTrainer,
        kind: str,
        step: int,
        losses: DomainLosses | None,
        signal: Signal | None = None,
    ) -> None:
        self.account.tell(trainer, kind, step, self._weights, self.sampler, losses, signal)

    def _vector(self, values: dict[str, float]) -> Vector:
        return np.array([values[name] for name in self.table.names], dtype=np.float64)
