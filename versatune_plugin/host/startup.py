"""The start-up hook: what an installed VersaTune changes in Axolotl and in lm-eval, and how.

Installing VersaTune has Python call `versatune_plugin.host.waiting.wait` at every start (setup.py says how); it changes
nothing, but waits for a program to import one of three modules. Once one of them is loaded, :func:`patch` replaces one
function in it:

``axolotl.integrations.base``   ``load_plugin``
    takes ``versatune`` as a short name of the plugin, so that ``plugins: [versatune]`` works.
``axolotl.cli.config``          ``prepare_plugins``
    refuses a configuration that has a section ``versatune:`` but does not name the plugin, which Axolotl would
    otherwise train without us and without a word.
``lm_eval.tasks``               ``TaskManager.__init__``
    searches our ``eval_tasks`` besides lm-eval's own tasks, so that ``lm_eval --tasks 'versatune_*'`` finds them.

No file of either package is touched. A program that imports none of the three never notices.
``VERSATUNE_STARTUP=0`` in the environment switches all of it off; ``plugins: [versatune_plugin.VersaTunePlugin]`` and
``lm_eval --include_path`` need none of it. ``benchmarks/startup_cost.py`` measures what it costs.

This module imports only what every interpreter has loaded by the time it runs (``os``, ``sys`` and built-in modules),
and does not load Axolotl or lm-eval itself.

Tested with the versions of docs/compat.md, and with lm-eval 0.4.13.
"""

import _frozen_importlib
import _thread
import os
import sys

from versatune_plugin.host.waiting import SWITCH, VersaTuneWaits

TYPE_CHECKING = False  # type checkers take it as true; importing `typing` for it would cost milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

SECTION = "versatune"
SHORT_NAME = "versatune"
PLUGIN = "versatune_plugin.VersaTunePlugin"
# Of a function that is ours; a wrapper made with functools.wraps inherits it.
MARK = "__versatune__"
# Nothing is called or imported while it is held.
SWAP = _thread.allocate_lock()
PLUGIN_NAMES = (SHORT_NAME, PLUGIN, "versatune_plugin.plugin.VersaTunePlugin")


def install() -> None:
    """Have each of the three modules patched when it is imported, and at once where it already is.

    Any thread may call it at any time, and calling it again does nothing. It waits for an import of one of the three
    that is under way in another thread: that one may have looked for its module before the finder was there.
    """
    if os.environ.get(SWITCH) == "0":
        return
    with SWAP:
        if FINDER not in sys.meta_path:
            sys.meta_path.insert(0, FINDER)
    for name in PATCHES:
        # Returns at once where waiting would be a deadlock, and in the thread that imports the module itself.
        _frozen_importlib._lock_unlock_module(name)  # type: ignore[attr-defined]
        module = sys.modules.get(name)
        if module is not None:
            _patch_once_initialised(module)


def patch(module: "ModuleType") -> None:
    """Replace the function of one of the three modules, which is loaded; again does nothing."""
    if os.environ.get(SWITCH) == "0":
        return
    try:
        PATCHES[module.__name__](module)
    except AttributeError as error:
        import warnings

        warnings.warn(
            f"VersaTune's start-up hook does not know this version of {module.__name__} ({error}) and left it as it "
            f"is: install a version that VersaTune supports, or set {SWITCH}=0 to silence this",
            RuntimeWarning,
            stacklevel=2,
        )


# --- the three changes ---------------------------------------------------------------------------------------------


def _accept_short_name(base: "ModuleType") -> None:
    from functools import wraps

    def replacement(original: "Callable[..., Any]") -> "Callable[..., Any]":
        @wraps(original)
        def load_plugin(plugin_name: str) -> "Any":
            return original(PLUGIN if plugin_name == SHORT_NAME else plugin_name)

        return load_plugin

    _replace(base, "load_plugin", replacement)


def _refuse_unused_section(config: "ModuleType") -> None:
    from functools import wraps

    def replacement(original: "Callable[..., Any]") -> "Callable[..., Any]":
        @wraps(original)
        def prepare_plugins(cfg: "Any") -> "Any":
            if SECTION in cfg and not any(name in PLUGIN_NAMES for name in cfg.get("plugins") or ()):
                from versatune_plugin.errors import ConfigurationError
                from versatune_plugin.host.plain_errors import end_plainly

                end_plainly()
                raise ConfigurationError(
                    f"the configuration has a section `{SECTION}:`, but its `plugins:` does not name the plugin, so "
                    f"Axolotl would train without VersaTune: add `plugins: [{SHORT_NAME}]`, or remove the section"
                )
            return original(cfg)

        return prepare_plugins

    _replace(config, "prepare_plugins", replacement)


def _add_eval_tasks(tasks: "ModuleType") -> None:
    import inspect
    from functools import wraps

    def replacement(original: "Callable[..., Any]") -> "Callable[..., Any]":
        signature = inspect.signature(original)
        if "include_path" not in signature.parameters:
            raise AttributeError("TaskManager.__init__ has no parameter include_path")

        @wraps(original)
        def with_our_tasks(self: "Any", *args: "Any", **kwargs: "Any") -> None:
            call = signature.bind(self, *args, **kwargs)
            given = call.arguments.get("include_path") or []
            given = given if isinstance(given, (list, tuple)) else [given]
            # Of two tasks with one name lm-eval takes the later: the user's own win over ours.
            call.arguments["include_path"] = [eval_tasks_directory(), *given]
            original(*call.args, **call.kwargs)

        return with_our_tasks

    _replace(tasks.TaskManager, "__init__", replacement)


def _replace(holder: "Any", name: str, replacement: "Callable[[Any], Any]") -> None:
    """Put `replacement` of a function in its place, unless it is one of ours; threads may do so at the same time."""
    while True:
        original = getattr(holder, name)
        if hasattr(original, MARK):
            return
        ours = replacement(original)
        setattr(ours, MARK, True)
        with SWAP:
            if getattr(holder, name) is original:
                setattr(holder, name, ours)


def eval_tasks_directory() -> str:
    """The folder of our lm-eval tasks: inside the installed package, or beside it in a checkout (editable install)."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = os.path.join(package, "eval_tasks")
    return installed if os.path.isdir(installed) else os.path.join(os.path.dirname(package), "eval_tasks")


PATCHES: "dict[str, Callable[[ModuleType], None]]" = {
    "axolotl.integrations.base": _accept_short_name,
    "axolotl.cli.config": _refuse_unused_section,
    "lm_eval.tasks": _add_eval_tasks,
}


# --- a module that is there already ---------------------------------------------------------------------------------


def _patch_once_initialised(module: "ModuleType") -> None:
    """Patch a module at once, or, if it is being imported further up the stack, when that import is done.

    The import system clears ``_initializing`` on the module's spec as its last act, whether the import succeeded or
    not; a failed one has left ``sys.modules`` by then, and the finder sees to the next attempt.
    """
    spec: Any = module.__spec__
    if not getattr(spec, "_initializing", False):
        patch(module)
        return
    plain = type(spec)
    if plain.__name__ == "WatchedSpec":
        return

    class WatchedSpec(plain):  # type: ignore[misc,valid-type]
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "_initializing" and not value:
                self.__class__ = plain
                if sys.modules.get(module.__name__) is module:
                    patch(module)

    spec.__class__ = WatchedSpec


# What Python called at its start has put its own copy of the class there.
FINDER = next((found for found in sys.meta_path if getattr(found, "__name__", "") == "VersaTuneWaits"), VersaTuneWaits)
