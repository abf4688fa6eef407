"""Taking the ``domain`` of each entry of ``datasets:``, which Axolotl does not know."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from versatune_plugin.schema.domain_names import alike_names, domain_name
from versatune_plugin.schema.model import shown

EXAMPLE = "`{path: law.jsonl, type: alpaca, domain: law}`"


def entry_problems(cfg: Mapping[str, Any]) -> list[str]:
    """What in ``datasets`` and ``test_datasets`` is no list of mappings, one sentence each."""
    problems = []
    for name in ("datasets", "test_datasets"):
        entries = cfg.get(name) or []
        if not isinstance(entries, Sequence) or isinstance(entries, str):
            problems.append(f"{name}: is {shown(entries)}, but should be a list of data sets, each like {EXAMPLE}")
            continue
        problems += [
            f"{name}[{number}]: is {shown(entry)}, but should be a mapping like {EXAMPLE}"
            for number, entry in enumerate(entries)
            if not isinstance(entry, MutableMapping)
        ]
    return problems


def take_labels(cfg: MutableMapping[str, Any], moved: list[str] | None, problems: list[str]) -> list[str]:
    """The domain of each entry of ``datasets``, in its one spelling; they are taken out of the entries.

    Args:
        cfg: the raw configuration.
        moved: what ``versatune_domains`` holds: the driver of Ray has taken them out before.
        problems: what is wrong is added here, one sentence each.
    """
    entries = cfg.get("datasets") or []
    if not entries:
        problems.append("`datasets:` is empty; name at least one data set, with its `domain:`")
    if moved is not None:
        if cfg.get("use_ray") and len(moved) == len(entries):
            return moved
        problems.append("versatune_domains: the plugin sets this; remove it")
    labels = []
    for number, entry in enumerate(entries):
        path = entry.get("path")
        place = f"datasets[{number}] ({path if isinstance(path, str) else shown(path)})"
        if "domain" not in entry:
            problems.append(f"{place}: has no `domain`; give every data set its domain, for example `domain: law`")
        elif not isinstance(label := entry.pop("domain"), str):
            problems.append(f"{place}: `domain` {_no_text(label)}")
        else:
            try:
                labels.append(domain_name(label))
            except ValueError as error:
                problems.append(f"{place}: `domain` is {label[:60]!a}, which {error}")
    problems += [
        f"datasets: the domains {one!r} and {two!r} look alike ({one!a} and {two!a}), but would be two; write them the "
        "same way, or give one of them another name"
        for one, two in alike_names(labels)
    ]
    return labels


def _no_text(label: object) -> str:
    if label is None:
        return "is empty (null); give the data set its domain, for example `domain: law`"
    if isinstance(label, Mapping | list):
        return f"is {shown(label)}, but a data set has one domain, a text; make a data set of each"
    said = "YAML reads no, off, yes and on as truth values, and " if isinstance(label, bool) else ""
    return f'is {shown(label)}, which is no text; {said}a name is put in quotes: `domain: "..."`'
