"""Measures reference losses: the reference model is fine-tuned on each domain alone, through Axolotl itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from versatune_plugin import __version__
from versatune_plugin.artifacts.fingerprint import settings_differences, weights_identity
from versatune_plugin.artifacts.io import check_output, read_json, write_json
from versatune_plugin.artifacts.reference import KIND, SCHEMA, ReferenceFile, read_reference
from versatune_plugin.data.domains import DomainTable
from versatune_plugin.data.heldout import heldout_digest
from versatune_plugin.errors import ArtifactError, ConfigurationError, DataError
from versatune_plugin.host.configuration import load_run_config
from versatune_plugin.host.yaml_file import read_yaml
from versatune_plugin.reference.fine_tune import DomainRuns
from versatune_plugin.reference.losses import best_epoch, lost_epochs, without_loss
from versatune_plugin.reference.unfinished import Unfinished
from versatune_plugin.schema.wording import counted

if TYPE_CHECKING:
    from versatune_plugin.training.run_plan import RunPlan

DEFAULT_EPOCHS = 3
DEFAULT_OUT = Path("reference.json")


def measure_references(
    config_path: Path,
    *,
    model: str | None = None,
    epochs: int = DEFAULT_EPOCHS,
    out: Path | None = None,
    tell: Callable[[str], None] = print,
) -> tuple[Path, ReferenceFile]:
    """Fine-tune the reference model on each domain alone and keep the lowest held-out loss over its epochs.

    The held-out rows are the very ones that the configured run will hold out. Every finished domain is on the disk, so
    a run that was interrupted goes on with the next; a file that was made under the same settings is left as it is.

    Args:
        config_path: the Axolotl YAML of the run that the losses are for.
        model: the reference model (a path or a hub id); by default the run's own ``base_model``.
        epochs: T_ref, passes over each domain.
        out: the file; by default what ``versatune.reference`` names, or ``reference.json``.
        tell: is given a line of progress at a time.

    Returns:
        The file, and what it holds.

    Raises:
        ConfigurationError: the configuration cannot be used, or there is no such model.
        DataError: the data cannot, or no held-out loss of a domain is one that a run could compare with.
        ArtifactError: the file, or an unfinished one, is of something else or of another configuration; a place cannot
            be written; another process makes the same file.

    Source: VersaTune, section 3.1 "Mastery Ceiling"; held-out instead of training loss, see docs/reference.md.
    """
    from axolotl.loaders import load_tokenizer

    from versatune_plugin.reference.run import forget_plugins, reference_settings
    from versatune_plugin.training.run_plan import plan_run

    cfg, section = load_run_config(config_path)
    raw = read_yaml(config_path)
    file = out or (section.reference if isinstance(section.reference, Path) else DEFAULT_OUT)
    check_output(file, KIND, SCHEMA)
    tokenizer = load_tokenizer(cfg)
    # The file that is being made cannot say yet how many rows it will be measured on.
    plan, table = plan_run(cfg, section.model_copy(update={"reference": None}))
    if plan.measuring.heldout == 0:
        raise ConfigurationError("`versatune.heldout` is 0, so there is nothing to measure; set it to 16 or more")
    settings, dropped = reference_settings(raw, model)
    if dropped:
        tell(f"of the run's plugins, reference runs leave out {', '.join(dropped)}")
    made_under = _made_under(settings, epochs, plan, table, tokenizer)
    own_section = {"mixture": "uniform", "heldout": plan.measuring.heldout, "updates_per_epoch": 1, "floor": 0.0}
    settings |= {"versatune": own_section, "num_epochs": epochs}
    runs = DomainRuns(settings, raw["datasets"], section.dataset_domains, table, tokenizer, same_model=model is None)
    unfinished = Unfinished.beside(file, table.names, made_under)
    try:
        with FileLock(file.with_name(f".{file.name}.lock"), timeout=0):
            payload = _finished(file, made_under)
            if payload is None or unfinished.folder.exists():
                unfinished.open()
            if payload is None:
                payload = _payload(_measure(runs, unfinished, tell), made_under)
                write_json(file, payload)
            # The file is there by now, so a kill in the middle of this loses nothing.
            unfinished.remove()
            forget_plugins()
    except Timeout as error:
        raise ArtifactError(f"{file}: another process is making it; wait for it, or choose another --out") from error
    return file, read_reference(file)


def _made_under(
    settings: Mapping[str, Any], epochs: int, plan: RunPlan, table: DomainTable, tokenizer: Any
) -> dict[str, Any]:
    """What decides the losses, as plain JSON: kept ones are used again only under equal settings."""
    return {
        "model": settings["base_model"],
        "weights": weights_identity(settings["base_model"], settings.get("revision_of_model")),
        "epochs": epochs,
        "seed": plan.split_seed,
        "heldout": plan.measuring.heldout,
        "digests": {name: heldout_digest(table, name, tokenizer) for name in table.names},
        "content": {domain.name: domain.digest for domain in table.domains},
        "settings": json.loads(json.dumps(settings, default=str)),
        "batch_size": plan.batch_size,
    }


def _finished(file: Path, made_under: Mapping[str, Any]) -> dict[str, Any] | None:
    """The file as it is, if it was made under these very settings; one of other settings is made anew.

    Raises:
        ArtifactError: what is there is no reference file.
    """
    if not file.exists():
        return None
    read_reference(file)
    payload = read_json(file, KIND, SCHEMA)
    return None if settings_differences(payload.get("made_under"), made_under, "there") else payload


def _measure(runs: DomainRuns, unfinished: Unfinished, tell: Callable[[str], None]) -> dict[str, dict[str, Any]]:
    """What `DomainRuns.fine_tune` gives for each domain, measured now or before an interruption.

    Raises:
        DataError: a domain has no usable loss; nothing is kept of it.
    """
    measured: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(unfinished.names, start=1):
        known = unfinished.read(name)
        # One without a usable loss, which earlier versions kept, is as good as none.
        known = known if known is not None and best_epoch(known) is not None else None
        place = f"domain {number} of {len(unfinished.names)}, {name}: "
        if known is None:
            rows = counted(runs.table.domain(name).training_size, "row")
            tell(f"{place}fine-tuning on {rows}, {counted(runs.settings['num_epochs'], 'epoch')}")
            found = runs.fine_tune(name, unfinished.run_folder(name))
            if best_epoch(found) is None:
                unfinished.discard(name)
                raise DataError(without_loss(name, found, runs.settings, list(measured)))
            unfinished.write(name, found)
        else:
            found = known
        best = best_epoch(found)
        assert best is not None
        if lost := lost_epochs(found):
            tell(
                f"warning: {place}the held-out loss after epoch {', '.join(map(str, lost))} is not finite or beyond "
                "all measure; the lowest of the others counts. A lower `learning_rate` may reach lower"
            )
        note = "" if known is None else " (already measured)"
        tell(f"{place}reference loss {found['epochs'][best]:.4f} nats per token{note}")
        measured[name] = found
    return measured


def _payload(measured: Mapping[str, Mapping[str, Any]], made_under: Mapping[str, Any]) -> dict[str, Any]:
    """What the file holds: of each domain the loss of its best epoch, and what it was measured under."""
    best = {name: index for name, one in measured.items() if (index := best_epoch(one)) is not None}
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "nats_per_token": {name: one["epochs"][best[name]] for name, one in measured.items()},
        "bits_per_byte": {name: one["bits_per_byte"][best[name]] for name, one in measured.items()},
        "epochs": {
            name: [None if number in lost_epochs(one) else loss for number, loss in enumerate(one["epochs"], start=1)]
            for name, one in measured.items()
        },
        "best_epoch": {name: index + 1 for name, index in best.items()},
        "measured_on": "heldout",
        "tokenizer": next(iter(measured.values()))["tokenizer"],
        "heldout": made_under["heldout"],
        "heldout_digests": made_under["digests"],
        "model": made_under["model"],
        "seed": made_under["seed"],
        "made_under": dict(made_under),
        "command": "axolotl versatune reference",
        "version": __version__,
    }
