"""Measures reference losses: the reference model is fine-tuned on each domain alone, through Axolotl itself."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from rich.console import Console
from safetensors import SafetensorError

from versatune_plugin import __version__
from versatune_plugin.artifacts import check_writable, free_space, read_json, tokenizer_fingerprint, write_json
from versatune_plugin.config import section_of
from versatune_plugin.domains import DomainTable
from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge.base_model import weights_identity
from versatune_plugin.reference.file import KIND, SCHEMA, TEXTS_KIND, heldout_digest, text_key
from versatune_plugin.reporting.record import read_record

PART_KIND = "versatune.reference_part"
DEFAULT_EPOCHS = 3
DEFAULT_OUT = Path("reference.json")
# Of the user's run, not of a small model's on one domain.
DROPPED = (
    "max_steps", "saves_per_epoch", "save_steps", "evals_per_epoch", "eval_steps", "val_set_size", "test_datasets",
    "resume_from_checkpoint", "auto_resume_from_checkpoints", "hub_model_id", "load_best_model_at_end",
    "early_stopping_patience", "use_wandb", "wandb_project", "use_mlflow", "use_comet", "use_tensorboard",
)  # fmt: skip
OF_THE_MODEL = ("base_model_config", "tokenizer_config", "tokenizer_type", "model_type", "revision_of_model")


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
        What was written; `versatune_plugin.reference.file.REQUIRED` names the keys that a run reads.

    Raises:
        VersaTuneError: the configuration, the data, an unfinished file of another configuration, or another process
            that makes the same file.

    Source: VersaTune, section 3.1 "Mastery Ceiling"; held-out instead of training loss, see docs/reference.md.
    """
    from axolotl.cli.config import load_cfg
    from axolotl.loaders import load_tokenizer
    from axolotl.utils.dict import DictDefault

    from versatune_plugin.training.outline import outline_run

    raw = yaml.safe_load(config_path.read_text(encoding="utf-8"))
    cfg = load_cfg(str(config_path))
    section = section_of(cfg)
    file = out or (section.reference if isinstance(section.reference, Path) else DEFAULT_OUT)
    check_writable(file)
    tokenizer = load_tokenizer(cfg)
    # The file that is being made cannot say yet how many rows it will be measured on.
    section = section.model_copy(update={"reference": None})
    outline, table = outline_run(cfg, section)
    if outline.measuring.heldout == 0:
        raise VersaTuneError("`versatune.heldout` is 0, so there is nothing to measure; set it to 16 or more")
    parts = file.with_name(f"{file.stem}.parts")
    reference_model = model or str(raw["base_model"])
    made_under = {
        "model": reference_model,
        "weights": weights_identity(reference_model, cfg.revision_of_model if model is None else None),
        "epochs": epochs,
        "seed": outline.seed,
        "heldout": outline.measuring.heldout,
        "digests": {name: heldout_digest(table, name, tokenizer) for name in table.names},
        "content": {domain.name: domain.digest for domain in table.domains},
        "learning_rate": str(raw.get("learning_rate")),
        "batch_size": outline.batch_size,
    }
    console = Console(highlight=False)

    def measure(name: str) -> dict[str, Any]:
        part, work = parts / f"{name}.json", parts / f"{name}.run"
        if part.exists():
            return _reuse(part, made_under)
        shutil.rmtree(work, ignore_errors=True)
        own = _single_domain(raw, section.dataset_domains, name, outline.measuring.heldout, epochs, work)
        if model is not None:
            own = {key: value for key, value in own.items() if key not in OF_THE_MODEL} | {"base_model": model}
            own["versatune"]["heldout_file"] = str(_write_texts(parts / f"{name}.texts.json", name, table, tokenizer))
        found = _fine_tune(load_cfg(DictDefault(own)), name, table, tokenizer) | {"made_under": made_under}
        write_json(part, {"kind": PART_KIND, "schema": SCHEMA, **found})
        shutil.rmtree(work)
        return found

    try:
        with FileLock(file.with_name(f".{file.name}.lock"), timeout=0):
            payload = _finished(file, made_under)
            if payload is None:
                measured = {}
                for name in table.names:
                    known = " (already measured)" if (parts / f"{name}.json").exists() else ""
                    measured[name] = measure(name)
                    lowest = min(measured[name]["epochs"])
                    console.print(f"reference loss of {name}: {lowest:.4f} nats per token{known}")
                payload = _payload(measured, made_under)
                write_json(file, payload)
            # A kill may come in the middle of this; the file is there by then.
            shutil.rmtree(parts, ignore_errors=True)
    except Timeout as error:
        raise VersaTuneError(f"{file}: another process is making it; wait for it, or choose another --out") from error
    console.print(f"reference losses are in {file}")
    return payload


