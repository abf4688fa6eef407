"""Measures reference losses: the reference model is fine-tuned on each domain alone, through Axolotl itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from rich.console import Console
from safetensors import SafetensorError

from versatune_plugin import __version__
from versatune_plugin.artifacts.fingerprint import settings_differences, tokenizer_fingerprint
from versatune_plugin.artifacts.io import check_writable, free_space, read_json, write_json
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.artifacts.reference import KIND, SCHEMA
from versatune_plugin.data.domains import DomainTable
from versatune_plugin.data.heldout import heldout_digest, same_rows
from versatune_plugin.data.loading import load_rows
from versatune_plugin.errors import ArtifactError
from versatune_plugin.host.base_model import weights_identity
from versatune_plugin.host.configuration import load_run_config, section_of

PART_KIND = "versatune.reference_part"
PARTS_KIND = "versatune.reference_parts"
INDEX_FILE = "index.json"
DEFAULT_EPOCHS = 3
DEFAULT_OUT = Path("reference.json")


def measure_references(
    config_path: Path, *, model: str | None = None, epochs: int = DEFAULT_EPOCHS, out: Path | None = None
) -> dict[str, Any]:
    """Fine-tune the reference model on each domain alone and keep the lowest held-out loss over its epochs.

    The held-out rows are the very ones that the configured run will hold out. Every finished domain is on the disk, so
    a run that was interrupted goes on with the next; a file that was made under the same settings is left as it is.

    Args:
        config_path: the Axolotl YAML of the run that the losses are for.
        model: the reference model (a path or a hub id); by default the run's own ``base_model``.
        epochs: T_ref, passes over each domain.
        out: the file; by default what ``versatune.reference`` names, or ``reference.json``.

    Returns:
        What was written; `versatune_plugin.artifacts.reference.REQUIRED` names the keys that a run reads.

    Raises:
        VersaTuneError: the configuration, the data, an unfinished file of another configuration, or another process
            that makes the same file.

    Source: VersaTune, section 3.1 "Mastery Ceiling"; held-out instead of training loss, see docs/reference.md.
    """
    from axolotl.loaders import load_tokenizer

    from versatune_plugin.reference.run import forget_plugins, loss_settings
    from versatune_plugin.training.run_plan import plan_run

    cfg, section = load_run_config(config_path)
    raw = yaml.safe_load(config_path.read_text(encoding="utf-8"))
    file = out or (section.reference if isinstance(section.reference, Path) else DEFAULT_OUT)
    check_writable(file)
    tokenizer = load_tokenizer(cfg)
    # The file that is being made cannot say yet how many rows it will be measured on.
    section = section.model_copy(update={"reference": None})
    plan, table = plan_run(cfg, section)
    if plan.measuring.heldout == 0:
        raise ArtifactError("`versatune.heldout` is 0, so there is nothing to measure; set it to 16 or more")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    settings, dropped = loss_settings(raw, model)
    if dropped:
        console.print(f"of the run's plugins, reference runs leave out {', '.join(dropped)}")
    made_under = {
        "model": settings["base_model"],
        "weights": weights_identity(settings["base_model"], settings.get("revision_of_model")),
        "epochs": epochs,
        "seed": plan.seed,
        "heldout": plan.measuring.heldout,
        "digests": {name: heldout_digest(table, name, tokenizer) for name in table.names},
        "content": {domain.name: domain.digest for domain in table.domains},
        "settings": json.loads(json.dumps(settings, default=str)),
        "batch_size": plan.batch_size,
    }
    section_of_reference = {"mixture": "uniform", "heldout": plan.measuring.heldout}
    settings |= {"versatune": section_of_reference | {"updates_per_epoch": 1, "floor": 0.0}, "num_epochs": epochs}

    def measure(name: str, parts: Path) -> tuple[dict[str, Any], bool]:
        number = table.names.index(name)
        part, work = parts / f"{number}.json", parts / f"{number}.run"
        if part.exists():
            return _reuse(part, made_under), True
        shutil.rmtree(work, ignore_errors=True)
        own = [entry for entry, label in zip(raw["datasets"], section.dataset_domains, strict=True) if label == name]
        run = settings | {"datasets": [{**entry, "domain": name} for entry in own], "output_dir": str(work)}
        given = (table.only(name), tokenizer, model is None)
        found = _fine_tune(run, *given) | {"domain": name, "made_under": made_under}
        write_json(part, {"kind": PART_KIND, "schema": SCHEMA, **found})
        shutil.rmtree(work)
        return found, False

    try:
        with FileLock(file.with_name(f".{file.name}.lock"), timeout=0):
            payload = _finished(file, made_under)
            parts = _parts_folder(file, table.names, finished=payload is not None)
            if payload is None:
                measured = {}
                for name in table.names:
                    measured[name], known = measure(name, parts)
                    lowest = min(measured[name]["epochs"])
                    told = " (already measured)" if known else ""
                    console.print(f"reference loss of {name}: {lowest:.4f} nats per token{told}")
                payload = _payload(measured, made_under)
                write_json(file, payload)
            # A kill may come in the middle of this; the file is there by then.
            if (parts / INDEX_FILE).is_file():
                shutil.rmtree(parts, ignore_errors=True)
            forget_plugins()
    except Timeout as error:
        raise ArtifactError(f"{file}: another process is making it; wait for it, or choose another --out") from error
    console.print(f"reference losses are in {file}")
    return payload


def _parts_folder(file: Path, names: Sequence[str], finished: bool) -> Path:
    """The folder of what is measured so far, whose index names the domain of each number; made if it is needed.

    Raises:
        VersaTuneError: it is there and not ours, or of other domains.
    """
    parts = file.with_name(f"{file.stem}.parts")
    index = parts / INDEX_FILE
    if finished and not parts.exists():
        return parts
    if index.is_file():
        of = read_json(index, PARTS_KIND, SCHEMA).get("domains")
        if of != list(names):
            raise ArtifactError(
                f"{parts} holds measurements for the domains {of}, not for {list(names)}; remove it to measure anew, "
                "or choose another --out"
            )
    elif parts.exists() and (not parts.is_dir() or any(parts.iterdir())):
        raise ArtifactError(
            f"{parts} is where unfinished measurements are kept, but what is there was not made by versatune: move it "
            "away, or choose another --out"
        )
    else:
        write_json(index, {"kind": PARTS_KIND, "schema": SCHEMA, "domains": list(names)})
    return parts


def _fine_tune(settings: Mapping[str, Any], table: DomainTable, tokenizer: Any, same: bool) -> dict[str, Any]:
    """One ordinary Axolotl run of one domain; its record holds the held-out loss after each epoch.

    Args:
        settings: an Axolotl configuration as it would stand in a YAML.
        table: the domain, with the rows that the configured run holds out.
        tokenizer: the configured run's.
        same: the reference model is the run's own, so its rows are the very same.
    """
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.cli.train import do_train
    from axolotl.loaders import load_tokenizer

    from versatune_plugin.reference.run import load_alone

    (name,) = table.names
    cfg, plugin = load_alone(settings)
    own_tokenizer = load_tokenizer(cfg)
    plugin.given = table
    if not same:
        rows = load_rows(cfg, section_of(cfg).dataset_domains)
        plugin.given = same_rows(table, tokenizer, rows, own_tokenizer)
    try:
        do_train(cfg, TrainerCliArgs())
    except (OSError, SafetensorError) as error:
        raise ArtifactError(
            f"domain {name!r}: its run cannot write to {cfg.output_dir} ({error}; {free_space(Path(cfg.output_dir))}). "
            "The domains before it are kept: free space there, or make it writable, and run the same command again"
        ) from error
    # The weights of a single domain cannot move: its updates, one at each epoch's end but the last, only measure.
    lines = [
        line for line in read_record(Path(cfg.output_dir)) if line["kind"] in ("update", "measure") and line["step"]
    ]
    return {
        "epochs": [line["loss"][name] for line in lines],
        "bits_per_byte": [line["bits_per_byte"][name] for line in lines],
        "tokenizer": tokenizer_fingerprint(own_tokenizer),
    }


def _finished(file: Path, made_under: Mapping[str, Any]) -> dict[str, Any] | None:
    """The file as it is, if it was made under these very settings; one of other settings is made anew.

    Raises:
        VersaTuneError: what is there is no reference file.
    """
    if not file.exists():
        return None
    payload = read_json(file, KIND, SCHEMA)
    return payload if payload.get("made_under") == made_under else None


def _reuse(part: Path, made_under: Mapping[str, Any]) -> dict[str, Any]:
    found = read_json(part, PART_KIND, SCHEMA)
    if changed := settings_differences(found["made_under"], made_under, "there"):
        raise ArtifactError.collected(
            f"{part} was measured under other settings; remove {part.parent} to measure anew, or undo the change",
            list(changed.values()),
        )
    return found


def _payload(measured: Mapping[str, Mapping[str, Any]], made_under: Mapping[str, Any]) -> dict[str, Any]:
    best = {name: min(range(len(one["epochs"])), key=one["epochs"].__getitem__) for name, one in measured.items()}
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "nats_per_token": {name: one["epochs"][best[name]] for name, one in measured.items()},
        "bits_per_byte": {name: one["bits_per_byte"][best[name]] for name, one in measured.items()},
        "epochs": {name: one["epochs"] for name, one in measured.items()},
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
