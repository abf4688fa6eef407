"""Tasks of a user's own, in domains that are none of the paper's: those whose metadata name one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from versatune_plugin.errors import ArtifactError
from versatune_plugin.evaluation.benchmarks import BENCHMARKS, DOMAINS
from versatune_plugin.evaluation.scores import Score
from versatune_plugin.schema.domain_names import alike_names, domain_name
from versatune_plugin.schema.model import shown

# The key of a task's metadata.
KEY = "versatune_domain"


def own_tasks(payload: Mapping[str, Any], file: Path) -> dict[str, str]:
    """Domain by task of a user's own in a result file of lm-eval's.

    Args:
        payload: the file's.
        file: its path, for the error.

    Raises:
        VersaTuneError: a domain cannot have such a name, or a task.
    """
    named = {task: config.get("metadata") or {} for task, config in (payload.get("configs") or {}).items()}
    return {
        task: own_domain(task, metadata[KEY], str(file))
        for task, metadata in named.items()
        if KEY in metadata and task in payload["results"]
    }


def own_domain(task: str, domain: object, place: str) -> str:
    """The one spelling of a domain of a user's own.

    Args:
        task: that is of this domain.
        domain: as its metadata or a table has it.
        place: where that stands.

    Raises:
        VersaTuneError: it is no name, or looks like a domain of the paper; or the task is named like a benchmark.
    """
    if task in BENCHMARKS:
        raise ArtifactError(f"{place}: the task {task} has the name of a benchmark of ours; give yours another one")
    if not isinstance(domain, str):
        raise ArtifactError(f"{place}: {KEY} of {task} is {shown(domain)}; write the name of a domain")
    try:
        name = domain_name(domain)
    except ValueError as error:
        raise ArtifactError(f"{place}: {KEY} of {task} {error}") from None
    taken = [*DOMAINS, "average"]
    if name in taken or alike_names([*taken, name]):
        raise ArtifactError(
            f"{place}: {KEY} of {task} is {shown(name)}, but the scores of {', '.join(DOMAINS)} and the average are "
            "those of the twelve benchmarks; name a domain of your own"
        )
    return name


def own_score(payload: Mapping[str, Any], task: str, file: Path) -> Score:
    """The score of a task of a user's own: the first metric of its ``metric_list``, under its first filter.

    Args:
        payload: of a result file.
        task: its name.
        file: its path, for the error.

    Raises:
        VersaTuneError: there is no such figure, or it is no share of which more is better.
    """
    listed = payload["configs"][task].get("metric_list") or []
    if not listed:
        raise ArtifactError(f"{file}: {task} has no `metric_list`; name the metric of its score there")
    metric = listed[0]["metric"]
    result = payload["results"][task]
    key = next((key for key in result if key.partition(",")[0] == metric), None)
    value = result.get(key)
    more_is_better = payload.get("higher_is_better", {}).get(task, {}).get(metric, True)
    if not isinstance(value, int | float) or not 0 <= value <= 1 or not more_is_better:
        said = "missing" if value is None else shown(value)
        raise ArtifactError(
            f"{file}: {metric} of {task}, the first of its `metric_list`, is {said}; a score is a share between "
            "0 and 1 of which more is better: name one first"
        )
    _, _, rule = str(key).partition(",")
    errors = (result.get(f"{name},{rule}") for name in (f"{metric}_stderr", "vt_unparsed"))
    stderr, unparsed = (float(one) if isinstance(one, int | float) else None for one in errors)
    return Score(float(value), stderr, unparsed, payload["config"]["limit"] is not None)
