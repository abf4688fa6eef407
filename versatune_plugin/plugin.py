"""Axolotl's hooks, a few lines each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axolotl.integrations.base import BasePlugin

from versatune_plugin.artifacts.io import check_writable
from versatune_plugin.errors import ConfigurationError
from versatune_plugin.host.configuration import section_of, take_section

if TYPE_CHECKING:
    from axolotl.common.datasets import TrainDatasetMeta

    from versatune_plugin.data.domains import DomainTable
    from versatune_plugin.training.folder_lock import FolderLock
    from versatune_plugin.training.run import PreparedRun


class VersaTunePlugin(BasePlugin):
    """Decides, while a model is fine-tuned, how much of each domain goes into the next batches.

    In the YAML: ``plugins: [versatune]`` or ``plugins: [versatune_plugin.VersaTunePlugin]``.

    Attributes:
        prepared: the run, once its rows are loaded.
        given: rows with some held out, which whoever starts the run in this process has loaded already.
    """

    prepared: PreparedRun
    given: DomainTable | None = None
    _lock: FolderLock | None = None

    def register(self, cfg: dict[str, Any]) -> None:
        """Read the section ``versatune:`` and the data sets' domains before Axolotl's schema drops the latter."""
        from versatune_plugin.host.cpu_processes import ask_no_device
        from versatune_plugin.host.plain_errors import end_plainly

        end_plainly()
        take_section(cfg)
        ask_no_device()
        if cfg.get("output_dir"):
            # Before Axolotl opens its log there.
            check_writable(Path(cfg["output_dir"]))

    def get_input_args(self) -> str:
        """The section's place in Axolotl's schema."""
        return "versatune_plugin.host.section.VersaTuneArgs"

    def load_datasets(self, cfg: Any, preprocess: bool = False) -> TrainDatasetMeta:
        """Load every domain's rows; before training, plan and show what the run will do."""
        from axolotl.common.datasets import TrainDatasetMeta
        from axolotl.utils.distributed import is_main_process

        from versatune_plugin.console.run_plan import show_run
        from versatune_plugin.data.loading import load_rows
        from versatune_plugin.host.cpu_processes import admit_cpu_processes
        from versatune_plugin.training.checkpoint import resolve_resume
        from versatune_plugin.training.folder_lock import FolderLock
        from versatune_plugin.training.prepare import prepare_run
        from versatune_plugin.training.run_plan import split_seed

        section = section_of(cfg)
        if preprocess:
            table = load_rows(cfg, section.dataset_domains, split_seed(cfg, section))
            return TrainDatasetMeta(table.dataset, table.validation)
        admit_cpu_processes(cfg)
        check_writable(Path(cfg.output_dir))
        if int(os.environ.get("RANK", "0")) == 0:
            self._lock = FolderLock(Path(cfg.output_dir))
        try:
            found = resolve_resume(cfg)
            self.prepared = prepare_run(cfg, section, self.given, resumes_from_any=found)
            # Whoever started a run of his own in this process cannot follow its advice.
            if is_main_process() and self.given is None:
                show_run(cfg, self.prepared)
        except BaseException:
            self._unlock()
            raise
        table = self.prepared.table
        return TrainDatasetMeta(table.dataset, table.validation, self.prepared.plan.total_steps)

    def get_trainer_cls(self, cfg: Any) -> type[Any]:
        """Axolotl's trainer with our loader."""
        from versatune_plugin.training.trainer import VersaTuneTrainer

        return VersaTuneTrainer

    def create_lr_scheduler(self, cfg: Any, trainer: Any, optimizer: Any, num_training_steps: int) -> Any:
        """A warm-up and a decay for each stage; Axolotl's own scheduler where there are no stages."""
        from versatune_plugin.training.lr_schedule import stage_scheduler

        plan = self.prepared.plan
        return stage_scheduler(optimizer, cfg, plan.stages) if plan.staged else None

    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        """Give the trainer its run.

        Raises:
            ConfigurationError: another plugin's trainer class came first.
        """
        from versatune_plugin.training.run import MixtureRun
        from versatune_plugin.training.trainer import VersaTuneTrainer
        from versatune_plugin.training.trainer_port import TrainerPort

        if not isinstance(trainer, VersaTuneTrainer):
            raise ConfigurationError(
                f"the trainer is a {type(trainer).__name__} of another plugin, so VersaTune would do nothing: "
                f"of `plugins: {list(cfg.plugins)}` keep only one that brings a trainer, or list versatune first"
            )
        trainer.attach(MixtureRun(self.prepared, TrainerPort(trainer)))

    def post_train_unload(self, cfg: Any) -> None:
        """Show what the run came to, and let another one have the output directory: everything is written."""
        from versatune_plugin.console.run_end import show_end

        # The processes know nothing of one another any more; the main one holds the lock.
        if self._lock is not None and self.given is None:
            show_end(self.prepared.output_dir)
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
