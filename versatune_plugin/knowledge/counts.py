"""A knowledge distribution from counts of judged texts, as others publish them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from versatune_plugin import __version__
from versatune_plugin.artifacts.io import check_output
from versatune_plugin.artifacts.knowledge import KIND, SCHEMA, Knowledge, write_knowledge
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.schema.domain_names import alike_names, domain_name
from versatune_plugin.schema.model import MOST_ROWS, shown

COMMAND = "axolotl versatune knowledge from-counts"
_HEADING = f"the counts of `{COMMAND}` cannot be used"


def write_counts(given: Sequence[str], out: Path, facts: Mapping[str, str]) -> Knowledge:
    """Make a knowledge file of counts.

    Args:
        given: ``name=count`` each.
        out: the file; one that a command made before is replaced.
        facts: ``base_model``, ``source`` and ``warning``, as far as they are known.

    Raises:
        ConfigurationError: as of `read_counts`; a text that is not UTF-8.
        ArtifactError: what is there is no such file, or the place cannot be written.
    """
    counts = read_counts(given)
    for name, text in {**facts, "out": str(out)}.items():
        if not text.isascii() and re.search("[\ud800-\udfff]", text):
            raise ConfigurationError(f"--{name.replace('_', '-')}: {shown(text)} is not UTF-8; write it in UTF-8")
    check_output(out, KIND, SCHEMA)
    knowledge = knowledge_from_counts(counts, out, facts)
    write_knowledge(out, knowledge)
    return knowledge


def read_counts(given: Sequence[str]) -> dict[str, int]:
    """Counts by domain, as they stand on a command line.

    Args:
        given: ``name=count`` each.

    Raises:
        ConfigurationError: an entry is no such pair, a name is none, is there twice or looks like another, a count is
            no whole number from 0 on, all are 0, or there are fewer than two; all of it in one message.
    """
    counts: dict[str, int] = {}
    problems = []
    for entry in given:
        raw_name, equals, raw_count = entry.rpartition("=")
        if not equals:
            problems.append(f"{shown(entry)} is no name and count: write `name=count`, as in law=571")
            continue
        try:
            name = domain_name(raw_name)
        except ValueError as error:
            problems.append(f"{shown(entry)}: the name {error}")
            continue
        if name in counts:
            problems.append(f"{name!r} is there twice: add its counts up")
        counts.setdefault(name, 0)
        if not re.fullmatch(r"[0-9]+", raw_count) or len(raw_count) > len(str(MOST_ROWS)) or int(raw_count) > MOST_ROWS:
            problems.append(f"{name!r} is {shown(raw_count)}, but must be a whole number from 0 to {MOST_ROWS:,}")
            continue
        counts[name] = int(raw_count)
    problems += [
        f"{one!r} and {other!r} look alike, and a reader would take them for one: rename one of them"
        for one, other in alike_names(counts)
    ]
    if not problems and len(counts) < 2:
        problems.append("a distribution takes two domains or more: give a `name=count` for each")
    if not problems and not any(counts.values()):
        problems.append("every count is 0: at least one domain needs a text")
    if problems:
        raise ConfigurationError.collected(_HEADING, problems)
    return counts


def knowledge_from_counts(counts: Mapping[str, int], out: Path, facts: Mapping[str, str]) -> Knowledge:
    """The distribution of so many texts, each judged to be of one domain.

    Intervals are Wilson's score intervals (Wilson 1927, JASA 22, 209-212), the covariance is that of multinomial
    shares, (diag(p) - p p') / n.

    Args:
        counts: two domains or more, not all 0.
        out: the file that it is for.
        facts: ``base_model``, ``source`` and ``warning``, as far as they are known.
    """
    total = sum(counts.values())
    shares = np.array(list(counts.values())) / total
    probabilities = dict(zip(counts, shares.tolist(), strict=True))
    made_by: dict[str, Any] = {
        "command": _command(counts, out, facts),
        **facts,
        "counts": dict(counts),
        "covariance": ((np.diag(shares) - np.outer(shares, shares)) / total).tolist(),
        "versions": {"versatune": __version__, "scipy": version("scipy")},
    }
    return Knowledge(
        probabilities=probabilities,
        interval95={name: _wilson(count, total) for name, count in counts.items()},
        iterations=[dict(probabilities)],
        texts=total,
        unparsed=0,
        made_by=made_by,
        path=out,
    )


def _wilson(count: int, total: int) -> list[float]:
    found = binomtest(count, total).proportion_ci(confidence_level=0.95, method="wilson")
    return [float(found.low), float(found.high)]


def _command(counts: Mapping[str, int], out: Path, facts: Mapping[str, str]) -> str:
    words = [*COMMAND.split(), *(f"{name}={count}" for name, count in counts.items()), "--out", str(out)]
    for name, text in facts.items():
        words += [f"--{name.replace('_', '-')}", text]
    return shlex.join(words)
