"""Axolotl's trainer with the loader of a mixture, and checkpoints that hold its state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers.trainer
from axolotl.core.trainers.base import AxolotlTrainer
from datasets import Dataset
from safetensors import SafetensorError
from torch.utils.data import DataLoader
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from versatune_plugin.data.domains import IGNORED_LABEL
from versatune_plugin.errors import CheckpointError, ConfigurationError, VersaTuneError
from versatune_plugin.host.interrupt import end_on_interrupt
from versatune_plugin.sampling.packed_rows import PackedRows, SeparateRows
from versatune_plugin.sampling.prefetch import CollatedAhead
from versatune_plugin.training.callback import MixtureCallback
from versatune_plugin.training.checkpoint import (
    complete,
    incomplete_checkpoints,
    last_complete,
    not_saved,
    remove_surplus,
    undamaged,
)
from versatune_plugin.training.digests import DIGESTS_FILE, Digesting
from versatune_plugin.training.optimizer import configured_numbers, take_numbers
from versatune_plugin.training.run import MixtureRun


class VersaTuneTrainer(AxolotlTrainer):
    """Draws its batches from a `MixtureRun`; everything else is Axolotl's."""

    mixture_run: MixtureRun
    # Nats and supervised tokens of the micro-batches of this optimizer step.
    _step_nats: torch.Tensor | None = None
    _incomplete: Set[Path] = frozenset()

    def attach(self, run: MixtureRun) -> None:
        """Take the run that decides the batches, before training starts.

        Raises:
            ConfigurationError: stages under an engine that the launcher's own configuration brought.
        """
        if run.prepared.plan.staged and (self.is_deepspeed_enabled or self.is_fsdp_enabled):
            raise ConfigurationError(
                "a stage starts with a fresh optimizer, which is not supported under DeepSpeed or FSDP: "
                "launch without them"
            )
        self.mixture_run = run
        self._digesting = Digesting()
        self.add_callback(MixtureCallback(run, self))

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The plan's batches, unprepared and loaded in this process.

        Accelerate would shard the batches a second time, and workers would fetch ahead of a change of the weights.
        """
        assert isinstance(self.train_dataset, Dataset)
        rows: SeparateRows | PackedRows
        if self.args.sample_packing:
            rows = PackedRows(self.train_dataset, one_sequence=not self.args.multipack_real_batches)
        else:
            rows = SeparateRows(self._remove_unused_columns(self.train_dataset, description="training"))
        return DataLoader(
            CollatedAhead(rows, self.data_collator, self.mixture_run.sampler.upcoming),
            batch_sampler=self.mixture_run.sampler,
            collate_fn=_already_collated,
            num_workers=0,
            pin_memory=self.args.dataloader_pin_memory and torch.cuda.is_available(),
            # Without one of its own, each iteration would draw from the global generator.
            generator=torch.Generator(),
        )

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """Train; from a checkpoint, the mixture goes on where it stood."""
        output_dir = Path(self.args.output_dir)
        checkpoint = last_complete(output_dir) if resume_from_checkpoint is True else resume_from_checkpoint
        if self.args.world_size > 1:
            # Processes may see the files of a shared disk at different moments.
            chosen = [checkpoint]
            torch.distributed.broadcast_object_list(chosen)
            checkpoint = chosen[0]
        if resume_from_checkpoint is True and not checkpoint:
            raise CheckpointError(f"{output_dir} has no complete checkpoint to resume from")
        if self.args.should_save and self.args.save_total_limit:
            self._incomplete = incomplete_checkpoints(output_dir)
        if checkpoint:
            checkpoint = self._undamaged(Path(checkpoint))
        if checkpoint:
            self.mixture_run.resume(checkpoint)
        if self.args.should_save:
            # A killed process had no time for them.
            self._digesting.add(complete(output_dir))
        end_on_interrupt(output_dir, last_complete)
        done = super().train(str(checkpoint) if checkpoint else None, *args, **kwargs)
        self._digesting.write(wait=True)
        return done

    def _undamaged(self, checkpoint: Path) -> Path | None:
        """The checkpoint to go on from: this one, unless its bytes changed and any will do (see `undamaged`)."""
        found: list[Any] = [None, None]
        if self.args.process_index == 0:
            try:
                found[0] = undamaged(checkpoint, only_this=not self.mixture_run.prepared.resumes_from_any)
            except VersaTuneError as error:
                found[1] = str(error)
        if self.args.world_size > 1:
            # One process reads the bytes for all.
            torch.distributed.broadcast_object_list(found)
        if found[1] is not None:
            raise CheckpointError(found[1])
        return found[0]

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The micro-batches of an optimizer step.

        None if nothing is left to train: resumed from a run's last checkpoint, the host would do one step more.
        """
        return (
            ([], None)
            if self.mixture_run.is_finished(self.state.global_step)
            else super().get_batch_samples(*args, **kwargs)
        )

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The host's loss of a micro-batch; what it says of the batch is kept where the mixture learns from it."""
        if not (model.training and self.mixture_run.needs_batch_loss):
            return super().compute_loss(model, inputs, *args, **kwargs)
        # The loss of the last token's place is that of no label; some collators have moved the labels already.
        labels = inputs["shift_labels"] if "shift_labels" in inputs else inputs["labels"][..., 1:]
        tokens = (labels != IGNORED_LABEL).sum()
        given = super().compute_loss(model, inputs, *args, **kwargs)
        loss = (given[0] if isinstance(given, tuple) else given).detach().double()
        # The host's loss is a mean over the micro-batch, or the micro-batch's part of a mean over several of them.
        over = kwargs.get("num_items_in_batch") if self.model_accepts_loss_kwargs else None
        scale = self.accelerator.num_processes if over is not None and self.args.average_tokens_across_devices else 1
        nats = torch.where(tokens > 0, loss * (tokens if over is None else over) / scale, 0.0)
        kept = torch.stack([nats, tokens.double()])
        self._step_nats = kept if self._step_nats is None else self._step_nats + kept
        return given

    def take_step_loss(self) -> float | None:
        """The loss of the optimizer step just done, in nats per token over the global batch; None if it is not kept.

        All nats over all tokens, however the batch was split; the host logs the mean of the micro-batches' means.
        """
        if self._step_nats is None:
            return None
        kept, self._step_nats = self._step_nats, None
        if self.args.world_size > 1:
            torch.distributed.all_reduce(kept)
        nats, tokens = kept.tolist()
        return float(nats / max(tokens, 1.0))

    def digest(self, checkpoint: Path) -> None:
        """Have the bytes of a checkpoint digested beside training."""
        self._digesting.add([checkpoint])

    def write_digests(self) -> None:
        """Write the digests that are there by now into their checkpoints."""
        self._digesting.write()

    def remove_surplus_checkpoints(self, **_: Any) -> None:
        """Remove what ``save_total_limit`` leaves no room for; the host's function would ask the clock."""
        if self.args.should_save:
            limit, best = self.args.save_total_limit, self.state.best_model_checkpoint
            remove_surplus(Path(self.args.output_dir), limit, self.state.global_step, best, self._incomplete)

    def _save_checkpoint(self, model: Any, trial: Any, **kwargs: Any) -> Any:
        checkpoint = Path(self._get_output_dir(trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        try:
            if self.args.should_save:
                self._digesting.forget(checkpoint)
                # Written over, it is complete only when these are there again.
                for name in (TRAINER_STATE_NAME, DIGESTS_FILE):
                    (checkpoint / name).unlink(missing_ok=True)
                self._incomplete -= {checkpoint}
            self.accelerator.wait_for_everyone()
            with _rotating(self.remove_surplus_checkpoints):
                return super()._save_checkpoint(model, trial, **kwargs)
        except (OSError, RuntimeError, SafetensorError, VersaTuneError) as error:
            raise not_saved(checkpoint, error) from error

    def _save_rng_state(self, output_dir: str) -> None:
        # The last thing before trainer_state.json, which marks a checkpoint as complete: for all processes.
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self.mixture_run.save(Path(output_dir), self.state.global_step)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        # DeepSpeed has loaded its optimizer already.
        numbers = None if self.is_deepspeed_enabled else configured_numbers(self.optimizer)
        super()._load_optimizer_and_scheduler(checkpoint)
        if self.mixture_run.changed_settings:
            take_numbers(numbers, self.optimizer, self.lr_scheduler, self.mixture_run.changed_settings)


@contextmanager
def _rotating(by: Callable[..., None]) -> Iterator[None]:
    """Have the host's trainer call another function where it removes old checkpoints."""
    of_the_host = transformers.trainer.rotate_checkpoints
    transformers.trainer.rotate_checkpoints = by
    try:
        yield
    finally:
        transformers.trainer.rotate_checkpoints = of_the_host


def _already_collated(batch: Any) -> Any:
    return batch
