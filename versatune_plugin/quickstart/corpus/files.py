"""The corpus from a user's own rows instead of the packages' facts."""

from __future__ import annotations

import json
import random
from pathlib import Path

from pydantic import ConfigDict

from versatune_plugin.artifacts.io import checked, read_json_lines
from versatune_plugin.errors import ArtifactError, DataError
from versatune_plugin.quickstart.corpus.build import DOMAINS, DomainCorpus, Sizes
from versatune_plugin.schema.model import StrictModel
from versatune_plugin.schema.wording import counted


class Row(StrictModel):
    """A row in alpaca format; other keys are left out."""

    model_config = ConfigDict(extra="ignore")

    instruction: str
    input: str
    output: str


def read_corpus(folder: Path, seed: int, sizes: Sizes) -> dict[str, DomainCorpus]:
    """Rows of every domain from ``<domain>.jsonl`` (alpaca format), each used in one place only.

    A row is either tuned on or, as plain text, pretrained on.

    Args:
        folder: holds a file for each of the six domains.
        seed: decides where each row goes.
        sizes: how many rows and, at most, documents to take of each domain.

    Raises:
        DataError: files are missing or too small, or a row lacks a key.
    """
    problems, corpus = [], {}
    for name in DOMAINS:
        file = folder / f"{name}.jsonl"
        if not file.is_file():
            problems.append(f"{file}: no such file; it should hold the rows of domain {name!r}")
            continue
        try:
            lines = read_json_lines(file)
            for number, line in enumerate(lines, start=1):
                checked(line, Row, f"{file}, row {number}", "write a row in alpaca format: instruction, input, output")
        except ArtifactError as error:
            problems.append(str(error))
            continue
        # Equal rows would stand on both sides.
        rows = list({json.dumps(line, sort_keys=True): line for line in lines}.values())
        random.Random(f"{seed}:{name}").shuffle(rows)
        if len(rows) < 2 * sizes.rows:
            problems.append(
                f"{file}: {counted(len(rows), 'row')}, but {2 * sizes.rows} are needed, half of them to pretrain on"
            )
            continue
        chosen = [{key: row[key] for key in ("instruction", "input", "output")} for row in rows[: sizes.rows]]
        documents = [
            "\n".join(filter(None, (row["instruction"], row["input"], row["output"])))
            for row in rows[sizes.rows : sizes.rows + sizes.documents]
        ]
        corpus[name] = DomainCorpus(chosen, documents)
    if problems:
        raise DataError.collected("these rows cannot be used", problems)
    return corpus
