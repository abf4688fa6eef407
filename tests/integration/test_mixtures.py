"""Every mixture that moves, on real rows through Axolotl's command line: the record shows what its formula says."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.real_rows import DOMAINS, short_real_rows
from tests.helpers.tiny import config
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.mixtures.registry import MIXTURES, plain_mixtures

Line = dict[str, Any]
Vector = np.ndarray
REFERENCE = {name: 2.0 + 0.4 * number for number, name in enumerate(DOMAINS)}
CEILING = np.array([REFERENCE[name] for name in DOMAINS])
PRIOR = np.array([0.3, 0.1, 0.25, 0.15, 0.12, 0.08])
KNOWLEDGE = dict(zip(DOMAINS, PRIOR.tolist(), strict=True))
BATCH = 4
STEPS = 24


def vector(line: Line, key: str) -> Vector:
    return np.array([line[key][name] for name in DOMAINS])


def normalised(weights: Vector) -> Vector:
    return weights / weights.sum()


def algorithm_2(record: list[Line]) -> list[Vector]:
    path = [PRIOR]
    for line in record:
        loss = vector(line, "loss")
        path.append(normalised(path[-1] * (1 + 2.0 * np.maximum((loss - CEILING) / loss, 0))))
    return path


def algorithm_3(record: list[Line]) -> list[Vector]:
    """Law is cultivated; the first update has no forgetting yet."""
    law, path, before = DOMAINS.index("law"), [PRIOR], None
    for line in record:
        loss = vector(line, "loss")
        gamma = np.maximum((loss - CEILING) / loss, 0)
        phi = np.zeros(6) if before is None else np.maximum((loss - before) / before, 0)
        moved = path[-1] * (1 + 0.5 * gamma)
        if np.delete(phi, law).sum() / 6 < 0.5 * gamma[law]:
            raised = path[-1][law] + 0.1
            moved = moved * (1 - raised) / np.delete(moved, law).sum()
            moved[law] = raised
        path.append(normalised(moved))
        before = loss
    return path


def raised_by_a_tenth(record: list[Line]) -> list[Vector]:
    law, path = DOMAINS.index("law"), [np.full(6, 1 / 6)]
    for _ in record:
        weights = np.full(6, (1 - path[-1][law] - 0.1) / 5)
        weights[law] = path[-1][law] + 0.1
        path.append(weights)
    return path


def reinforced(rewards: Callable[[Line], Vector]) -> Callable[[list[Line]], list[Vector]]:
    """Free logits: l += 0.5 (R - p sum R), with R smoothed by 0.9."""

    def follow(record: list[Line]) -> list[Vector]:
        logits, path, before = np.zeros(6), [np.full(6, 1 / 6)], None
        for line in record:
            now = rewards(line)
            before = now if before is None else 0.9 * now + 0.1 * before
            logits = logits + 0.5 * (before - path[-1] * before.sum())
            path.append(normalised(np.exp(logits)))
        return path

    return follow


def cosine_to_all(line: Line) -> Vector:
    return np.array([np.mean([line["similarity"][one][other] for other in DOMAINS]) for one in DOMAINS])


def doubled_for_law(line: Line) -> Vector:
    return vector(line, "difficulty") * np.where(np.array(DOMAINS) == "law", 2.0, 1.0)


def bandit(record: list[Line]) -> list[Vector]:
    rewards, path = np.zeros(6), [np.full(6, 1 / 6)]
    for turn, line in enumerate(record, start=1):
        (batch,) = line["batch_losses"]
        arm = DOMAINS.index(batch["domain"])
        rewards[arm] = 0.9 * rewards[arm] + 0.1 * batch["loss"] / path[-1][arm]
        before, now = (min(1 / 6, math.sqrt(math.log(6) / (6 * t))) for t in (turn, turn + 1))
        path.append((1 - 6 * now) * normalised(np.exp(before * rewards)) + now)
    return path


def sheared(record: list[Line]) -> list[Vector]:
    path = [PRIOR]
    for line in record:
        path.append(normalised(path[-1] * np.exp(np.maximum(vector(line, "loss") - CEILING, 0))))
    return path


def doremi(record: list[Line]) -> list[Vector]:
    path = [PRIOR]
    for line in record:
        alpha = normalised(path[-1] * np.exp(0.5 * np.maximum(vector(line, "loss") - CEILING, 0)))
        path.append(0.9 * alpha + 0.1 / 6)
    return path


WITH_CEILING = {"knowledge": KNOWLEDGE, "reference": REFERENCE}
MOVING: dict[str, tuple[dict[str, Any], Callable[[list[Line]], list[Vector]]]] = {
    "versatune": ({"mixture": "versatune", **WITH_CEILING, "sigma": 2.0}, algorithm_2),
    "versatune, expand": (
        {
            "mixture": "versatune",
            **WITH_CEILING,
            "sigma": 0.5,
            "expand": {"domain": "law", "delta": 0.1, "epsilon": 0.5},
        },
        algorithm_3,
    ),
    "increase": ({"mixture": "increase", "domain": "law", "delta": 0.1}, raised_by_a_tenth),
    "skills, cossim": (
        {"mixture": "skills", "hidden": 0, "scorer_learning_rate": 0.5},
        reinforced(cosine_to_all),
    ),
    "skills, diff, target": (
        {
            "mixture": "skills",
            "reward": "diff",
            "target": "law",
            "hidden": 0,
            "scorer_learning_rate": 0.5,
            "batches": "mixed",
        },
        reinforced(doubled_for_law),
    ),
    "odm": ({"mixture": "odm"}, bandit),
    "dynamic_loading": ({"mixture": "dynamic_loading", **WITH_CEILING}, sheared),
    "doremi": ({"mixture": "doremi", **WITH_CEILING, "eta": 0.5, "smoothing": 0.1}, doremi),
}


@pytest.fixture(scope="module")
def real(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder = tmp_path_factory.mktemp("real")
    return Tiny(tiny.model, short_real_rows(folder / "rows", 40), folder / "prepared")


@pytest.mark.parametrize("name", MOVING)
def test_the_weights_move_as_the_formula_says(axolotl: Axolotl, real: Tiny, tmp_path: Path, name: str) -> None:
    section, formula = MOVING[name]
    section = {"heldout": 3, "floor": 0.0, **section}
    if section["mixture"] != "odm":
        section["update_steps"] = 6
    cfg = config(real.model, real.files, tmp_path / "out", real.prepared, sequence_len=512, max_steps=STEPS)
    finished = axolotl.train({**cfg, "versatune": section})
    assert finished.status == 0, finished.output
    start, *record = read_record(tmp_path / "out")
    moves = [line for line in record if line["kind"] == "update"]
    assert [line["step"] for line in moves] == list(
        range(1, STEPS) if section["mixture"] == "odm" else range(6, STEPS, 6)
    )
    path = [vector(line, "weights") for line in (start, *moves)]
    for recorded, expected in zip(path, formula(moves), strict=True):
        assert recorded == pytest.approx(expected, abs=1e-12)
    # The states of a random model hardly differ.
    assert np.abs(path[-1] - path[0]).max() > (1e-6 if name == "skills, cossim" else 0.002)
    rows = np.array([list(line["rows"].values()) for line in record])
    assert rows[-1].sum() == STEPS * BATCH
    mixture = MIXTURES[section["mixture"]]
    options = mixture.Options(**{k: v for k, v in section.items() if k in mixture.Options.model_fields})
    drawn = np.diff(rows, axis=0)
    assert mixture.requirements(options).single_domain_batches is bool((drawn % BATCH == 0).all())


def test_every_mixture_that_updates_is_here() -> None:
    tested = {section["mixture"] for section, _ in MOVING.values()}
    moving = {
        name
        for name, mixture in plain_mixtures().items()
        if mixture.requirements(mixture.Options.model_construct()).updates
    }
    assert tested == moving


def test_the_trainers_own_loss_is_logged_at_every_step(axolotl: Axolotl, real: Tiny, tmp_path: Path) -> None:
    section = {"mixture": "increase", "domain": "law", "heldout": 2, "update_steps": 2}
    cfg = config(real.model, real.files, tmp_path / "out", real.prepared, sequence_len=512, max_steps=6)
    finished = axolotl.train({**cfg, "versatune": section})
    assert finished.status == 0, finished.output
    assert finished.output.count("{'loss':") == 6
