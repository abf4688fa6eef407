"""Random configurations: what the trainer received, counted by a spy that knows nothing of us, is what the record says.

``VERSATUNE_CAMPAIGN=first:count`` chooses which; each is decided by its number alone.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Axolotl, Tiny
from tests.helpers.campaign import configuration, of_the_host
from versatune_plugin.artifacts.record import read_record

FIRST, COUNT = map(int, os.environ.get("VERSATUNE_CAMPAIGN", "0:300").split(":"))
# What a run with domains needs more than a run without: every domain rows to train on, and rows to hold out.
OUR_NEEDS = (
    "the held-out rows leave nothing to train on",
    "there is nothing to train on",
    "needs one to train on",
    "too few to pack an evaluation batch",
    "rows longer than a bin",
)
# The host's validation rows are other rows than ours, by its own draw, and may fill fewer bins.
HOST_NEEDS = ("eval dataset split is too small for sample_packing",)


def seen_by_the_spy(file: Path) -> dict[str, list[tuple[str | None, int, int]]]:
    """By phase: mark, supervised tokens and step of every row that the model was given."""
    phases: dict[str, list[tuple[str | None, int, int]]] = defaultdict(list)
    for line in file.read_text().splitlines():
        one = json.loads(line)
        phases[one["phase"]] += [(mark, learnt, one["step"]) for mark, learnt in one["rows"]]
    return phases


def check_what_was_trained(cfg: dict[str, Any], phases: dict[str, list[tuple[str | None, int, int]]]) -> None:
    """The record against the spy: rows, tokens, batches, and no row that is held out or evaluated on."""
    record = read_record(Path(cfg["output_dir"]))
    end = record[-1]
    owners: dict[str, set[str]] = defaultdict(set)
    for entry in cfg["datasets"]:
        for line in Path(entry["path"]).read_text().splitlines():
            owners["Q" + line.split("Q", 1)[1].split("Q", 1)[0] + "Q"].add(entry["domain"])
    trained = phases["train"]
    assert end["kind"] == "end"
    assert sum(end["rows"].values()) == len(trained)
    assert sum(end["tokens"].values()) == sum(learnt for _, learnt, _ in trained)
    if not cfg.get("sample_packing"):
        batch = cfg["micro_batch_size"] * cfg["gradient_accumulation_steps"]
        assert set(Counter(step for _, _, step in trained).values()) == {batch}
    assert {step for _, _, step in trained} == set(range(end["step"]))
    rows, tokens = Counter(), Counter()
    shared = {mark for mark, names in owners.items() if len(names) > 1} | {None}
    for mark, learnt, _ in trained:
        if mark not in shared:
            (name,) = owners[mark]
            rows[name] += 1
            tokens[name] += learnt
    for name in end["rows"]:
        if any(mark in shared for mark, _, _ in trained):
            assert rows[name] <= end["rows"][name]
            assert tokens[name] <= end["tokens"][name]
        else:
            assert (rows[name], tokens[name]) == (end["rows"][name], end["tokens"][name]), name
    assert min(learnt for _, learnt, _ in trained) > 0
    kept_out = {mark for phase in ("measure", "evaluate") for mark, _, _ in phases[phase]}
    assert (kept_out & {mark for mark, _, _ in trained}) - {None} == set()
    if cfg["versatune"]["heldout"]:
        measured = {mark for mark, _, _ in phases["measure"]}
        assert len(measured) >= cfg["versatune"]["heldout"]


def tried(axolotl: Axolotl, tiny: Tiny, folder: Path, number: int) -> str:
    """Train one configuration with us and without; says how it ended."""
    folder.mkdir()
    cfg = configuration(number, tiny.model, folder)
    ours = axolotl.train(cfg, env={"CAMPAIGN_SPY": str(folder / "ours")})
    host = axolotl.train(of_the_host(cfg, folder), env={"CAMPAIGN_SPY": str(folder / "theirs")})
    if ours.status == 0:
        check_what_was_trained(cfg, seen_by_the_spy(folder / "ours"))
        if host.status == 0:
            return "trained"
        need = next((need for need in HOST_NEEDS if need in host.output), None)
        assert need is not None, (number, "the host refuses", host.output[-1500:])
        assert cfg.get("val_set_size"), number
        return f"refused by the host: {need}"
    last = ours.output[-2500:]
    if host.status == 0:
        assert ours.message, (number, last)
        need = next((need for need in OUR_NEEDS if need in last), None)
        assert need is not None, (number, last)
        return f"refused by us: {need}"
    return "refused by both"


@pytest.mark.slow
def test_random_configurations(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    ends, faults = Counter(), []
    for number in range(FIRST, FIRST + COUNT):
        try:
            end = tried(axolotl, tiny, tmp_path / str(number), number)
        except AssertionError as error:
            end = "fault"
            faults.append((number, str(error)[:3000]))
        ends[end] += 1
        print(f"\n{number}: {end}", flush=True)
    print(dict(ends))
    assert not faults, "\n\n".join(f"configuration {number}: {text}" for number, text in faults)
    assert ends["trained"] > 0.6 * COUNT, ends
