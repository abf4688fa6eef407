"""Domains with names that would leave a folder, break a line, a markup or a file system: planned, detected, trained."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers.tiny import config, write_rows
from versatune_plugin.console.plots import plot_knowledge, plot_weights
from versatune_plugin.schema.domain_names import domain_name

# The folder that a run may not leave, but would with these.
SURROUNDINGS = "{surroundings}"
NAMES = {
    "out of the folder": [
        "../victim",
        "../../victim",
        f"{SURROUNDINGS}/victim",
        "..",
        ".",
        "~",
        "law/../../victim",
        "deep" + "/" * 100 + "down",
        "law.json",
        "law.run",
    ],
    "for a file system": [
        "con",
        "nul",
        "aux.json",
        "-rf",
        "law.",
        "law ",
        "Law",
        "law",
        "back\\slash\\..\\victim",
        "x" * 300,
    ],
    "for whoever formats or evaluates them": [
        "[/]",
        "[bold]x[/bold]",
        "%s %(name)d",
        "{} {0!r}",
        "$(touch victim) `touch victim`",
        "<script>alert(1)</script>",
        "=1+1",
        "!!python/object/apply:os.system ['touch victim']",
        "null",
        "true",
        "\"double\" and 'single'",
    ],
    "of Unicode": [
        "caf\u00e9",
        "cafe\u0301",
        "\u202eright to left",
        "\U0001f9ec\U0001f469\u200d\U0001f52c",
        "\u6cd5\u5f8b",
        "line\u2028separated\u2029twice\u0085",
    ],
    "with control characters": ["line\nbroken", "carriage\rreturned", "tab\tbed", "\x1b[2J\x1b[31mred", "nul\0byte"],
    "that no file can hold": ["surrogate \udcff", "law"],
}
# What the judge of `detect` needs.
ROWS = 60


def test_forty_names() -> None:
    assert len({name for group in NAMES.values() for name in group}) >= 40


@dataclass
class Runs:
    """A configuration with hostile domains, a folder for each command's output, and what lies around them."""

    axolotl: Axolotl
    surroundings: Path
    names: list[str]

    @property
    def work(self) -> Path:
        return self.surroundings / "some" / "where" / "work"

    def run(self, module: str, *argv: str) -> Finished:
        return self.axolotl.run(module, *argv, cwd=self.work)

    def listing(self) -> dict[str, str]:
        """Every file and folder outside the output folders: its size and digest."""
        outputs = {self.work / name for name in ("knowledge", "reference", "trained", "prepared")}
        found = {}
        for path in sorted(self.surroundings.rglob("*")):
            if not outputs & {path, *path.parents}:
                content = path.read_bytes() if path.is_file() else b""
                found[str(path)] = f"{path.is_dir()} {len(content)} {hashlib.sha256(content).hexdigest()}"
        return found