def _single_domain(
    raw: Mapping[str, Any], labels: list[str], name: str, heldout: int, epochs: int, work: Path
) -> dict[str, Any]:
    own = {key: value for key, value in raw.items() if key not in DROPPED}
    own["datasets"] = [
        {**entry, "domain": name} for entry, label in zip(raw["datasets"], labels, strict=True) if label == name
    ]
    own |= {"num_epochs": epochs, "output_dir": str(work), "save_strategy": "no", "eval_strategy": "no"}
    own["versatune"] = {"mixture": "uniform", "heldout": heldout, "updates_per_epoch": 1, "floor": 0.0}
    return own


def _fine_tune(cfg: Any, name: str, table: DomainTable, tokenizer: Any) -> dict[str, Any]:
    """One ordinary Axolotl run of one domain; its record holds the held-out loss after each epoch."""
    from axolotl.cli.args import TrainerCliArgs
    from axolotl.cli.train import do_train
    from axolotl.integrations.base import PluginManager
    from axolotl.loaders import load_tokenizer

    from versatune_plugin.plugin import VersaTunePlugin

    try:
        do_train(cfg, TrainerCliArgs())
    except (OSError, SafetensorError) as error:
        raise VersaTuneError(
            f"domain {name!r}: its run cannot write to {cfg.output_dir} ({error}; {free_space(Path(cfg.output_dir))}). "
            "The domains before it are kept: free space there, or make it writable, and run the same command again"
        ) from error
    own_tokenizer = load_tokenizer(cfg)
    plugin = next(p for p in PluginManager.get_instance().plugins.values() if isinstance(p, VersaTunePlugin))
    if heldout_digest(plugin.live.table, name, own_tokenizer) != heldout_digest(table, name, tokenizer):
        raise VersaTuneError(
            f"domain {name!r}: the reference run held out other rows than the configured run would; "
            "remove `dataset_prepared_path` if the data were edited since, and run this again"
        )
    # The weights of a single domain cannot move: its updates, one at each epoch's end but the last, only measure.
    lines = [
        line for line in read_record(Path(cfg.output_dir)) if line["kind"] in ("update", "measure") and line["step"]
    ]
    return {
        "epochs": [line["loss"][name] for line in lines],
        "bits_per_byte": [line["bits_per_byte"][name] for line in lines],
        "tokenizer": tokenizer_fingerprint(own_tokenizer),
    }


def _write_texts(path: Path, name: str, table: DomainTable, tokenizer: Any) -> Path:
    keys = [text_key(text) for text in table.texts(table.heldout_rows(name), tokenizer)]
    write_json(path, {"kind": TEXTS_KIND, "schema": SCHEMA, "texts": {name: keys}})
    return path


def _finished(file: Path, made_under: Mapping[str, Any]) -> dict[str, Any] | None:
    """The file as it is, if it is complete and was made under these very settings; any other is made anew."""
    try:
        payload = read_json(file, KIND, SCHEMA)
    except VersaTuneError:
        return None
    return payload if payload.get("made_under") == made_under else None


def _reuse(part: Path, made_under: Mapping[str, Any]) -> dict[str, Any]:
    found = read_json(part, PART_KIND, SCHEMA)
    changed = [key for key, value in made_under.items() if found["made_under"].get(key) != value]
    if changed:
        raise VersaTuneError(
            f"{part} was measured under another {', '.join(changed)}; remove {part.parent} to measure anew, or undo "
            "the change"
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
