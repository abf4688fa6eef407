"""From a validated configuration to a prepared run: rows, plan, prior, reference losses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from axolotl.loaders import load_tokenizer

from versatune_plugin.artifacts.fingerprint import weights_identity
from versatune_plugin.artifacts.knowledge import read_knowledge
from versatune_plugin.data.domains import DomainTable
from versatune_plugin.errors import ConfigurationError, VersaTuneError
from versatune_plugin.host.configuration import HEADING
from versatune_plugin.host.conflicts import check_other_plugins
from versatune_plugin.host.data_files import check_data_files
from versatune_plugin.host.other_plugins import settings_of_plugins
from versatune_plugin.host.run_settings import settings_of_the_run
from versatune_plugin.host.section import Section
from versatune_plugin.training.reference_losses import check_reference, read_reference_losses
from versatune_plugin.training.run import PreparedRun
from versatune_plugin.training.run_plan import plan_run, read_prior, split_seed


def check_files(cfg: Any, section: Section) -> None:
    """See that the files that a configuration names are there and can be used, as far as that shows without rows.

    Preparing rows takes minutes, and this takes none, so it comes first.

    Args:
        cfg: Axolotl's validated configuration.
        section: the section ``versatune:``.

    Raises:
        ConfigurationError: what is wrong with data files, knowledge file and reference file, in one message.
    """
    checks: list[Callable[[], object]] = [partial(check_data_files, cfg.datasets, section.dataset_domains)]
    if isinstance(section.knowledge, Path):
        checks.append(partial(read_knowledge, section.knowledge, section.domains))
    if isinstance(section.reference, Path):
        of_split = split_seed(cfg, section)
        checks.append(partial(check_reference, section.reference, section.domains, section.heldout, of_split))
    problems = []
    for check in checks:
        try:
            check()
        except VersaTuneError as error:
            problems.append(str(error))
    if problems:
        raise ConfigurationError.collected(HEADING, problems)


def prepare_run(
    cfg: Any, section: Section, given: DomainTable | None = None, resumes_from_any: bool = False
) -> PreparedRun:
    """Load, plan and check; nothing is trained yet.

    Args:
        cfg: Axolotl's validated and normalised configuration.
        section: the section ``versatune:``.
        given: as for `plan_run`.
        resumes_from_any: as in `PreparedRun`.

    Raises:
        VersaTuneError: data, knowledge file and reference file with all that is wrong with them.
    """
    check_other_plugins(cfg, staged=bool(section.staged))
    check_files(cfg, section)
    plan, table = plan_run(cfg, section, given)
    problems, prior, reference = [], None, None
    try:
        prior = read_prior(section, table)
    except VersaTuneError as error:
        problems.append(str(error))
    if section.reference is not None:
        try:
            reference = read_reference_losses(section.reference, table, load_tokenizer(cfg))
        except VersaTuneError as error:
            problems.append(str(error))
    if problems or prior is None:
        raise ConfigurationError.collected(HEADING, problems)
    settings = settings_of_the_run(cfg) | {
        "weights": weights_identity(str(cfg.base_model), cfg.revision_of_model),
        "plugins": settings_of_plugins(cfg),
    }
    return PreparedRun(section, plan, table, prior, reference, Path(cfg.output_dir), settings, resumes_from_any)
