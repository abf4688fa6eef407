"""Runs in small for the property tests: a mixture with suitable options, and what is observed step by step.

In options a domain stands as "@0", "@1" and so on, and a record of a run as ``{"record": segments}``, until `resolved`
gives them names and files.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.helpers.making import control, measured
from versatune_plugin.mixtures.controller import MixtureController
from versatune_plugin.mixtures.observations import Measurement
from versatune_plugin.mixtures.registry import MIXTURES, plain_mixtures
from versatune_plugin.mixtures.weights import Vector

STEPS = 12
LEAST_DOMAINS = {"dmt": 2, "mixed_sequential": 2}


@dataclass(frozen=True)
class Observed:
    """What there is to be observed after a step; vectors of shape (k,)."""

    loss: Vector
    similarity: Vector
    row_loss: Vector
    favourites: tuple[int, ...]
    batch_loss: float

    def permuted(self, order: Vector) -> Observed:
        """The same with domain ``order[i]`` in place i."""
        place = {int(old): new for new, old in enumerate(order)}
        return Observed(
            self.loss[order],
            self.similarity[np.ix_(order, order)],
            self.row_loss[order],
            tuple(place[domain] for domain in self.favourites),
            self.batch_loss,
        )


@dataclass(frozen=True)
class Situation:
    """A run: the mixture, what it starts from, and what is observed."""

    name: str
    options: dict[str, Any]
    names: tuple[str, ...]
    prior: Vector
    rows: Vector
    floor: float
    cap: float
    batch_size: int
    seed: int
    reference: Vector
    interval: int
    observed: tuple[Observed, ...]

    def renamed(self, name: Callable[[int], str]) -> Situation:
        """With other names for the same domains."""
        return replace(self, names=tuple(name(index) for index in range(len(self.names))))

    def permuted(self, order: Vector) -> Situation:
        """With the domains in another order; each keeps its name."""
        observed = tuple(one.permuted(order) for one in self.observed)
        own = {"prior": self.prior[order], "rows": self.rows[order], "reference": self.reference[order]}
        return replace(self, observed=observed, **own)

    def controller(self, folder: Path, order: Vector | None = None) -> MixtureController:
        """The controller at its start, its domains in ``order``."""
        domains = self.names if order is None else tuple(self.names[index] for index in order)
        options = resolved(self.options, self.names, folder)
        assert MIXTURES[self.name].Options(**options).problems(sorted(domains)) == []
        return control(
            self.name,
            self.prior,
            self.rows,
            domains,
            floor=self.floor,
            cap=self.cap,
            batch_size=self.batch_size,
            seed=self.seed,
            update_steps=self.interval,
            reference=self.reference,
            **options,
        )

    def drive(self, folder: Path, order: Vector | None = None, restarted: bool = False) -> list[Vector]:
        """The weights after each step.

        Args:
            folder: for records.
            order: of the domains; the situation is already permuted by it.
            restarted: after every step, go on with a fresh controller from the saved state.
        """
        controller = self.controller(folder, order)
        controller.begin(self.measured(self.observed[0]))
        path = [controller.weights]
        for step, observed in enumerate(self.observed, start=1):
            batch = None
            if controller.observes_batches:
                domain = next(index for index in observed.favourites if controller.weights[index] > 0)
                batch = (domain, observed.batch_loss)
            controller.after_step(step, partial(self.measured, observed), batch)
            path.append(controller.weights)
            if restarted:
                state = json.loads(json.dumps(controller.state_dict(), allow_nan=False))
                controller = self.controller(folder, order)
                controller.load_state_dict(state, step)
        return path

    def measured(self, observed: Observed) -> Measurement:
        """One held-out row of each domain."""
        rows = [np.array([loss]) for loss in observed.row_loss]
        return measured(observed.loss, row_loss=rows, similarity=observed.similarity)


def resolved(value: Any, names: tuple[str, ...], folder: Path) -> Any:
    """Options with names for domains and files for records."""
    if isinstance(value, str):
        return names[int(value[1:])] if value.startswith("@") else value
    if isinstance(value, list):
        return [resolved(one, names, folder) for one in value]
    if not isinstance(value, dict):
        return value
    plain = {resolved(key, names, folder): resolved(one, names, folder) for key, one in value.items()}
    if set(plain) != {"record"}:
        return plain
    first, *rest = plain["record"]
    start = {"kind": "start", "mixture": "versatune", "total_steps": STEPS, "weights": first["weights"]}
    lines = [start, *({"kind": "update", **line} for line in rest)]
    text = "".join(json.dumps(line) + "\n" for line in [*lines, {"kind": "end", "step": STEPS}])
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl"
    path.write_text(text, encoding="utf-8")
    return str(path)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def some_of(domains: list[str], most: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(domains), min_size=1, max_size=most, unique=True)


@st.composite
def segments(draw: st.DrawFn, domains: list[str]) -> list[dict[str, Any]]:
    steps = [0, *sorted(draw(st.sets(st.integers(1, STEPS - 1), max_size=3)))]
    # At least one of them is positive.
    share = st.sampled_from([0.0, 0.1, 0.4, 1.0])
    return [
        {"step": step, "weights": {name: 0.2 if name == domains[0] else draw(share) for name in domains}}
        for step in steps
    ]


def options_of(name: str, domains: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Options that suit a mixture of these domains."""
    one = st.sampled_from(domains)
    delta = st.floats(0.01, 0.9)
    tau = st.sampled_from([0.5, 1.0, 10.0, math.inf, "inf"])
    record = segments(domains).map(lambda given: {"record": given})
    epochs = st.sampled_from([0.25, 1.0, 1.5])
    several = st.nothing() if len(domains) < 2 else some_of(domains, len(domains) - 1)
    expand = st.fixed_dictionaries(
        {"domain": several | several.map(lambda names: names[0]), "delta": delta},
        optional={
            "epsilon": st.floats(0.01, 3),
            "unconditional": st.booleans(),
            "line_9": st.sampled_from(["corrected", "printed"]),
        },
    )
    stage = st.fixed_dictionaries(
        {}, optional={"domains": some_of(domains, len(domains)) | shares_of(domains), "steps": st.integers(1, 6)}
    )
    return {
        "versatune": st.fixed_dictionaries({"sigma": st.floats(0.1, 2)}, optional={"expand": optional(expand)}),
        "inverse": st.fixed_dictionaries({"form": st.sampled_from(["complement", "reciprocal"])}),
        "temperature": st.fixed_dictionaries({"tau": tau}),
        "single": st.fixed_dictionaries({"domain": one}),
        "increase": st.fixed_dictionaries({"domain": one, "delta": delta}),
        "skills": st.fixed_dictionaries(
            {"scorer_learning_rate": st.floats(0.001, 1)},
            optional={
                "reward": st.sampled_from(["cossim", "diff"]),
                "ema": st.floats(0.1, 1),
                "target": optional(one),
                "tau": tau,
                "hidden": st.sampled_from([0, 3]),
                "batches": st.sampled_from(["single", "mixed"]),
            },
        ),
        "odm": st.fixed_dictionaries({"alpha": st.floats(0, 0.95)}),
        "doremi": st.fixed_dictionaries({"eta": st.floats(0.1, 2), "smoothing": st.floats(0, 0.5)}),
        "replay": st.fixed_dictionaries({"replay": record}),
        "schedule": st.fixed_dictionaries({"schedule": record | segments(domains)}),
        "stages": st.lists(stage.flatmap(lambda s: in_stage(s, domains)), min_size=1, max_size=3).map(
            lambda stages: {"stages": stages}
        ),
        "dmt": st.fixed_dictionaries({"general": one, "share": st.sampled_from(["1/256", 0.5, 1])}),
        "sequential": st.fixed_dictionaries({"order": st.permutations(domains), "epochs": epochs}),
        "mixed_sequential": st.fixed_dictionaries({"general": one, "epochs": epochs}),
        "multitask": st.fixed_dictionaries({"epochs": epochs}),
    }.get(name, st.just({}))


