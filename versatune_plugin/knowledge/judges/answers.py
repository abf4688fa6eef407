"""Answers of a served judge that are on the disk as soon as they are there, so that nothing is asked twice."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any, Literal, Self

from filelock import FileLock, Timeout
from pydantic import Field, model_validator

from versatune_plugin.artifacts.io import append_json_lines, checked, read_json_lines, write_json_lines
from versatune_plugin.errors import ArtifactError
from versatune_plugin.schema.model import Count, Share, StrictModel

KIND = "versatune.knowledge_answers"
SCHEMA = 1
SUM_TOLERANCE = 1e-6
REMEDY = "remove it: its texts are asked about anew, and paid for anew"
Key = tuple[str, str, str, int]


class AnswerRecord(StrictModel):
    """One answer, known by text, question, model and order of the options.

    Attributes:
        text: hash of the text.
        question: hash of all that was asked beside it.
        model: the name under which it is served, and what tells its weights apart (`Server.identity`).
        rotation: which order of the options, from 0.
        probabilities: by domain; null where the answer cannot be used.
        problem: then what it is.
        total: what the probabilities summed to as they were given.
        read: tokens of the question, as the server counts them.
        written: tokens of the answer.
    """

    text: str
    question: str
    model: str
    rotation: Count
    probabilities: list[Share] | None
    problem: Literal["off-list", "unparsed"] | None
    total: float = Field(ge=0)
    read: Count
    written: Count

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.probabilities is None) == (self.problem is None):
            raise ValueError("has probabilities and a problem, or neither")
        if self.probabilities is not None and abs(math.fsum(self.probabilities) - 1) > SUM_TOLERANCE:
            raise ValueError(f"has probabilities that sum to {math.fsum(self.probabilities):.6g}, not to 1")
        return self

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.text, self.question, self.model, self.rotation


class KeptAnswers:
    """The file of a judge's answers. Safe to be used by several threads.

    Args:
        path: the file, or None to keep the answers in memory alone.

    Raises:
        ArtifactError: the file is damaged, or of another kind, or another process keeps its answers there.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._known: dict[Key, AnswerRecord] = {}
        if path is None:
            return
        # Two at once would pay for every answer twice. It is let go with this object, or with the process.
        self._alone = FileLock(path.with_name(f".{path.name}.lock"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._alone.acquire(timeout=0)
        except Timeout as error:
            raise ArtifactError(
                f"{path}: another command keeps its judge's answers there; wait for it, or choose another --out"
            ) from error
        header = {"kind": KIND, "schema": SCHEMA}
        lines = read_json_lines(path, may_be_cut=True) if path.exists() else []
        if lines and lines[0] != header:
            raise ArtifactError(f"{path}: no file of {KIND}, schema {SCHEMA}; {REMEDY}")
        for number, line in enumerate(lines[1:], start=2):
            found = checked(line, AnswerRecord, f"{path}, line {number}", REMEDY)
            self._known[found.key] = found
        if not lines or not path.read_bytes().endswith(b"\n"):
            write_json_lines(path, [header, *lines[1:]])

    def get(self, key: Key) -> AnswerRecord | None:
        """The answer known by a key, if there is one."""
        return self._known.get(key)

    def add(self, answer: AnswerRecord) -> None:
        """Keep an answer.

        Raises:
            ArtifactError: it could not be written.
        """
        line: dict[str, Any] = answer.model_dump()
        with self._lock:
            if self.path is not None:
                # Not on the disk one by one: a flush takes longer than a fast server's answer.
                append_json_lines(self.path, [line], sync=False)
            self._known[answer.key] = answer

    def of(self, question: str, model: str) -> list[AnswerRecord]:
        """All answers to a question by a model, those of earlier calls too.

        Args:
            question: its hash.
            model: as in `AnswerRecord`.
        """
        with self._lock:
            return [one for one in self._known.values() if (one.question, one.model) == (question, model)]
