"""The trainer's events, passed on to the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from versatune_plugin.training.run import MixtureRun

if TYPE_CHECKING:
    from versatune_plugin.training.trainer import VersaTuneTrainer


class MixtureCallback(TrainerCallback):
    """Tells the run what the trainer has done.

    Args:
        run: of the mixture.
        trainer: keeps losses and checkpoints.
    """

    def __init__(self, run: MixtureRun, trainer: VersaTuneTrainer) -> None:
        self._run = run
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the record; a run resumed at its end has only that left to measure, and to save the model."""
        self._run.begin()
        if self._run.is_finished(state.global_step):
            control.should_training_stop = True
            # Restored with the checkpoint's state, which was taken while it was being saved.
            control.should_save = False
            # The process that saved last may have been killed before it had, and nothing is saved any more.
            self._trainer.remove_surplus_checkpoints()
            self._run.measure_end(state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Update the weights if it is time; stop, with a checkpoint, if a domain is used up."""
        self._trainer.write_digests()
        self._run.after_step(state.global_step, self._trainer.take_step_loss())
        if self._run.exhausted:
            control.should_training_stop = True
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Digest what was saved, once every other callback has had its say."""
        if args.should_save:
            self._trainer.digest(Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}")

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Measure where the run ends, while the trackers still listen: they close at the end of training."""
        if control.should_training_stop:
            self._run.measure_end(state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the record."""
        self._run.finish(state.global_step)
