"""Every call that VersaTune makes into its hosts, as a check that the installed host still takes it.

``python -m tests.helpers.calls`` prints, as JSON, what is wrong with each (null: nothing); only there hosts are
imported.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ANY = object()


def given(*positional: str, **keywords: object) -> tuple[tuple[object, ...], dict[str, object]]:
    """The form of a call; the names of positional arguments are for the reader."""
    return (ANY,) * len(positional), keywords


# What is called -> how, and from where.
CALLS: dict[str, tuple[tuple[tuple[object, ...], dict[str, object]], str]] = {
    "axolotl.integrations.base:load_plugin": (given("name"), "host/startup.py"),
    "axolotl.cli.config:prepare_plugins": (given("cfg"), "host/startup.py"),
    "lm_eval.tasks:TaskManager.__init__": (given("self", include_path=ANY), "host/startup.py"),
    "axolotl.cli.config:load_cfg": (
        given("path", deepspeed=None, fsdp=None, fsdp_config=None),
        "host/configuration.py, reference/run.py",
    ),
    "axolotl.common.datasets:load_datasets": (given(cfg=ANY), "data/domains.py"),
    "axolotl.common.datasets:TrainDatasetMeta": (given("train", "validation", "total_steps"), "plugin.py"),
    "axolotl.loaders:load_tokenizer": (given("cfg"), "training/run_plan.py and others"),
    "axolotl.loaders:ModelLoader": (
        given("cfg", "tokenizer", inference=True, reference_model=True),
        "host/base_model.py",
    ),
    "axolotl.loaders:ModelLoader.load": (given("self"), "host/base_model.py"),
    "axolotl.utils.data.shared:load_dataset_with_config": (
        given("entry", "token", streaming=False),
        "host/raw_rows.py",
    ),
    "axolotl.utils.data.shared:datasets_with_name_generator": (given("entries"), "host/raw_rows.py"),
    "axolotl.utils.data.sft:_parse_dataset_type": (given("type"), "host/raw_rows.py"),
    "axolotl.utils.data.sft:get_dataset_wrapper": (
        given(
            dataset_config=ANY,
            tokenizer=ANY,
            cfg=ANY,
            dataset_base_type=ANY,
            dataset=ANY,
            dataset_prompt_style=ANY,
        ),
        "host/raw_rows.py",
    ),
    "axolotl.cli.args:TrainerCliArgs": (given(), "reference/measure.py"),
    "axolotl.cli.train:do_train": (given("cfg", "cli_args"), "reference/measure.py"),
    "axolotl.prompters:AlpacaPrompter.build_prompt": (
        given("self", "instruction", "input", "output"),
        "quickstart/pretrain.py",
    ),
    "axolotl.utils.collators:DataCollatorForSeq2Seq": (
        given("tokenizer", pad_to_multiple_of=64),
        "training/trainer.py",
    ),
    "axolotl.utils.distributed:is_main_process": (given(), "training/start.py"),
    "axolotl.core.trainers.base:AxolotlTrainer.train": (given("self", "checkpoint"), "training/trainer.py"),
    "axolotl.core.trainers.base:AxolotlTrainer._save_rng_state": (given("self", "folder"), "training/trainer.py"),
    "axolotl.core.trainers.base:AxolotlTrainer._save_checkpoint": (
        given("self", "model", "trial"),
        "training/trainer.py",
    ),
    "axolotl.core.trainers.base:AxolotlTrainer._get_output_dir": (given("self", "trial"), "training/trainer.py"),
    "axolotl.core.trainers.base:AxolotlTrainer.get_batch_samples": (
        given("self", "batches", "number", "device"),
        "training/trainer.py",
    ),
    "axolotl.core.trainers.base:AxolotlTrainer._remove_unused_columns": (
        given("self", "rows", description="training"),
        "training/trainer.py",
    ),
    "axolotl.core.trainers.base:AxolotlTrainer._prepare_inputs": (given("self", "batch"), "training/heldout_eval.py"),
    "axolotl.core.trainers.base:AxolotlTrainer.compute_loss_context_manager": (
        given("self"),
        "training/heldout_eval.py",
    ),
    "torch.serialization:register_package": (given("priority", "tagger", "loader"), "host/cpu_processes.py"),
}
# Axolotl's hooks that the plugin implements; their parameters must be ours.
HOOKS = (
    "register",
    "get_input_args",
    "load_datasets",
    "get_trainer_cls",
    "create_lr_scheduler",
    "post_trainer_create",
)


def _found(place: str) -> Any:
    module, _, path = place.partition(":")
    found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


def _call(place: str) -> str | None:
    try:
        target = _found(place)
    except (ImportError, AttributeError) as error:
        return f"it is gone ({error})"
    (positional, keywords), _ = CALLS[place]
    try:
        signature = inspect.signature(target)
        signature.bind(*positional, **keywords)
    except TypeError as error:
        return f"it does not take our call any more ({error})"
    return None


def _hook(name: str) -> str | None:
    from axolotl.integrations.base import BasePlugin

    from versatune_plugin.plugin import VersaTunePlugin

    hook = getattr(BasePlugin, name, None)
    if hook is None:
        return "it is gone, so nothing calls ours"
    theirs, ours = inspect.signature(hook).parameters, inspect.signature(getattr(VersaTunePlugin, name)).parameters
    return None if list(theirs) == list(ours) else f"its parameters are now {list(theirs)}, ours are {list(ours)}"


class _Reached(Exception):
    """Raised by a stand-in, to tell that it was called."""


def _reached(name: str) -> Any:
    raise _Reached(name)


def _plugins_are_loaded_by_name() -> str | None:
    from axolotl.integrations import base

    manager, asked = base.PluginManager.get_instance(), []
    original, base.load_plugin = base.load_plugin, asked.append
    try:
        manager.register("some.Plugin")
    finally:
        base.load_plugin = original
    return None if asked == ["some.Plugin"] else "PluginManager.register no longer calls the module's load_plugin"


def _configurations_are_prepared() -> str | None:
    from axolotl.cli import config

    original, config.prepare_plugins = config.prepare_plugins, _reached
    try:
        with TemporaryDirectory() as folder:
            file = Path(folder, "some.yml")
            file.write_text("base_model: none\n", encoding="utf-8")
            config.load_cfg(str(file))
    except _Reached:
        return None
    finally:
        config.prepare_plugins = original
    return "load_cfg no longer calls the module's prepare_plugins"


REPLACED: dict[str, tuple[Callable[[], str | None], str]] = {
    "load_plugin is reached": (_plugins_are_loaded_by_name, "host/startup.py"),
    "prepare_plugins is reached": (_configurations_are_prepared, "host/startup.py"),
}

if __name__ == "__main__":
    seen = {place: _call(place) for place in CALLS}
    seen |= {name: _hook(name) for name in HOOKS}
    seen |= {name: check() for name, (check, _) in REPLACED.items()}
    print(json.dumps(seen))
