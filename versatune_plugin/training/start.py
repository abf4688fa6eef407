"""From a validated configuration to a live mixture: rows, prior, reference losses, and the table that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from axolotl.loaders import load_tokenizer
from axolotl.utils.distributed import is_main_process

from versatune_plugin.config import HEADING, Section
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.reference.file import read_reference_losses
from versatune_plugin.training.live import LiveMixture
from versatune_plugin.training.outline import (
    check_learnable,
    outline_run,
    read_prior,
    show_outline,
)


def start_run(cfg: Any, section: Section) -> LiveMixture:
    """Load, settle, check and show; nothing is trained yet.

    Raises:
        VersaTuneError: data, knowledge file and reference file with all that is wrong with them.
    """
    outline, table = outline_run(cfg, section)
    check_learnable(table)
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
    live = LiveMixture(section, outline, table, prior, reference, Path(cfg.output_dir))
    if is_main_process():
        show_outline(section, outline, table, prior, live.schedule.weights_at(0))
    return live
