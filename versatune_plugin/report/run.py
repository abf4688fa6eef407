"""What a run has left in its directory, as the report reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from versatune_plugin.artifacts.knowledge import KnowledgeFile, inspect_knowledge
from versatune_plugin.artifacts.record import RECORD_FILE, WEIGHT_LINES, read_record
from versatune_plugin.errors import ArtifactError
from versatune_plugin.schema.wording import counted

# So many measurements, each above the one before, make a loss that rises.
RISING = 3
Points = list[tuple[int, Mapping[str, float | None]]]
# Which figures a run draws by domain, in every line that has them.
DRAWN = ("rows", "tokens", "passes")
# What the page shows besides what `read_record` checks.
BY_DOMAIN = (*DRAWN, "potential", "forgetting", "difficulty", "bits_per_byte", "prior", "reference")
ROWS = ("training_rows", "test_rows")
NUMBERS = ("seconds", "measuring_seconds", "seconds_since_start", "measuring_cost", "heldout")


@dataclass(frozen=True)
class RunFolder:
    """A run: its record, and the knowledge file that it names.

    Attributes:
        name: on the page.
        lines: of the record.
        knowledge: the file whose distribution the run began with; None where there is none, or it is another one now.
    """

    name: str
    lines: Sequence[Mapping[str, Any]]
    knowledge: KnowledgeFile | None = field(default=None, compare=False)

    @property
    def start(self) -> Mapping[str, Any]:
        """The first line."""
        return self.lines[0]

    @property
    def end(self) -> Mapping[str, Any] | None:
        """The last line of a run that is over."""
        return self.lines[-1] if self.lines[-1]["kind"] == "end" else None

    @property
    def domains(self) -> list[str]:
        """In the order of the record."""
        return list(self.start["weights"])

    @property
    def step(self) -> int:
        """Optimizer steps of which the record knows."""
        last = self.lines[-1]
        return int(last.get("step", self.start.get("resumed_at", 0)))

    @property
    def weights(self) -> Points:
        """Step from which on they rule, and the weights."""
        first: Points = [(self.start.get("resumed_at", 0), self.start["weights"])]
        return first + [(line["step"], line["weights"]) for line in self.lines if line["kind"] in WEIGHT_LINES]

    def figures(self, name: str) -> Points:
        """Step and figures by domain of all lines that have them, test rows apart; the last one of a step counts.

        Args:
            name: a key of lines: ``loss``, ``bits_per_byte``, ``potential``, ``forgetting``, ``difficulty``.
        """
        found = {
            line["step"]: line[name] for line in self.lines if line["kind"] != "test" and line.get(name) is not None
        }
        return sorted(found.items())

    @property
    def tests(self) -> list[Mapping[str, Any]]:
        """The lines of the test rows."""
        return [line for line in self.lines if line["kind"] == "test"]

    @cached_property
    def drawn(self) -> Mapping[str, Mapping[str, float]]:
        """Rows, tokens and passes by domain, of the newest line that has them."""
        none = dict.fromkeys(self.domains, 0)
        return next(
            ({name: line[name] for name in DRAWN} for line in reversed(self.lines) if all(n in line for n in DRAWN)),
            dict.fromkeys(DRAWN, none),
        )

    @cached_property
    def repeated_in_vain(self) -> list[str]:
        """Domains with more than one pass whose held-out loss rose over the last measurements."""
        losses = [one for _, one in self.figures("loss")][-RISING:]
        return [
            name
            for name in self.domains
            if self.drawn["passes"][name] > 1 and len(losses) > 1 and _rises([one[name] for one in losses])
        ]

    def warnings(self) -> list[str]:
        """What whoever reads the page should know, a sentence each."""
        said = []
        if self.end is None:
            said.append(
                f"the record has no end: the run goes on, or was stopped, after step {self.step:,} of "
                f"{self.start['total_steps']:,}"
            )
        if (at := self.start.get("resumed_at")) is not None:
            said.append(f"the record begins at step {at:,}, where the run was resumed: what was before is not in it")
        said += [
            f"{name} was repeated ({self.drawn['passes'][name]:.2f} passes) while its held-out loss rose over the last "
            f"{counted(min(RISING, len(self.figures('loss'))), 'measurement')}: more rows, or a lower weight"
            for name in self.repeated_in_vain
        ]
        for step, losses in self.figures("loss"):
            if lost := [name for name, loss in losses.items() if loss is None]:
                said.append(f"the held-out loss of {', '.join(lost)} is not finite at step {step:,}")
        if self.end is not None and (out := self.end.get("exhausted")):
            said.append(f"{', '.join(map(str, out))}: `max_passes` was reached, and the run ended early")
        if self.knowledge is not None and self.knowledge.warning:
            said.append(f"the knowledge file warns: {self.knowledge.warning}")
        return said


def read_runs(folders: Sequence[Path]) -> list[RunFolder]:
    """Read runs, each under a name of its own.

    Args:
        folders: output directories.

    Raises:
        ArtifactError: a record cannot be read; its file is named.
    """
    names = [folder.absolute().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    made = []
    for name, folder in zip(names, folders, strict=True):
        file = folder / RECORD_FILE
        if not file.is_file():
            raise ArtifactError(f"{folder}: no run, since there is no {RECORD_FILE} in it; name an `output_dir`")
        lines = read_record(file)
        _check(file, lines)
        made.append(RunFolder(name, lines, _knowledge(folder, lines[0])))
    return made


def _check(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    domains = lines[0]["weights"].keys()
    for number, line in enumerate(lines, start=1):
        wrong = [
            f"{name} is no number for each of {', '.join(sorted(domains))}"
            for name in (*BY_DOMAIN, *ROWS)
            if line.get(name) is not None and not _by_domain(line[name], domains, name not in (*DRAWN, *ROWS, "prior"))
        ]
        wrong += [f"{name} is no number" for name in NUMBERS if type(line.get(name, 0)) not in (int, float)]
        if wrong:
            raise ArtifactError(
                f"{file}, line {number}: {'; '.join(wrong)}: it was edited or damaged. Take the file from a copy"
            )


def _by_domain(figures: Any, domains: Set[str], may_be_lost: bool) -> bool:
    kinds = (int, float, type(None)) if may_be_lost else (int, float)
    return (
        isinstance(figures, dict)
        and figures.keys() == domains
        and all(type(figure) in kinds for figure in figures.values())
    )


def _knowledge(folder: Path, start: Mapping[str, Any]) -> KnowledgeFile | None:
    named = start.get("knowledge")
    if not isinstance(named, str):
        return None
    for place in (Path(named), folder / Path(named).name, folder.parent / Path(named).name):
        try:
            found = inspect_knowledge(place)
        except ArtifactError:
            # Moved, made anew, or "uniform": the prior is in the record all the same.
            continue
        prior = start.get("prior") or {}
        if found.probabilities.keys() == prior.keys() and all(
            math.isclose(found.probabilities[name], prior[name], abs_tol=1e-9) for name in prior
        ):
            return found
    return None


def _rises(losses: Sequence[float | None]) -> bool:
    return all(one is not None and other is not None and one < other for one, other in pairwise(losses))
