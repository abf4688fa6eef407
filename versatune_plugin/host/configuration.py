"""The section ``versatune:`` of an Axolotl YAML: what may stand there, checked with all problems in one message."""

from __future__ import annotations

import difflib
import sys
import unicodedata
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.host.conflicts import host_conflicts
from versatune_plugin.host.startup import PLUGIN_NAMES
from versatune_plugin.mixtures.base import PolicyOptions, Traits
from versatune_plugin.mixtures.registry import POLICIES
from versatune_plugin.mixtures.stages import Stage, StagedOptions
from versatune_plugin.mixtures.weights import complaints

HEADING = "this configuration cannot be trained with VersaTune"
# Longer names are a mistake, and no table could show them.
LONGEST_NAME = 200


class Section(BaseModel):
    """The section ``versatune:``. The options of the chosen mixture stand beside these.

    Example::

        versatune:
          mixture: versatune
          knowledge: knowledge.json
          reference: reference.json
          sigma: 0.5
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mixture: str = Field(description="the name of a mixture")
    knowledge: Literal["uniform", "proportional"] | dict[str, float] | Path | None = Field(
        default=None,
        union_mode="left_to_right",
        description="the prior: a file of `axolotl versatune detect`, shares by domain, uniform or proportional",
    )
    reference: dict[str, float] | Path | None = Field(
        default=None,
        union_mode="left_to_right",
        description="the mastery ceilings: a file of `axolotl versatune reference`, or nats per token by domain",
    )
    samples_per_epoch: int | None = Field(
        default=None, ge=1, description="rows an epoch draws; default: all training rows"
    )
    update_steps: int | None = Field(
        default=None, ge=1, description="optimizer steps between two updates of the weights"
    )
    updates_per_epoch: int | None = Field(default=None, ge=1, description="updates in an epoch")
    heldout: int | None = Field(default=None, ge=0, description="rows of each domain kept out to measure its loss")
    measure_budget: float = Field(default=0.02, gt=0, le=1, description="share of training compute for measuring")
    floor: float = Field(default=0.01, ge=0, lt=1, description="no weight falls under it")
    cap: float = Field(default=1.0, gt=0, le=1, description="no weight rises over it")
    unit: Literal["samples", "tokens"] = Field(default="samples", description="what the weights are shares of")
    max_passes: float | None = Field(default=None, gt=0, description="passes over a domain after which the run ends")
    on_exhausted: Literal["stop", "error"] = Field(default="stop", description="how it then ends")
    accept_changes: bool = Field(default=False, description="resume although the configuration or the data changed")
    dataset_domains: list[str] = Field(default_factory=list, description="set by the plugin: the domain of each entry")
    options: dict[str, Any] = Field(default_factory=dict, description="set by the plugin: the mixture's own options")

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains' names, sorted."""
        return tuple(sorted(set(self.dataset_domains)))

    @property
    def policy_options(self) -> PolicyOptions:
        """The options of the mixture, validated for it."""
        return POLICIES[self.mixture].Options(**self.options)

    @property
    def traits(self) -> Traits:
        """What the mixture asks of the run."""
        return POLICIES[self.mixture].traits(self.policy_options)

    @property
    def staged(self) -> list[Stage]:
        """The stages of the run; empty where it has none."""
        return self.policy_options.staged(self.domains) if isinstance(self.policy_options, StagedOptions) else []


class VersaTuneArgs(BaseModel):
    """What the plugin adds to Axolotl's schema."""

    versatune: dict[str, Any] | None = None


