"""The errors of the product: all are a `VersaTuneError`, whose message is meant for users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

__all__ = ["ArtifactError", "CheckpointError", "ConfigurationError", "DataError", "VersaTuneError", "printable"]


def printable(text: str) -> str:
    """A text for a terminal or a log: what would move a cursor, hide, or reorder other text is escaped.

    Args:
        text: any; line breaks stay.
    """
    return "".join(one if one == "\n" or one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class VersaTuneError(Exception):
    """Something the user can put right: the message names the place and the remedy.

    It is deliberately no ``ImportError`` and no ``ValueError``: Axolotl swallows the first while it registers
    plugins, and pydantic turns the second into a report of its own.
    """

    @classmethod
    def collected(cls, heading: str, problems: Sequence[str]) -> Self:
        """One error that lists every problem found, so that a user mends them in one go.

        Args:
            heading: what was being checked, for example ``"the section `versatune:` cannot be used"``.
            problems: one sentence each, with its remedy.
        """
        return cls(heading + ":\n" + "\n".join("  - " + problem.replace("\n", "\n  ") for problem in problems))


class ConfigurationError(VersaTuneError):
    """A YAML, a section, a command's option, or an installed package."""


class DataError(VersaTuneError):
    """Rows of a domain."""


class ArtifactError(VersaTuneError):
    """A file that the product reads or writes: knowledge, reference losses, journal, record, tables of scores."""


class CheckpointError(VersaTuneError):
    """A checkpoint, or the state in it."""
