"""Who rules when: the weights of every step, from what is planned and what is observed. No torch, no files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from versatune_plugin.mixtures.base import Mixture, MixtureContext, Requirements
from versatune_plugin.mixtures.bounds import Bounds
from versatune_plugin.mixtures.observations import (
    BatchLoss,
    BatchObservation,
    HeldoutObservation,
    Measurement,
    Observation,
    ProbeObservation,
    difficulty,
)
from versatune_plugin.mixtures.schedule import WeightSchedule
from versatune_plugin.mixtures.stages import PlannedStage
from versatune_plugin.mixtures.weights import Vector, by_domain, json_number
from versatune_plugin.schema.model import Count, StrictModel

SUM_TOLERANCE = 1e-6
Share = Annotated[float, Field(ge=0, le=1 + SUM_TOLERANCE)]


class ControllerState(StrictModel):
    """What the controller remembers, as it stands in a checkpoint; null stands for a loss that is not finite."""

    first_step: Count
    weights: dict[str, Share]
    stage: Count
    mixture: str
    state: dict[str, Any]
    previous_loss: dict[str, float] | None
    first_row_loss: dict[str, list[float | None]] | None
    batch_losses: list[tuple[str, Share, float | None]]

    def problems(self, domains: Sequence[str], step: int) -> list[str]:
        """What no run of these domains could have written after ``step`` optimizer steps, one sentence each."""
        known = {"weights": self.weights, "previous_loss": self.previous_loss, "first_row_loss": self.first_row_loss}
        problems = [
            f"{place} is of the domains {sorted(values)}, not of {sorted(domains)}"
            for place, values in known.items()
            if values is not None and values.keys() != set(domains)
        ]
        problems += [f"batch_losses names {n!r}, which is no domain" for n, *_ in self.batch_losses if n not in domains]
        if abs(excess := math.fsum(self.weights.values()) - 1) > SUM_TOLERANCE:
            problems.append(f"weights sum to {excess + 1:.6g}, not to 1")
        if self.first_step > step:
            problems.append(f"first_step is {self.first_step}, after step {step}")
        return problems


@dataclass(frozen=True)
class Change:
    """What happened after an optimizer step; the weights may have stayed what they were.

    Attributes:
        kind: ``update``: something was observed, or measured for the record alone; ``scheduled``: weights that were
            planned for this step took force.
        begins_stage: the optimizer, too, starts anew.
        measurement: of the held-out rows, if they were measured.
        observation: of all domains, at an update; what is not finite in it has left the weights as they were.
    """

    kind: str
    begins_stage: bool = False
    measurement: Measurement | None = None
    observation: Observation | None = None


class MixtureController:
    """The weights of a run: it knows what is due, asks the mixture of the stage, and keeps the weights within bounds.

    Args:
        stages: in order, the first from step 0 on; a run without stages is one.
        context: of the run.
        bounds: floor and cap.
        total_steps: optimizer steps of the run.
        update_steps: optimizer steps between two updates, counted from the first of a stage; None: there are none.
        reference_loss: shape (k,), nats per token of this run's tokenizer, or None.

    Attributes:
        schedule: the weights by step, for those who draw by them.
        mixture: of the stage in force.
        stage: its number.
    """

    def __init__(
        self,
        stages: Sequence[PlannedStage],
        context: MixtureContext,
        bounds: Bounds,
        total_steps: int,
        update_steps: int | None = None,
        reference_loss: Vector | None = None,
    ) -> None:
        self.stages = tuple(stages)
        self.context = context
        self.bounds = bounds
        self.total_steps = total_steps
        self.update_steps = update_steps
        self.reference_loss = reference_loss
        self.requirements = Requirements.combined([stage.requirements for stage in self.stages])
        self.stage: int
        self.mixture: Mixture[Any]
        self._previous_loss: Vector | None
        self._batch_losses: list[BatchLoss]
        self._first_row_loss: list[Vector] | None = None
        self._enter(0)
        self.schedule = WeightSchedule(0, self._within_bounds(self.mixture.initial_weights()))

    @property
    def planned(self) -> PlannedStage:
        """The stage in force."""
        return self.stages[self.stage]

    @property
    def weights(self) -> Vector:
        """In force from the last change on, shape (k,)."""
        return self.schedule.latest[1]

    @property
    def observes_batches(self) -> bool:
        """Whether the mixture in force learns from the losses of the training batches."""
        return self.planned.requirements.observes is BatchObservation

    @property
    def lacks_first_losses(self) -> bool:
        """Whether a measurement is wanted, since nothing is known of where the model started."""
        return self.requirements.probes and self._first_row_loss is None

    def weights_at(self, step: int) -> Vector:
        """The weights, shape (k,), with which the batch of ``step`` (0 is the first) is drawn."""
        return self.schedule.weights_at(step)

    def known_weights(self, step: int) -> Vector | None:
        """The weights of ``step``, shape (k,), as far as they are known whatever is observed; else None."""
        stage = self.stages[self._stage_at(step)]
        mixture = self.mixture if stage is self.planned else self._made(stage)
        own = mixture.scheduled_weights(step - stage.first_step)
        if own is None and not stage.requirements.moves:
            own = mixture.initial_weights()
        return None if own is None else self._within_bounds(own, stage)

    def update_due(self, step: int) -> bool:
        """Whether the weights are updated once ``step`` optimizer steps are done: counted from the stage's first."""
        return any(step in steps for steps in self.update_moments)

    @property
    def update_moments(self) -> list[range]:
        """Of each stage, after how many optimizer steps of the run its weights are updated."""
        every = self.update_steps
        starts = [stage.first_step for stage in self.stages]
        ends = [min(end, self.total_steps) for end in (*starts[1:], self.total_steps)]
        return [range(start + every, end, every) for start, end in zip(starts, ends, strict=True)] if every else []

    def begin(self, measurement: Measurement) -> None:
        """Take note of where the model starts."""
        self._first_row_loss = measurement.row_loss

    def after_step(
        self, step: int, measure: Callable[[], Measurement] | None, batch: tuple[int, float] | None = None
    ) -> Change | None:
        """Bring the weights to what is due once ``step`` optimizer steps are done; they act on the very next batch.

        Args:
            step: optimizer steps done.
            measure: runs the held-out rows through the model; None where none are held out.
            batch: domain and training loss, in nats per token, of the batch of the step, if `observes_batches`.

        Returns:
            What happened, or None.
        """
        if batch is not None:
            domain, loss = batch
            self._batch_losses.append(BatchLoss(domain, float(self.weights[domain]), loss))
        if step >= self.total_steps:
            return None
        if self._stage_at(step) != self.stage:
            return self._begin_stage(step, measure)
        since = step - self.planned.first_step
        before, now = self.mixture.scheduled_weights(since - 1), self.mixture.scheduled_weights(since)
        scheduled = before is not None and now is not None and not np.array_equal(now, before)
        if scheduled and now is not None:
            self._rule(now, step)
        change = self._update(step, measure) if self.update_due(step) else None
        return Change("scheduled") if scheduled and change is None else change

    def state_dict(self) -> dict[str, Any]:
        """All that is remembered, as plain JSON; see `ControllerState`."""
        first_step, weights = self.schedule.latest
        names, rows = self.context.domains, self._first_row_loss
        return {
            "first_step": first_step,
            "weights": by_domain(names, weights),
            "stage": self.stage,
            "mixture": self.mixture.name,
            "state": self.mixture.state_dict(),
            "previous_loss": None if self._previous_loss is None else by_domain(names, self._previous_loss),
            "first_row_loss": None
            if rows is None
            else {n: [json_number(x) for x in own.tolist()] for n, own in zip(names, rows, strict=True)},
            "batch_losses": [
                [names[batch.domain], batch.weight, json_number(batch.loss)] for batch in self._batch_losses
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any], step: int) -> None:
        """Go on where `state_dict` was taken.

        Args:
            state: of `state_dict`; its domains are those of this run.
            step: optimizer steps done.

        Raises:
            ValueError: the mixture that is in force at ``step`` did not leave this state. Weights and losses are taken
                all the same, so that `begin_anew` may follow.
        """
        # As JSON, in which a strict schema takes lists for tuples.
        kept, names = ControllerState.model_validate_json(json.dumps(state)), self.context.domains
        self._enter(self._stage_at(step))
        self.schedule.restart(kept.first_step, self._vector(kept.weights))
        if kept.previous_loss is not None:
            self._previous_loss = self._vector(kept.previous_loss)
        if kept.first_row_loss is not None:
            self._first_row_loss = [np.array(kept.first_row_loss[name], dtype=np.float64) for name in names]
        if kept.stage != self.stage:
            raise ValueError(f"it stood in stage {kept.stage + 1}, and step {step} is in stage {self.stage + 1}")
        if kept.mixture != self.mixture.name:
            raise ValueError(f"the mixture was {kept.mixture!r}")
        try:
            self.mixture.load_state_dict(kept.state)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise ValueError(" ".join(str(error).split())) from error
        self._batch_losses = [
            BatchLoss(names.index(name), weight, np.nan if loss is None else loss)
            for name, weight, loss in kept.batch_losses
        ]

    def begin_anew(self, step: int) -> None:
        """Let the mixture that is in force at ``step`` start there, remembering nothing; a stage, with its weights."""
        previous = self._previous_loss
        self._enter(self._stage_at(step))
        self._previous_loss = previous
        if self.planned.configured is not None:
            self._rule(self.mixture.initial_weights(), step)

    def apply_configuration(self, step: int) -> None:
        """Have bounds and planned weights rule as they are configured now, whatever ruled before ``step``."""
        known = self.known_weights(step)
        self.schedule.append(step, self._bounded(self.weights) if known is None else known)
        self.schedule.forget(step)

    def forget_first_losses(self) -> None:
        """Let difficulty be counted from the next measurement on: other rows are held out."""
        self._first_row_loss = None

    def _begin_stage(self, step: int, measure: Callable[[], Measurement] | None) -> Change:
        self._enter(self._stage_at(step))
        measurement = measure() if measure is not None else None
        if measurement is not None:
            self._first_row_loss = measurement.row_loss
        self._rule(self.mixture.initial_weights(), step)
        return Change("scheduled", begins_stage=True, measurement=measurement)

    def _update(self, step: int, measure: Callable[[], Measurement] | None) -> Change | None:
        measurement: Measurement | None = None
        observation: BatchObservation | HeldoutObservation
        if self.observes_batches:
            observation = BatchObservation(step=step, weights=self.weights, batch_losses=tuple(self._batch_losses))
        elif measure is None or (self.requirements.updates and not self.requirements.measures):
            # A stage that stands still between others that learn from training losses: nothing is worth measuring.
            return None
        else:
            measurement = measure()
            observation = self._observed(measurement, step)
        self._batch_losses = []
        if all(np.isfinite(figures).all() for figures in observation.figures):
            if self.planned.requirements.updates:
                chosen = self.planned.chosen
                whole = len(chosen) == len(self.context.domains)
                self._rule(self.mixture.update(observation if whole else observation.restricted(chosen)), step)
            self._previous_loss = None if measurement is None else measurement.loss
        return Change("update", measurement=measurement, observation=observation)

    def _observed(self, measurement: Measurement, step: int) -> HeldoutObservation:
        observation = HeldoutObservation(
            step=step,
            weights=self.weights,
            loss=measurement.loss,
            tokens=measurement.tokens,
            previous_loss=self._previous_loss,
            reference_loss=self.reference_loss,
        )
        rows, similarity = measurement.row_loss, measurement.similarity
        if rows is None or similarity is None or self._first_row_loss is None:
            return observation
        probed = {"similarity": similarity, "difficulty": difficulty(rows, self._first_row_loss)}
        return ProbeObservation(**{**vars(observation), **probed})

    def _rule(self, proposed: Vector, step: int) -> None:
        """Let what the mixture in force proposed rule from ``step`` on."""
        numbers = np.asarray(proposed, dtype=np.float64)
        wrong = numbers.shape != (len(self.planned.chosen),) or not np.isfinite(numbers).all() or (numbers < 0).any()
        if wrong or numbers.sum() <= 0:
            raise RuntimeError(f"the mixture {self.mixture.name!r} proposed {numbers.tolist()} at step {step}")
        # Unchanged weights stay as they are, to the last bit.
        if not np.array_equal(self._spread(numbers), self.weights):
            self.schedule.append(step, self._within_bounds(numbers))
            self.schedule.forget(step)

    def _within_bounds(self, own: Vector, stage: PlannedStage | None = None) -> Vector:
        """From numbers of the stage's domains to the weights of all, shape (k,)."""
        planned = self.planned if stage is None else stage
        within = self.bounds.project(own) if planned.bounded else own
        if planned.configured is None:
            return within if planned.bounded else within / within.sum()
        # A cap may leave a stage of few domains short of one.
        weights = self._spread(within / within.sum(), planned)
        return np.asarray(weights / weights.sum())

    def _bounded(self, weights: Vector) -> Vector:
        """Weights in force, shape (k,), within today's bounds; of domains that had none, those of the start."""
        own = weights[self.planned.chosen]
        return self._within_bounds(own if own.sum() > 0 else self.mixture.initial_weights())

    def _spread(self, own: Vector, stage: PlannedStage | None = None) -> Vector:
        chosen = (self.planned if stage is None else stage).chosen
        weights = np.zeros(len(self.context.domains))
        weights[chosen] = own
        return weights

    def _stage_at(self, step: int) -> int:
        return sum(stage.first_step <= step for stage in self.stages) - 1

    def _enter(self, number: int) -> None:
        self.stage = number
        self.mixture = self._made(self.stages[number])
        self._previous_loss = None
        self._batch_losses = []

    def _made(self, stage: PlannedStage) -> Mixture[Any]:
        chosen, context = stage.chosen, self.context
        prior = context.prior
        if len(chosen) < len(context.domains):
            prior = prior[chosen]
            prior = prior / prior.sum() if prior.sum() > 0 else np.full(len(chosen), 1.0 / len(chosen))
        own = replace(
            context,
            domains=tuple(context.domains[index] for index in chosen),
            prior=prior,
            rows=stage.rows[chosen].astype(np.float64),
        )
        return stage.mixture(stage.options, own)

    def _vector(self, values: Mapping[str, float]) -> Vector:
        return np.array([values[name] for name in self.context.domains], dtype=np.float64)