def take_section(cfg: MutableMapping[str, Any]) -> Section:
    """Read the section from a raw Axolotl configuration, and move each data set's ``domain`` into it.

    Axolotl's validation drops keys it does not know from ``datasets`` entries; hence the move. The section in ``cfg``
    is replaced by its validated form.

    Raises:
        VersaTuneError: all that is wrong, each with its remedy.
    """
    problems: list[str] = []
    _take_overrides(cfg, problems)
    raw = cfg.get("versatune")
    if not isinstance(raw, Mapping):
        raise VersaTuneError(
            "`plugins:` names VersaTune, but the configuration has no section `versatune:`. "
            "Add one (at least `versatune: {mixture: uniform}`), or remove the plugin."
        )
    values: dict[str, Any] = _plain(raw)
    moved = values.pop("dataset_domains", None)
    labels = _take_labels(cfg, moved, problems)
    if len(named := [name for name in cfg.get("plugins") or [] if name in PLUGIN_NAMES]) > 1:
        problems.append(f"plugins: {' and '.join(named)} are the same plugin; keep one of them")
    if moved is None or not cfg.get("use_ray"):
        # A worker of Ray reads what its driver has read before, with Axolotl's defaults filled in.
        problems += host_conflicts(cfg)
    if cfg.get("sample_packing") and values.setdefault("unit", "tokens") != "tokens":
        problems.append("versatune.unit: under sample_packing weights are shares of tokens; remove it")
    section = _validated(values, labels, problems)
    if section is not None:
        problems += _rules(section)
        unfit = _option_problems(section) if section.mixture in POLICIES else []
        problems += unfit
        if section.mixture in POLICIES and not unfit:
            problems += _needs_of_the_mixture(section) + _staged_conflicts(section, cfg)
    if problems or section is None:
        raise VersaTuneError.collected(HEADING, problems)
    # The options as they came: JSON has no infinity, which some of them take.
    cfg["versatune"] = section.model_dump(mode="json", exclude_none=True) | {"options": section.options}
    return section


def _plain(value: Any) -> Any:
    # Axolotl's dictionaries answer to any attribute, which misleads pydantic.
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def section_of(cfg: Mapping[str, Any]) -> Section:
    """The section of a configuration that `take_section` has read."""
    return Section.model_validate(_plain(cfg["versatune"]))


def load_run_config(path: Path, **overrides: Any) -> tuple[Any, Section]:
    """Axolotl's validated configuration in a YAML, and its section ``versatune:``; the one entrance of all commands.

    Args:
        path: the YAML.
        overrides: of its keys.

    Raises:
        VersaTuneError: the configuration does not name VersaTune, or its section cannot be used.
    """
    from axolotl.cli.config import load_cfg

    cfg = load_cfg(str(path), **overrides)
    if cfg.versatune is None:
        raise VersaTuneError(f"{path} does not name VersaTune: add `plugins: [versatune]` and a section `versatune:`")
    return cfg, section_of(cfg)


def _take_labels(cfg: MutableMapping[str, Any], moved: list[str] | None, problems: list[str]) -> list[str]:
    entries = cfg.get("datasets") or []
    if not entries:
        problems.append("`datasets:` is empty; name at least one data set, with its `domain:`")
    if moved is not None:
        if cfg.get("use_ray") and len(moved) == len(entries):
            return moved
        problems.append("versatune.dataset_domains: the plugin sets this; remove it")
    labels = []
    for number, entry in enumerate(entries):
        label = entry.pop("domain", None)
        if not isinstance(label, str) or not label.strip():
            problems.append(
                f"datasets[{number}] ({entry.get('path')}): `domain` is {label!r}; give every data set its domain, "
                "for example `domain: law`"
            )
        elif unfit := _unfit_name(label):
            problems.append(f"datasets[{number}] ({entry.get('path')}): `domain` is {label[:60]!a}, {unfit}")
        else:
            labels.append(label)
    _alike_names(labels, problems)
    return labels


def _unfit_name(name: str) -> str | None:
    """What keeps a text from being a domain's name; whoever reads it in a table must see all of it."""
    if len(name) > LONGEST_NAME:
        return f"which has {len(name)} characters; shorten it to {LONGEST_NAME} or fewer"
    unseen = sorted({character for character in name if not character.isprintable()})
    if unseen:
        shown = ", ".join(f"U+{ord(character):04X}" for character in unseen)
        return f"which has characters that cannot be seen ({shown}); write it without them"
    if name != name.strip():
        return "which begins or ends with a blank; remove it"
    return None


