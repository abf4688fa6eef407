"""Who is compared: ``versatune(sigma=2), again=uniform, replay(of=versatune)``, as a user writes it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import yaml

from versatune_plugin.errors import ConfigurationError

FORM = "[NAME=]MIXTURE[(OPTION=VALUE, ...)]"
_ONE = re.compile(r"\s*(?:(?P<name>[^=(),]+?)\s*=\s*)?(?P<mixture>[\w.-]+)\s*(?:\((?P<options>.*)\))?\s*", re.DOTALL)
_OPENING, _CLOSING = "([{", ")]}"
# A control that is no mixture of a run: the shares are drawn for every seed anew.
RANDOM = "random"
REPLAY = "replay"


@dataclass(frozen=True)
class Contender:
    """A mixture with its options, under the name that it has in the comparison.

    Attributes:
        name: as the user wrote it, or gave it.
        mixture: a name of `axolotl versatune mixtures`, or ``random``: shares drawn for every seed, uniform over all
            mixtures (Dirichlet with all parameters 1).
        options: of the mixture, as they stand in the section ``versatune:``; ``of``, for ``replay``, is the contender
            whose mean weights of the same seed are held fixed.
    """

    name: str
    mixture: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def replays(self) -> str | None:
        """The contender whose runs must be finished before."""
        return str(self.options["of"]) if self.mixture == REPLAY and "of" in self.options else None

    def section(self, domains: Sequence[str], seed: int, record: str | None) -> dict[str, Any]:
        """Mixture and options of a run, as they stand in the section ``versatune:``.

        Args:
            domains: of the run, sorted.
            seed: of the run.
            record: of the run that is replayed.
        """
        if self.mixture == RANDOM:
            shares = np.random.default_rng([seed, *self.name.encode()]).dirichlet(np.ones(len(domains)))
            drawn = dict(zip(domains, shares.round(6).tolist(), strict=True))
            return {"mixture": "constant", "knowledge": drawn, "floor": 0.0, **self.options}
        if self.replays is not None:
            rest = {name: value for name, value in self.options.items() if name != "of"}
            return {"mixture": REPLAY, REPLAY: record, **rest}
        return {"mixture": self.mixture, **self.options}


def read_contenders(text: str) -> tuple[Contender, ...]:
    """Who is compared.

    Args:
        text: contenders in the form `FORM`, with commas between them; values are YAML.

    Raises:
        ConfigurationError: some of it is in no such form, a name is there twice, ``replay`` is of nobody; all of it.
    """
    problems: list[str] = []
    found = []
    for part in _split(text):
        match = _ONE.fullmatch(part)
        if match is None:
            problems.append(f"{part.strip()!r} is not of the form {FORM}")
            continue
        options = _options(match["options"] or "", part.strip(), problems)
        found.append(Contender(match["name"] or re.sub(r"\s+", " ", part.strip()), match["mixture"], options))
    names = [one.name for one in found]
    problems += [
        f"{name!r} is there {count} times: give the others names, as in again={name}"
        for name, count in Counter(names).items()
        if count > 1
    ]
    for one in found:
        if one.replays is not None and (one.replays not in names or one.replays == one.name):
            problems.append(f"{one.name!r} replays {one.replays!r}, but there are {', '.join(map(repr, names))}")
        elif one.replays is not None and next(o for o in found if o.name == one.replays).replays is not None:
            problems.append(f"{one.name!r} replays {one.replays!r}, which replays another: name that one")
    if not problems and len(found) < 2:
        problems.append(f"{text!r} names {len(found)} of them: a comparison needs two")
    if problems:
        raise ConfigurationError.collected("--mixtures cannot be used", problems)
    return tuple(found)


def _options(text: str, part: str, problems: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in _split(text):
        name, equals, value = (piece.strip() for piece in one.partition("="))
        try:
            read = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not (name and equals and value):
            problems.append(f"{part!r}: {one.strip()!r} is not of the form OPTION=VALUE")
        elif name in found:
            problems.append(f"{part!r}: the option {name!r} is there twice")
        else:
            found[name] = read
    return found


def _split(text: str) -> Iterator[str]:
    """What stands between commas that are in no brackets."""
    depth, first = 0, 0
    for place, letter in enumerate(text):
        depth += (letter in _OPENING) - (letter in _CLOSING)
        if letter == "," and depth == 0:
            yield text[first:place]
            first = place + 1
    if text[first:].strip() or first:
        yield text[first:]