def shares_of(domains: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(domains), st.sampled_from([1, 0.5, "1/8"]), min_size=1)


def in_stage(stage: dict[str, Any], domains: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """A stage with a mixture that suits its domains."""
    own = list(stage.get("domains", domains))
    return st.sampled_from(sorted(plain_mixtures())).flatmap(
        lambda name: options_of(name, own).map(lambda options: {**stage, "mixture": name, **options})
    )


@st.composite
def situations(draw: st.DrawFn, name: str) -> Situation:
    """Runs with this mixture."""
    k = draw(st.integers(LEAST_DOMAINS.get(name, 1), 5))
    least, room = draw(st.just(0.0) | st.floats(0, 0.9)), draw(st.just(1.0) | st.floats(0, 1))
    # The many numbers come from one seed: drawn one by one they would take longer than all the rest.
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    prior = random.uniform(0.01, 1, k) * random.choice([0.0, 1.0, 1.0], k)
    prior = prior / prior.sum() if prior.sum() > 0 else np.full(k, 1 / k)
    rows = random.integers(1, 40, k).astype(np.float64)
    bounds = (least / k, 1 / k + room * (1 - 1 / k))
    batch_size, seed = draw(st.integers(2, 16)), draw(st.integers(0, 9))
    observed = []
    for _ in range(STEPS):
        points = random.normal(0.5, 1, (k, 3))
        lengths = np.linalg.norm(points, axis=1)
        similarity = points @ points.T / np.outer(lengths, lengths)
        np.fill_diagonal(similarity, 1.0)
        loss = random.uniform(0.1, 6, k) * random.choice([0.0, 1.0, 1.0, 1.0], k)
        favourites = tuple(int(index) for index in random.permutation(k))
        observed.append(Observed(loss, similarity, random.uniform(-1, 1, k), favourites, float(random.uniform(0, 8))))
    options = draw(options_of(name, [f"@{index}" for index in range(k)]))
    names = tuple(f"d{index}" for index in range(k))
    reference, interval = random.uniform(0.1, 6, k), draw(st.integers(1, 3))
    return Situation(name, options, names, prior, rows, *bounds, batch_size, seed, reference, interval, tuple(observed))