def _alike_names(names: Sequence[str], problems: list[str]) -> None:
    """Report names that differ, but look the same."""
    seen: dict[str, str] = {}
    for name in dict.fromkeys(names):
        other = seen.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if other != name:
            problems.append(
                f"datasets: the domains {other!r} and {name!r} look alike ({other!a} and {name!a}), but would be "
                "two; write them the same way, or give one of them another name"
            )


def _take_overrides(cfg: MutableMapping[str, Any], problems: list[str]) -> None:
    """Put options of the command line, ``--versatune.mixture uniform``, into the section.

    Axolotl keeps those whose names it does not know beside the section, where nobody looks.
    """
    given = [name for name in cfg if str(name).startswith("versatune.")]
    for name in given:
        place, *rest = name.split(".")[1:]
        inner = cfg.setdefault("versatune", {})
        for part in rest:
            inner, place = inner.setdefault(place, {}), part
        inner[place] = cfg.pop(name)
    known = {name.replace("-", "_") for name in given}
    lost = [word.split("=")[0] for word in sys.argv[1:] if word.startswith("--versatune.")]
    problems += [
        f"{word}: this command does not hand it on; call `accelerate launch -m axolotl.cli.train CONFIG {word} ...`, "
        "or write it into the section `versatune:`"
        for word in lost
        if word.removeprefix("--").replace("-", "_") not in known
    ]


