"""From a validated configuration to a live mixture: rows, prior, reference losses, and the table that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from axolotl.loaders import load_tokenizer
from axolotl.utils.distributed import is_main_process

from versatune_plugin.data.domains import DomainTable
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.host.base_model import weights_identity
from versatune_plugin.host.configuration import HEADING, Section, load_run_config
from versatune_plugin.host.conflicts import check_other_plugins
from versatune_plugin.host.other_plugins import settings_of_plugins
from versatune_plugin.host.run_settings import settings_of_the_run
from versatune_plugin.training.checkpoint import saving_warnings
from versatune_plugin.training.live import LiveMixture
from versatune_plugin.training.overview import show_outline
from versatune_plugin.training.reference_losses import read_reference_losses
from versatune_plugin.training.run_plan import outline_run, planned_weights, read_prior


def start_run(cfg: Any, section: Section, given: DomainTable | None = None) -> LiveMixture:
    """Load, settle, check and show; nothing is trained yet.

    Args:
        cfg: Axolotl's validated and normalised configuration.
        section: the section ``versatune:``.
        given: as for `outline_run`.

    Raises:
        VersaTuneError: data, knowledge file and reference file with all that is wrong with them.
    """
    check_other_plugins(cfg, staged=bool(section.staged))
    outline, table = outline_run(cfg, section, given)
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
        raise VersaTuneError.collected(HEADING, problems)
    settings = settings_of_the_run(cfg) | {
        "weights": weights_identity(str(cfg.base_model), cfg.revision_of_model),
        "plugins": settings_of_plugins(cfg),
    }
    live = LiveMixture(section, outline, table, prior, reference, Path(cfg.output_dir), settings)
    if is_main_process():
        planned = planned_weights(section, outline, table, prior)
        show_outline(section, outline, table, prior, live.schedule.weights_at(0), planned, saving_warnings(cfg))
    return live


def plan_run(config_path: Path, processes: int | None) -> None:
    """Print what a configuration would do; its rows are prepared (and cached) as for training.

    Args:
        config_path: the Axolotl YAML.
        processes: of the run, where it is not this process's own launch that is planned.

    Raises:
        VersaTuneError: whatever would keep the run from starting.
    """
    cfg, section = load_run_config(config_path)
    if processes is not None:
        cfg.world_size = processes
    start_run(cfg, section)
