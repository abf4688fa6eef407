"""The section ``versatune:`` of an Axolotl YAML, as a model: its fields, and the options of the mixture beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, PrivateAttr, field_serializer

from versatune_plugin.mixtures.base import MixtureOptions, Requirements
from versatune_plugin.mixtures.registry import known_mixtures
from versatune_plugin.mixtures.stages import Stage, StagedOptions
from versatune_plugin.schema.domain_names import ByDomain, by_domain_name
from versatune_plugin.schema.model import MOST_ROWS, MOST_STEPS, Real, StrictModel, scientific, shown

PRIORS = ("uniform", "proportional")
# A description is asked with every text.
MOST_LETTERS = 1_000


def _by_domain_or_file(value: object, named: Sequence[str], what: str) -> object:
    """A file's path, figures by domain, or one of ``named``; figures are checked with the domains, not here."""
    if value is None or isinstance(value, Path):
        return value
    if isinstance(value, Mapping):
        return by_domain_name({key: scientific(inner) for key, inner in value.items()})
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(f"is {shown(value)}, but should be {what}")
    meant = value.strip().casefold()
    if meant in named and value not in named:
        raise ValueError(f"is {value!r}; did you mean {meant!r}?")
    return value if value in named else Path(value)


def _prior(value: object) -> object:
    return _by_domain_or_file(value, PRIORS, "a file of `axolotl versatune detect`, shares by domain, or uniform")


def _reference(value: object) -> object:
    return _by_domain_or_file(value, (), "a file of `axolotl versatune reference`, or nats per token by domain")


class Section(StrictModel):
    """The section ``versatune:``. The options of the chosen mixture stand beside these.

    Example::

        versatune:
          mixture: versatune
          knowledge: knowledge.json
          reference: reference.json
          sigma: 0.5
    """

    # Beside the fields stand the options of the mixture, which its own model validates.
    model_config = ConfigDict(extra="allow")

    mixture: str = Field(description="the name of a mixture")
    knowledge: Annotated[Literal["uniform", "proportional"] | dict[str, Any] | Path | None, PlainValidator(_prior)] = (
        Field(
            default=None,
            description="the prior: a file of `axolotl versatune detect`, shares by domain, uniform or proportional",
        )
    )
    reference: Annotated[dict[str, Any] | Path | None, PlainValidator(_reference)] = Field(
        default=None,
        description="the mastery ceilings: a file of `axolotl versatune reference`, or nats per token by domain",
    )
    descriptions: ByDomain[Annotated[str, Field(min_length=1, max_length=MOST_LETTERS)]] = Field(
        default_factory=dict, description="what belongs to each domain, in words, for judges that read"
    )
    samples_per_epoch: int | None = Field(
        default=None, ge=1, le=MOST_ROWS, description="rows an epoch draws; default: all training rows"
    )
    update_steps: int | None = Field(
        default=None, ge=1, le=MOST_STEPS, description="optimizer steps between two updates of the weights"
    )
    updates_per_epoch: int | None = Field(default=None, ge=1, le=MOST_STEPS, description="updates in an epoch")
    heldout: int | None = Field(
        default=None, ge=0, le=MOST_ROWS, description="rows of each domain kept out to measure its loss"
    )
    test_rows: int = Field(
        default=0,
        ge=0,
        le=MOST_ROWS,
        description="further rows of each domain kept out, which steer nothing; measured at start and end",
    )
    split_seed: int | None = Field(
        default=None, ge=0, description="which rows are held out, test and validation rows; default: the run's seed"
    )
    measure_budget: Real = Field(default=0.02, gt=0, le=1, description="share of training compute for measuring")
    floor: Real = Field(default=0.01, ge=0, lt=1, description="no weight falls under it")
    cap: Real = Field(default=1.0, gt=0, le=1, description="no weight rises over it")
    unit: Literal["samples", "tokens"] = Field(default="samples", description="what the weights are shares of")
    max_passes: Real | None = Field(default=None, gt=0, description="passes over a domain after which the run ends")
    on_exhausted: Literal["stop", "error"] = Field(default="stop", description="how it then ends")
    accept_changes: bool = Field(default=False, description="resume although the configuration or the data changed")
    _dataset_domains: tuple[str, ...] = PrivateAttr(default=())
    _mixture_options: MixtureOptions = PrivateAttr(default_factory=MixtureOptions)
    _requirements: Requirements = PrivateAttr(default_factory=Requirements)

    @classmethod
    def of_run(cls, values: Mapping[str, Any], dataset_domains: Sequence[str]) -> Section:
        """The section of a run, with its mixture's options validated once.

        Args:
            values: what stands in the section.
            dataset_domains: the domain of each entry of ``datasets``.

        Raises:
            ValidationError: a field, or an option of the mixture, cannot be taken; pydantic's.
        """
        section = cls.model_validate(dict(values))
        section._dataset_domains = tuple(dataset_domains)
        if section.mixture in known_mixtures():
            mixture = known_mixtures()[section.mixture]
            section._mixture_options = mixture.Options(**(section.model_extra or {}))
            section._requirements = mixture.requirements(section._mixture_options)
        return section

    @field_serializer("knowledge", "reference")
    def _plain_path(self, value: Any) -> Any:
        # Axolotl writes its configuration out as JSON and YAML.
        return str(value) if isinstance(value, Path) else value

    @property
    def dataset_domains(self) -> tuple[str, ...]:
        """The domain of each entry of ``datasets``."""
        return self._dataset_domains

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains' names, sorted."""
        return tuple(sorted(set(self._dataset_domains)))

    @property
    def mixture_options(self) -> MixtureOptions:
        """The options of the mixture, validated for it."""
        return self._mixture_options

    @property
    def requirements(self) -> Requirements:
        """What the mixture asks of the run."""
        return self._requirements

    @property
    def staged(self) -> list[Stage]:
        """The stages of the run; empty where it has none."""
        return self._mixture_options.staged(self.domains) if isinstance(self._mixture_options, StagedOptions) else []


class VersaTuneArgs(BaseModel):
    """What the plugin adds to Axolotl's schema."""

    versatune: Section | None = Field(default=None, description="how VersaTune mixes the domains of `datasets`")
    # Axolotl drops what it does not know from entries of `datasets`, so their domains travel here.
    versatune_domains: list[str] | None = Field(
        default=None, description="set by the plugin: the domain of each entry of `datasets`"
    )
