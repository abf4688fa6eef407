"""From the finished runs of a campaign to its comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from pydantic import ConfigDict, Field

from versatune_plugin.artifacts.io import read_artifact
from versatune_plugin.comparing.campaign import CampaignFile, read_campaign, result_file
from versatune_plugin.comparing.outcomes import Losses
from versatune_plugin.comparing.runs import Cost, Run
from versatune_plugin.comparing.tables import Comparison, Question, compare
from versatune_plugin.comparing.work import KIND, SCHEMA
from versatune_plugin.schema.model import StrictModel


class LossesFile(StrictModel):
    """Losses of the test rows; null where one is not finite."""

    loss: dict[str, float | None]
    bits_per_byte: dict[str, float | None]

    def losses(self) -> Losses:
        """As they are compared."""
        return Losses(_finite(self.loss), _finite(self.bits_per_byte))


class CostFile(StrictModel):
    """See `versatune_plugin.comparing.runs.Cost`."""

    training_seconds: float = Field(ge=0)
    measuring_seconds: float = Field(ge=0)
    prior_seconds: float = Field(ge=0)
    reference_seconds: float = Field(ge=0)
    rows: dict[str, int]
    supervised_tokens: dict[str, int]
    passes: dict[str, float]


class ResultFile(StrictModel):
    """What is read of a run's ``result.json``."""

    model_config = ConfigDict(extra="allow")

    mixture: str
    seed: int
    start: LossesFile
    end: LossesFile
    cost: CostFile


def collect(out: Path) -> tuple[Comparison, list[str]]:
    """The comparison of what is finished.

    Args:
        out: the campaign's folder.

    Returns:
        The comparison; the folders of the runs that are not finished.

    Raises:
        ArtifactError: the campaign or a result cannot be read, or no runs can be compared.
        ConfigurationError: the question does not fit them.
    """
    campaign = read_campaign(out)
    runs, missing = [], []
    for job in campaign.jobs:
        if not result_file(out, job.folder).is_file():
            missing.append(job.folder)
            continue
        found = read_artifact(result_file(out, job.folder), KIND, SCHEMA, ResultFile)
        cost = Cost(**found.cost.model_dump())
        runs.append(Run(found.mixture, found.seed, "training", found.start.losses(), found.end.losses(), cost))
    return compare(runs, question_of(campaign)), missing


def question_of(campaign: CampaignFile) -> Question:
    """What a campaign asks."""
    asked = campaign.question
    return Question(**{**asked.model_dump(), "targets": tuple(asked.targets)})


def _finite(losses: Mapping[str, float | None]) -> dict[str, float]:
    return {name: math.nan if loss is None else loss for name, loss in losses.items()}
