"""Mixtures that are known beforehand: the weights of a recorded run played back, their mean held fixed, or by hand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from versatune_plugin.artifacts.record import read_record
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.mixtures.base import Policy, PolicyOptions, Signal, Start, StaticPolicy
from versatune_plugin.mixtures.weights import Vector, complaints, normalised


class Stretch(BaseModel):
    """Weights from an optimizer step on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int = Field(ge=0, description="the first optimizer step that is drawn with them; 0 is the first of the run")
    weights: dict[str, float] = Field(description="weight by domain")


class Replay(StaticPolicy):
    """The mean of a recorded run's weights over its steps, held fixed.

    Set beside the run itself, it isolates whether *changing* the weights mattered.
    """

    name = "replay"
    summary = "the mean weights of a recorded run, held fixed"
    paper = "a control, not of a paper"
    uses_prior = False
    exact = True

    class Options(PolicyOptions):
        """Options of ``mixture: replay``."""

        replay: Path = Field(description="the versatune.jsonl of the run")

        def complaints(self, domains: Sequence[str]) -> list[str]:
            """The record must be there and be of these domains."""
            return record_complaints("replay", self.replay, domains)

    options: Options

    def initial_weights(self) -> Vector:
        """Mean over the recorded steps, shape (k,)."""
        stretches, end = read_stretches(self.options.replay)
        ends = [stretch.step for stretch in stretches[1:]] + [end]
        total = np.zeros(len(self.start.domains))
        for stretch, last in zip(stretches, ends, strict=True):
            weights = normalised(stretch.weights, self.start.domains, str(self.options.replay))
            total += (last - stretch.step) * weights
        return total / total.sum()


class Schedule(Policy):
    """Weights by step, from a recorded run or written in the YAML; each holds until the next begins.

    A recorded ``versatune`` run played back on the same rows and seed trains on the very same batches.
    """

    name = "schedule"
    summary = "weights by step: a recorded run's, or written by hand"
    paper = "a control, not of a paper"
    reads = "nothing"
    uses_prior = False
    exact = True

    class Options(PolicyOptions):
        """Options of ``mixture: schedule``."""

        schedule: list[Stretch] | Path = Field(
            description="the versatune.jsonl of a run, or a list of {step: 0, weights: {law: 0.5, ...}}"
        )

        def complaints(self, domains: Sequence[str]) -> list[str]:
            """Steps that begin at 0 and rise; weights of these domains."""
            if isinstance(self.schedule, Path):
                return record_complaints("schedule", self.schedule, domains, from_the_start=True)
            steps = [stretch.step for stretch in self.schedule]
            problems = []
            if not steps or steps[0] != 0 or any(b <= a for a, b in pairwise(steps)):
                problems.append(f"schedule: its steps are {steps}; they must begin at 0 and rise")
            for number, stretch in enumerate(self.schedule):
                problems += complaints(stretch.weights, domains, f"schedule[{number}].weights")
            return problems

    options: Options

    def __init__(self, options: PolicyOptions, start: Start) -> None:
        super().__init__(options, start)
        given = self.options.schedule
        stretches = read_stretches(given)[0] if isinstance(given, Path) else given
        self._steps = [stretch.step for stretch in stretches]
        self._vectors = [normalised(stretch.weights, self.start.domains, "schedule") for stretch in stretches]

    def initial_weights(self) -> Vector:
        """The weights of step 0, shape (k,)."""
        return self._weights_at(0)

    def turn(self, step: int) -> Vector | None:
        """The weights that begin at ``step``, shape (k,), if any do."""
        return self._weights_at(step) if step in self._steps else None

    def update(self, signal: Signal) -> Vector:
        """Those in force: nothing that is measured moves them."""
        return signal.weights

    def start_at(self, step: int) -> Vector | None:
        """The weights planned for ``step``."""
        return self._weights_at(step)

    def _weights_at(self, step: int) -> Vector:
        return self._vectors[bisect_right(self._steps, step) - 1]


def read_stretches(path: Path) -> tuple[list[Stretch], int]:
    """The weights that a recorded run drew with, and the step at which it ended.

    Raises:
        VersaTuneError: as of `read_record`.
    """
    start, *lines = read_record(path)
    first = start.get("resumed_at", 0)
    stretches = {first: Stretch(step=first, weights=start["weights"])}
    for line in lines:
        if line["kind"] in ("update", "turn"):
            stretches[line["step"]] = Stretch(step=line["step"], weights=line["weights"])
    end = lines[-1]["step"] if lines else first
    return list(stretches.values()), max(end, max(stretches) + 1)


def record_complaints(option: str, path: Path, domains: Sequence[str], from_the_start: bool = False) -> list[str]:
    """What keeps a record from being played back for these domains, one sentence each."""
    try:
        stretches, _ = read_stretches(path)
    except VersaTuneError as error:
        return [f"{option}: {error}"]
    problems = []
    for stretch in stretches:
        if problems := complaints(stretch.weights, domains, f"{option}: {path}, step {stretch.step}"):
            break
    if from_the_start and stretches[0].step != 0:
        problems.append(f"{option}: {path} begins at step {stretches[0].step}, so the steps before it are unknown")
    return problems