def _validated(values: dict[str, Any], labels: list[str], problems: list[str]) -> Section | None:
    mixture = values.get("mixture")
    own = {name: values.pop(name) for name in list(values) if name not in Section.model_fields}
    if "options" in values:
        own |= values.pop("options")
    if mixture not in POLICIES:
        known = ", ".join(POLICIES)
        close = difflib.get_close_matches(str(mixture), POLICIES, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        problems.append(f"versatune.mixture: unknown mixture {mixture!r}{hint}; choose one of {known}")
        options = {name for policy in POLICIES.values() for name in policy.Options.model_fields}
        for name in sorted(own.keys() - options):
            close = difflib.get_close_matches(name, [*Section.model_fields, *options], n=1)
            remedy = f"did you mean {close[0]!r}?" if close else "remove it"
            problems.append(f"versatune.{name}: not an option of any mixture; {remedy}")
    try:
        return Section(**values, dataset_domains=labels, options=own if mixture in POLICIES else {})
    except ValidationError as error:
        problems += [
            problem
            for problem in _explained(error, Section)
            if mixture in POLICIES or "versatune.mixture" not in problem
        ]
        return None


def _option_problems(section: Section) -> list[str]:
    own, options = section.options, POLICIES[section.mixture].Options
    allowed = [
        *options.model_fields,
        *(name for name in Section.model_fields if name not in ("dataset_domains", "options")),
    ]
    problems = []
    for name in [name for name in own if name not in options.model_fields]:
        close = difflib.get_close_matches(name, allowed, n=1)
        owners = [policy.name for policy in POLICIES.values() if name in policy.Options.model_fields]
        hint = (
            f"did you mean {close[0]!r}?" if close else f"it belongs to {', '.join(owners)}" if owners else "remove it"
        )
        problems.append(f"versatune.{name}: not an option of the mixture {section.mixture!r}; {hint}")
    try:
        valid = options(**{name: value for name, value in own.items() if name in options.model_fields})
    except ValidationError as error:
        return problems + _explained(error, options)
    return problems + [f"versatune.{problem}" for problem in valid.complaints(section.domains)]


def _explained(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One sentence for each place that is wrong, in the user's terms."""
    deepest: dict[tuple[int | str, ...], Any] = {}
    for detail in error.errors():
        # Of a union, every member complains; the one that got furthest is what the user meant.
        place = detail["loc"][:2]
        if place not in deepest or len(detail["loc"]) > len(deepest[place]["loc"]):
            deepest[place] = detail
    told = []
    for detail in deepest.values():
        name = str(detail["loc"][0])
        description = model.model_fields[name].description if name in model.model_fields else "unknown option"
        message = str(detail["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
        if detail["type"] not in ("missing", "value_error"):
            message = f"is {detail['input']!r}, but should be {message}"
        told.append(f"versatune.{_place(detail['loc'])}: {message} ({description})")
    return told


def _place(parts: Sequence[int | str]) -> str:
    # Pydantic names the members of a union, too, by their types.
    named = [part for part in parts if isinstance(part, int) or part.isidentifier()]
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in named).removeprefix(".")


def _rules(section: Section) -> list[str]:
    problems = []
    k = len(section.domains)
    if k and section.floor * k >= 1:
        problems.append(
            f"versatune.floor: {section.floor} x {k} domains leaves nothing to move; set it under {1 / k:.4g}"
        )
    if k and section.cap * k < 1:
        problems.append(f"versatune.cap: {section.cap} x {k} domains cannot sum to one; set it to at least {1 / k:.4g}")
    if section.floor > section.cap:
        problems.append(f"versatune.floor: {section.floor} lies over the cap {section.cap}; lower it")
    if section.update_steps is not None and section.updates_per_epoch is not None:
        problems.append("versatune.update_steps and versatune.updates_per_epoch say the same twice; keep one of them")
    if k:
        for name in ("knowledge", "reference"):
            if isinstance(value := getattr(section, name), dict):
                problems += complaints(value, section.domains, f"versatune.{name}")
    return problems


def _needs_of_the_mixture(section: Section) -> list[str]:
    problems = []
    traits = section.traits
    if traits.uses_prior and section.knowledge is None:
        problems.append(
            f"versatune.knowledge: the mixture {section.mixture!r} starts from a prior; make one with "
            "`axolotl versatune detect CONFIG` and name the file, or set `knowledge: uniform`"
        )
    if traits.uses_reference and section.reference is None:
        problems.append(
            f"versatune.reference: the mixture {section.mixture!r} needs reference losses; make them with "
            "`axolotl versatune reference CONFIG` and name the file"
        )
    if traits.measures and section.heldout == 0:
        problems.append(
            f"versatune.heldout: the mixture {section.mixture!r} moves by held-out losses; set it to 1 or more"
        )
    return problems


def _staged_conflicts(section: Section, cfg: Mapping[str, Any]) -> list[str]:
    if not section.staged:
        return []
    problems = []
    if float(cfg.get("num_epochs") or 1) != 1:
        problems.append(
            f"num_epochs: {cfg['num_epochs']} does not say which stage; give the stages of the mixture "
            f"{section.mixture!r} their `epochs`, and leave num_epochs out"
        )
    if int(cfg.get("max_steps") or 0) > 0:
        problems.append(f"max_steps: {cfg['max_steps']} would cut the last stages off; give a stage its `steps`")
    for name in ("deepspeed", "fsdp", "fsdp_config"):
        if cfg.get(name):
            problems.append(f"{name}: a stage starts with a fresh optimizer, which is not supported with it yet")
    for number, stage in enumerate(section.staged):
        k = len(stage.shares(section.domains))
        if stage.policy.moves and section.cap * k < 1:
            problems.append(f"versatune.cap: {section.cap} x {k} domains of stage {number + 1} cannot sum to one")
    for name in ("samples_per_epoch", "updates_per_epoch"):
        if getattr(section, name) is not None:
            problems.append(f"versatune.{name}: with stages an epoch is a stage's own; remove it")
    for name in ("cosine_min_lr_ratio", "cosine_constant_lr_ratio", "lr_quadratic_warmup", "jagged_restart_steps"):
        if cfg.get(name):
            problems.append(f"{name}: each stage has a plain warm-up and decay of its own; remove it")
    schedulers = {"cosine", "linear", "constant", None}
    if cfg.get("lr_scheduler") not in schedulers and any(stage.lr_scheduler is None for stage in section.staged):
        problems.append(
            f"lr_scheduler: {cfg['lr_scheduler']!r} cannot begin anew with each stage; set cosine, linear or constant"
        )
    return problems
