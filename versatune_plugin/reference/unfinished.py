"""What is measured so far: a folder beside the file that is being made, with a part for every finished domain."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from versatune_plugin.artifacts.fingerprint import settings_differences
from versatune_plugin.artifacts.io import read_artifact, read_json, write_json
from versatune_plugin.errors import ArtifactError
from versatune_plugin.schema.model import StrictModel

PART_KIND = "versatune.reference_part"
PARTS_KIND = "versatune.reference_parts"
SCHEMA = 1
INDEX_FILE = "index.json"


# A run that diverges may have any, or none.
Measured = Annotated[float, Field(ge=0)] | None


class Part(StrictModel):
    """What is kept of a domain; see `versatune_plugin.reference.fine_tune.DomainRuns.fine_tune`."""

    domain: str
    start: Measured = None
    epochs: list[Measured] = Field(min_length=1)
    bits_per_byte: list[Measured] = Field(min_length=1)
    tokenizer: str
    made_under: dict[str, Any]

    @model_validator(mode="after")
    def _of_the_same_epochs(self) -> Part:
        if len(self.epochs) != len(self.bits_per_byte):
            raise ValueError(f"{len(self.epochs)} losses and {len(self.bits_per_byte)} in bits per byte")
        return self


@dataclass(frozen=True)
class Unfinished:
    """The folder; its index names the domain of each number, since a domain's name need not be a file's.

    Attributes:
        folder: where it is.
        names: the domains, in the order of their numbers.
        made_under: what decides the measurements, as plain JSON.
    """

    folder: Path
    names: Sequence[str]
    made_under: Mapping[str, Any]

    @classmethod
    def beside(cls, file: Path, names: Sequence[str], made_under: Mapping[str, Any]) -> Unfinished:
        """The folder that belongs to a file of reference losses.

        Args:
            file: the file that is being made.
            names: the domains.
            made_under: what decides the measurements, as plain JSON.
        """
        return cls(file.with_name(f"{file.stem}.parts"), names, made_under)

    def open(self) -> None:
        """Make the folder, or see that it is of these domains.

        Raises:
            ArtifactError: it is there and not ours, or of other domains.
        """
        index = self.folder / INDEX_FILE
        if index.is_file():
            found = read_json(index, PARTS_KIND, SCHEMA).get("domains")
            if found != list(self.names):
                raise ArtifactError(
                    f"{self.folder} holds measurements for the domains {found}, not for {list(self.names)}; remove it "
                    "to measure anew, or choose another --out"
                )
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ArtifactError(
                f"{self.folder} is where unfinished measurements are kept, but what is there was not made by "
                "versatune: move it away, or choose another --out"
            )
        else:
            write_json(index, {"kind": PARTS_KIND, "schema": SCHEMA, "domains": list(self.names)})

    def read(self, name: str) -> dict[str, Any] | None:
        """What `write` kept of a domain; None if it is not measured yet.

        Raises:
            ArtifactError: it was measured under other settings, or was edited since.
        """
        part = self._part(name)
        if not part.exists():
            return None
        found = read_artifact(part, PART_KIND, SCHEMA, Part).model_dump()
        if found["domain"] != name:
            raise ArtifactError(f"{part} is of domain {found['domain']!r}, not of {name!r}; remove {self.folder}")
        if changed := settings_differences(found["made_under"], self.made_under, "there"):
            raise ArtifactError.collected(
                f"{part} was measured under other settings; remove {self.folder} to measure anew, or undo the change",
                list(changed.values()),
            )
        return found

    def write(self, name: str, measured: Mapping[str, Any]) -> None:
        """Keep what was measured on a domain, and remove what its run left."""
        of_domain = {"domain": name, "made_under": dict(self.made_under)}
        write_json(self._part(name), {"kind": PART_KIND, "schema": SCHEMA, **measured, **of_domain})
        shutil.rmtree(self.run_folder(name))

    def discard(self, name: str) -> None:
        """Keep nothing of a domain."""
        self._part(name).unlink(missing_ok=True)
        shutil.rmtree(self.run_folder(name), ignore_errors=True)

    def run_folder(self, name: str) -> Path:
        """Where a domain's run may write."""
        return self.folder / f"{self.names.index(name)}.run"

    def remove(self) -> None:
        """Remove the folder, if it is ours."""
        if (self.folder / INDEX_FILE).is_file():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _part(self, name: str) -> Path:
        return self.folder / f"{self.names.index(name)}.json"
