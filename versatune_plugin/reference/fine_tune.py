"""The runs of the reference model: one ordinary Axolotl run for each domain."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from versatune_plugin.artifacts.fingerprint import tokenizer_fingerprint
from versatune_plugin.artifacts.io import free_space
from versatune_plugin.artifacts.record import read_record
from versatune_plugin.data.domains import DomainTable
from versatune_plugin.data.heldout import same_rows
from versatune_plugin.data.loading import load_rows
from versatune_plugin.errors import ArtifactError
from versatune_plugin.host.configuration import section_of


@dataclass(frozen=True)
class DomainRuns:
    """What the runs of all domains have in common.

    Attributes:
        settings: an Axolotl configuration as it would stand in a YAML, without data sets and output folder.
        entries: the entries of ``datasets:`` of the configured run.
        labels: the domain of each of them.
        table: the rows of all domains, split as the configured run splits them.
        tokenizer: the configured run's.
        same_model: the reference model is the run's own, so its rows are the very same.
    """

    settings: Mapping[str, Any]
    entries: Sequence[Mapping[str, Any]]
    labels: Sequence[str]
    table: DomainTable
    tokenizer: Any
    same_model: bool

    def fine_tune(self, name: str, folder: Path) -> dict[str, Any]:
        """Fine-tune the reference model on one domain alone.

        Args:
            name: the domain.
            folder: where the run may write; what is there is removed before.

        Returns:
            ``start``: the held-out loss before the first step, in nats per token; ``epochs``: that after each epoch;
            ``bits_per_byte``: the latter in bits per UTF-8 byte of the responses; None stands for a loss that is not
            finite. ``tokenizer``: the fingerprint of the model's own.

        Raises:
            ArtifactError: the run cannot write.
        """
        from axolotl.cli.args import TrainerCliArgs
        from axolotl.cli.train import do_train
        from axolotl.loaders import load_tokenizer

        from versatune_plugin.reference.run import load_alone
        from versatune_plugin.training.run_plan import split_seed

        shutil.rmtree(folder, ignore_errors=True)
        own = [entry for entry, label in zip(self.entries, self.labels, strict=True) if label == name]
        datasets = [{**entry, "domain": name} for entry in own]
        cfg, plugin = load_alone({**self.settings, "datasets": datasets, "output_dir": str(folder)})
        own_tokenizer = load_tokenizer(cfg)
        plugin.given = self.table.only(name)
        if not self.same_model:
            section = section_of(cfg)
            rows = load_rows(cfg, section.dataset_domains, split_seed(cfg, section))
            plugin.given = same_rows(self.table.only(name), self.tokenizer, rows, own_tokenizer)
        try:
            do_train(cfg, TrainerCliArgs())
        except (OSError, SafetensorError) as error:
            raise ArtifactError(
                f"domain {name!r}: its run cannot write to {folder} ({error}; {free_space(folder)}). The domains "
                "before it are kept: free space there, or make it writable, and run the same command again"
            ) from error
        except Exception as error:
            error.add_note(f"while the reference model was fine-tuned on domain {name!r}")
            raise
        # The weights of a single domain cannot move: its updates, one at each epoch's end but the last, only measure.
        start, *lines = (line for line in read_record(folder) if line["kind"] in ("update", "measure"))
        return {
            "start": start["loss"][name],
            "epochs": [line["loss"][name] for line in lines],
            "bits_per_byte": [line["bits_per_byte"][name] for line in lines],
            "tokenizer": tokenizer_fingerprint(own_tokenizer),
        }
