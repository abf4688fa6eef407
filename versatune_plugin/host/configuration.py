"""Reading the section ``versatune:`` of an Axolotl YAML: all that is wrong with it in one message."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from versatune_plugin.artifacts.reference import HIGHEST_LOSS
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.host.conflicts import host_conflicts
from versatune_plugin.host.domain_labels import entry_problems, take_labels
from versatune_plugin.host.section import Section
from versatune_plugin.host.startup import PLUGIN_NAMES
from versatune_plugin.host.yaml_file import check_keys, read_yaml
from versatune_plugin.mixtures.base import NamedMixture
from versatune_plugin.mixtures.registry import known_mixtures
from versatune_plugin.mixtures.weights import weight_problems
from versatune_plugin.schema.model import problems_of, shown

HEADING = "this configuration cannot be trained with VersaTune"


def take_section(cfg: MutableMapping[str, Any]) -> Section:
    """Read the section from a raw Axolotl configuration, and take each data set's ``domain`` out.

    Axolotl's validation drops keys it does not know from ``datasets`` entries, so the domains are kept in
    ``versatune_domains``. The section in ``cfg`` is replaced by its validated form.

    Raises:
        ConfigurationError: all that is wrong, each with its remedy.
    """
    problems: list[str] = []
    if (file := cfg.get("axolotl_config_path")) and Path(file).is_file():
        # Axolotl takes the last of two equal keys, and so may have lost a section or a `domain`.
        check_keys(Path(file))
    _take_overrides(cfg, problems)
    raw = cfg.get("versatune")
    if raw is None:
        raise ConfigurationError(
            "`plugins:` names VersaTune, but the configuration has no section `versatune:`. "
            "Add one (at least `versatune: {mixture: uniform}`), or remove the plugin."
        )
    if not isinstance(raw, Mapping):
        raise ConfigurationError(
            f"versatune: is {shown(raw)}, but should be a section (at least `versatune: {{mixture: uniform}}`)"
        )
    if unnamed := [name for name in raw if not isinstance(name, str)]:
        raise ConfigurationError(
            f"versatune: the option {shown(unnamed[0])} is no text; YAML reads no, off, yes and on as truth values"
        )
    values: dict[str, Any] = _plain(raw)
    moved = cfg.get("versatune_domains")
    if misshapen := entry_problems(cfg):
        # Of what is no data set nothing else can be said.
        raise ConfigurationError.collected(HEADING, [*problems, *misshapen])
    labels = take_labels(cfg, moved, problems)
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
        if section.mixture in known_mixtures():
            problems += _needs_of_the_mixture(section) + _staged_conflicts(section, cfg)
    if problems or section is None:
        raise ConfigurationError.collected(HEADING, problems)
    cfg["versatune"] = section.model_dump(exclude_none=True)
    cfg["versatune_domains"] = labels
    return section


def _plain(value: Any) -> Any:
    # Axolotl's dictionaries answer to any attribute, which misleads pydantic.
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def section_of(cfg: Mapping[str, Any]) -> Section:
    """The section of a configuration that `take_section` has read."""
    return Section.of_run(_plain(cfg["versatune"]), cfg["versatune_domains"])


def load_run_config(path: Path, **overrides: Any) -> tuple[Any, Section]:
    """Axolotl's validated configuration in a YAML, and its section ``versatune:``; the one entrance of all commands.

    Args:
        path: the YAML.
        overrides: of its keys.

    Raises:
        ConfigurationError: the configuration does not name VersaTune, or its section cannot be used.
    """
    from axolotl.cli.config import load_cfg

    read_yaml(path)
    cfg = load_cfg(str(path), **overrides)
    if cfg.versatune is None:
        raise ConfigurationError(
            f"{path} does not name VersaTune: add `plugins: [versatune]` and a section `versatune:`"
        )
    return cfg, section_of(cfg)


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
    """The section, without its mixture where that or its options cannot be taken; None where its fields cannot."""
    name = values.get("mixture")
    fields = {key: value for key, value in values.items() if key in Section.model_fields}
    own = {key: value for key, value in values.items() if key not in Section.model_fields}
    mixture = known_mixtures().get(name) if isinstance(name, str) else None
    unfit = _unknown_mixture(name, own) if mixture is None else _option_problems(mixture, own, labels)
    problems += unfit
    try:
        if unfit:
            return Section.of_run(fields | {"mixture": ""}, labels)
        return Section.of_run(values, labels)
    except ValidationError as error:
        problems += problems_of(error, Section, "versatune.")
        return None


def _unknown_mixture(name: object, own: Mapping[str, Any]) -> list[str]:
    close = difflib.get_close_matches(str(name), known_mixtures(), n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    if not isinstance(name, str):
        said = "is missing" if name is None else f"is {shown(name)}, but should be the name of one"
        problems = [f"versatune.mixture: {said}; choose one of {', '.join(known_mixtures())}"]
    else:
        problems = [
            f"versatune.mixture: unknown mixture {shown(name)}{hint}; choose one of {', '.join(known_mixtures())}"
        ]
    options = {name for mixture in known_mixtures().values() for name in mixture.Options.model_fields}
    for option in sorted(own.keys() - options):
        close = difflib.get_close_matches(option, [*Section.model_fields, *options], n=1)
        remedy = f"did you mean {close[0]!r}?" if close else "remove it"
        problems.append(f"versatune.{option}: not an option of any mixture; {remedy}")
    return problems


def _option_problems(mixture: type[NamedMixture], own: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    options = mixture.Options
    problems = []
    for name in [name for name in own if name not in options.model_fields]:
        close = difflib.get_close_matches(name, [*options.model_fields, *Section.model_fields], n=1)
        owners = [other.name for other in known_mixtures().values() if name in other.Options.model_fields]
        hint = (
            f"did you mean {close[0]!r}?" if close else f"it belongs to {', '.join(owners)}" if owners else "remove it"
        )
        problems.append(f"versatune.{name}: not an option of the mixture {mixture.name!r}; {hint}")
    try:
        valid = options(**{name: value for name, value in own.items() if name in options.model_fields})
    except ValidationError as error:
        return problems + problems_of(error, options, "versatune.")
    return problems + [f"versatune.{problem}" for problem in valid.problems(sorted(set(labels)))]


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
        problems += [
            f"versatune.descriptions: {name!r} is no domain (the configuration has {', '.join(section.domains)}): "
            "remove it, or name the domain in `datasets:`"
            for name in section.descriptions
            if name not in section.domains
        ]
        for name in ("knowledge", "reference"):
            if isinstance(value := getattr(section, name), dict):
                problems += weight_problems(value, section.domains, f"versatune.{name}")
        if not problems and isinstance(section.reference, dict):
            problems += [
                f"versatune.reference: {name} is {shown(loss)}; nats per token lie between 0 and {HIGHEST_LOSS:g}"
                for name, loss in section.reference.items()
                if loss > HIGHEST_LOSS
            ]
    return problems


def _needs_of_the_mixture(section: Section) -> list[str]:
    problems = []
    asked = section.requirements
    if asked.prior and section.knowledge is None:
        problems.append(
            f"versatune.knowledge: the mixture {section.mixture!r} starts from a prior; make one with "
            "`axolotl versatune detect CONFIG` and name the file, or set `knowledge: uniform`"
        )
    if asked.reference and section.reference is None:
        problems.append(
            f"versatune.reference: the mixture {section.mixture!r} needs reference losses; make them with "
            "`axolotl versatune reference CONFIG` and name the file"
        )
    if asked.measures and section.heldout == 0:
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
        if stage.requirements.moves and section.cap * k < 1:
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
