"""Mixtures that are known beforehand: the weights of a recorded run played back, their mean held fixed, or by hand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydantic import Field

from versatune_plugin.artifacts.record import WEIGHT_LINES, read_record
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.mixtures.base import Mixture, MixtureContext, MixtureOptions, Requirements, StaticMixture
from versatune_plugin.mixtures.observations import Observation
from versatune_plugin.mixtures.registry import register_mixture
from versatune_plugin.mixtures.weights import Vector, normalised, weight_problems
from versatune_plugin.schema.domain_names import ByDomain
from versatune_plugin.schema.model import MOST_STEPS, FilePath, Real, StrictModel


class Segment(StrictModel):
    """Weights from an optimizer step on."""

    step: int = Field(
        ge=0, le=MOST_STEPS, description="the first optimizer step that is drawn with them; 0 is the first of the run"
    )
    weights: ByDomain[Real] = Field(description="weight by domain")


@register_mixture
class Replay(StaticMixture):
    """The mean of a recorded run's weights over its steps, held fixed.

    Set beside the run itself, it isolates whether *changing* the weights mattered.
    """

    name = "replay"
    summary = "the mean weights of a recorded run, held fixed"
    source = "a control, not of a paper"

    class Options(MixtureOptions):
        """Options of ``mixture: replay``."""

        replay: FilePath = Field(description="the versatune.jsonl of the run")

        def problems(self, domains: Sequence[str]) -> list[str]:
            """The record must be there and be of these domains."""
            return record_problems("replay", self.replay, domains)

    options: Options

    @classmethod
    def requirements(cls, options: Options) -> Requirements:
        """Weights that are taken as they are."""
        return Requirements(moves=False, bounded=False)

    def initial_weights(self) -> Vector:
        """Mean over the recorded steps, shape (k,)."""
        segments, end = read_segments(self.options.replay)
        ends = [segment.step for segment in segments[1:]] + [end]
        total = np.zeros(len(self.context.domains))
        for segment, last in zip(segments, ends, strict=True):
            weights = normalised(segment.weights, self.context.domains, str(self.options.replay))
            total += (last - segment.step) * weights
        return total / total.sum()


@register_mixture
class Schedule(Mixture[Observation]):
    """Weights by step, from a recorded run or written in the YAML; each holds until the next begins.

    A recorded ``versatune`` run played back on the same rows and seed trains on the very same batches.
    """

    name = "schedule"
    summary = "weights by step: a recorded run's, or written by hand"
    source = "a control, not of a paper"

    class Options(MixtureOptions):
        """Options of ``mixture: schedule``."""

        schedule: list[Segment] | FilePath = Field(
            description="the versatune.jsonl of a run, or a list of {step: 0, weights: {law: 0.5, ...}}"
        )

        def problems(self, domains: Sequence[str]) -> list[str]:
            """Steps that begin at 0 and rise; weights of these domains."""
            if isinstance(self.schedule, Path):
                return record_problems("schedule", self.schedule, domains, from_the_start=True)
            steps = [segment.step for segment in self.schedule]
            problems = []
            if not steps or steps[0] != 0 or any(b <= a for a, b in pairwise(steps)):
                problems.append(f"schedule: its steps are {steps}; they must begin at 0 and rise")
            for number, segment in enumerate(self.schedule):
                problems += weight_problems(segment.weights, domains, f"schedule[{number}].weights")
            return problems

    options: Options

    @classmethod
    def requirements(cls, options: Options) -> Requirements:
        """Weights that are taken as they are."""
        return Requirements(bounded=False)

    def __init__(self, options: MixtureOptions, context: MixtureContext) -> None:
        super().__init__(options, context)
        given = self.options.schedule
        segments = read_segments(given)[0] if isinstance(given, Path) else given
        self._steps = [segment.step for segment in segments]
        self._vectors = [normalised(segment.weights, self.context.domains, "schedule") for segment in segments]

    def initial_weights(self) -> Vector:
        """The weights of step 0, shape (k,)."""
        return self.scheduled_weights(0)

    def scheduled_weights(self, step: int) -> Vector:
        """Those of the last segment that has begun, shape (k,)."""
        return self._vectors[bisect_right(self._steps, step) - 1]


def read_segments(path: Path) -> tuple[list[Segment], int]:
    """The weights that a recorded run drew with, and the step at which it ended.

    Raises:
        VersaTuneError: as of `read_record`.
    """
    start, *lines = read_record(path)
    first = start.get("resumed_at", 0)
    segments = {first: Segment(step=first, weights=start["weights"])}
    for line in lines:
        if line["kind"] in WEIGHT_LINES:
            segments[line["step"]] = Segment(step=line["step"], weights=line["weights"])
    end = lines[-1]["step"] if lines else first
    return list(segments.values()), max(end, max(segments) + 1)


def record_problems(option: str, path: Path, domains: Sequence[str], from_the_start: bool = False) -> list[str]:
    """What keeps a record from being played back for these domains, one sentence each."""
    try:
        segments, _ = read_segments(path)
    except VersaTuneError as error:
        return [f"{option}: {error}"]
    problems = []
    for segment in segments:
        if problems := weight_problems(segment.weights, domains, f"{option}: {path}, step {segment.step}"):
            break
    if from_the_start and segments[0].step != 0:
        problems.append(f"{option}: {path} begins at step {segments[0].step}, so the steps before it are unknown")
    return problems