@pytest.fixture
def runs(request: pytest.FixtureRequest, axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> Runs:
    surroundings = tmp_path / "surroundings"
    names = [name.replace(SURROUNDINGS, str(surroundings)) for name in NAMES[request.param]]
    made = Runs(axolotl, surroundings, names)
    made.work.mkdir(parents=True)
    outputs = [made.work / name for name in ("reference", "reference/made", "knowledge", "knowledge/made")]
    for folder in (made.work, *made.work.parents[:3], *outputs):
        for victim in ("victim", "victim.run", "law", "law.run"):
            (folder / victim).mkdir(parents=True)
            (folder / victim / "precious").write_text("kept")
    for folder in made.work.parents[:3]:
        (folder / "victim.json").write_text("{}")
    files = write_rows(made.work / "rows", {f"domain {number}": ROWS for number in range(len(names))})
    renamed = dict(zip(names, files.values(), strict=True))
    section = {"mixture": "versatune", "knowledge": "knowledge/made/knowledge.json", "heldout": 3}
    section |= {"reference": "reference/made/reference.json", "update_steps": 2, "measure_budget": 1}
    cfg = config(tiny.model, renamed, made.work / "trained", made.work / "prepared", versatune=section, max_steps=4)
    cfg["use_tensorboard"] = True
    (made.work / "cfg.yml").write_text(yaml.safe_dump(cfg), encoding="utf-8")
    known: dict[str, Any] = {"knowledge": "uniform", "reference": dict.fromkeys(names, 1.0)}
    cfg["versatune"] = section | known
    (made.work / "known.yml").write_text(yaml.safe_dump(cfg), encoding="utf-8")
    return made


def refused(runs: Runs, finished: Finished) -> bool:
    """Whether a command has refused a name, by that name."""
    message = "".join(finished.message.split())
    shown = [form for name in runs.names for form in (repr(name), json.dumps(name))]
    shown += [name[:60] for name in runs.names if len(name) > 5]
    return finished.status == 2 and any("".join(form.split()) in message for form in shown)


# What would move a cursor or reorder text; progress bars begin their line anew.
HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown_names(runs: Runs) -> list[str]:
    """The names that a table shows whole in a line, in their one spelling."""
    return sorted({name for name in map(domain_name, runs.names) if len(name) < 30})


# Every group takes up to half a minute.
DEFAULT = ("out of the folder", "with control characters", "that no file can hold")


@pytest.mark.parametrize(
    "runs",
    [pytest.param(group, marks=[] if group in DEFAULT else pytest.mark.slow) for group in NAMES],
    ids=list(NAMES),
    indirect=True,
)
def test_no_name_leaves_its_folder_or_arrives_changed(runs: Runs) -> None:
    before = runs.listing()
    precious = sorted(runs.surroundings.rglob("precious"))
    detecting = ["--texts", "16", "--iterations", "1", "--max-new-tokens", "8", "--max-unparsed", "0.99"]
    faults: list[str] = []
    did: dict[str, bool] = {}
    printed: dict[str, str] = {}
    for command, argv in {
        "plan": ["axolotl.cli.main", "versatune", "plan", "known.yml"],
        "detect": ["axolotl.cli.main", "versatune", "detect", "cfg.yml", *detecting],
        "reference": ["axolotl.cli.main", "versatune", "reference", "cfg.yml", "--epochs", "1"],
        "train": ["axolotl.cli.train", "known.yml"],
    }.items():
        finished = runs.run(*argv)
        did[command] = finished.status == 0
        printed[command] = finished.output
        end = finished.output[-700:]
        if runs.listing() != before:
            faults.append(f"{command} wrote outside: {sorted(dict(runs.listing().items() ^ before.items()))}")
        if hidden := HIDDEN.findall(finished.output):
            faults.append(f"{command} lets through to the terminal: {sorted(set(hidden))!r}")
        if "Traceback (most recent call last)" in finished.output:
            faults.append(f"{command} ended in a traceback: ...{end}")
        elif not did[command] and not refused(runs, finished):
            faults.append(f"{command} did not work and refused no name: ...{end}")
    lost = set(precious) - set(runs.surroundings.rglob("precious"))
    if lost:
        faults.append(f"removed: {sorted(map(str, lost))}")
    assert not faults, "\n\n".join(faults)
    assert len(set(did.values())) == 1, f"a name that one command refuses, all do: {did}"
    if not did["plan"]:
        return
    names = sorted(map(domain_name, runs.names))
    knowledge = json.loads((runs.work / "knowledge/made/knowledge.json").read_text(encoding="utf-8"))
    assert sorted(knowledge["probabilities"]) == names
    references = json.loads((runs.work / "reference/made/reference.json").read_text(encoding="utf-8"))
    assert sorted(references["nats_per_token"]) == names
    lines = (runs.work / "trained/versatune.jsonl").read_text(encoding="utf-8").split("\n")
    record = list(map(json.loads, filter(None, lines)))
    updates = [line for line in record if line["kind"] == "update"]
    assert sorted(updates[-1]["weights"]) == sorted(updates[-1]["rows"]) == names
    for command in ("plan", "detect", "reference", "train"):
        lost = [name for name in shown_names(runs) if name not in printed[command]]
        assert not lost, f"{command} does not show {lost}"
    assert sorted(tracked(runs.work / "trained")) == names
    plot_weights(record, runs.work / "trained" / "weights.png")
    plot_knowledge(knowledge, runs.work / "knowledge" / "knowledge.png")
    assert runs.listing() == before


def tracked(folder: Path) -> set[str]:
    """The names under which a tracker holds weights."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tags: set[str] = set()
    for file in folder.rglob("events.out.tfevents.*"):
        events = EventAccumulator(str(file))
        events.Reload()
        tags |= set(events.Tags()["scalars"])
    found = (re.search(r"versatune/weight/(.*)", tag, flags=re.DOTALL) for tag in tags)
    return {match.group(1) for match in found if match}
