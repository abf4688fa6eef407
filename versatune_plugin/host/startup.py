"""The start-up hook: what an installed VersaTune changes in Axolotl and in lm-eval, and how.

Installing VersaTune puts one line, ``versatune.pth`` (written in setup.py), into site-packages. Python executes it at
every start; it imports nothing and changes nothing, but waits for a program to import one of three modules. Then it
calls :func:`install`, which has one function in each of them replaced once it is loaded:

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

This module imports only what every interpreter has loaded by the time it runs (``os``, ``sys``), and does not load
Axolotl or lm-eval itself.

Tested with the versions of docs/compat.md, and with lm-eval 0.4.13.
"""

import os
import sys

TYPE_CHECKING = False  # type checkers take it as true; importing `typing` for it would cost milliseconds
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

SWITCH = "VERSATUNE_STARTUP"
SECTION = "versatune"
SHORT_NAME = "versatune"
PLUGIN = "versatune_plugin.VersaTunePlugin"
PLUGIN_NAMES = (SHORT_NAME, PLUGIN, "versatune_plugin.plugin.VersaTunePlugin")


def install() -> None:
    """Be told when one of the three modules is imported, and patch at once those that already are.

    Calling it again does nothing.
    """
    if os.environ.get(SWITCH) == "0" or FINDER in sys.meta_path:
        return
    sys.meta_path.insert(0, FINDER)
    for name in PATCHES:
        module = sys.modules.get(name)
        if module is None:
            continue
        if getattr(module.__spec__, "_initializing", False):
            _patch_once_initialised(module)
        else:
            _patch(module)


# --- the three changes ---------------------------------------------------------------------------------------------


def _accept_short_name(base: "ModuleType") -> None:
    from functools import wraps

    original = base.load_plugin

    @wraps(original)
    def load_plugin(plugin_name: str) -> "Any":
        return original(PLUGIN if plugin_name == SHORT_NAME else plugin_name)

    base.load_plugin = load_plugin  # type: ignore[attr-defined]


def _refuse_unused_section(config: "ModuleType") -> None:
    from functools import wraps

    original = config.prepare_plugins

    @wraps(original)
    def prepare_plugins(cfg: "Any") -> "Any":
        if SECTION in cfg and not any(name in PLUGIN_NAMES for name in cfg.get("plugins") or ()):
            from versatune_plugin.errors import VersaTuneError

            raise VersaTuneError(
                f"the configuration has a section `{SECTION}:`, but its `plugins:` does not name the plugin, so "
                f"Axolotl would train without VersaTune: add `plugins: [{SHORT_NAME}]`, or remove the section"
            )
        return original(cfg)

    config.prepare_plugins = prepare_plugins  # type: ignore[attr-defined]


def _add_eval_tasks(tasks: "ModuleType") -> None:
    import inspect
    from functools import wraps

    original = tasks.TaskManager.__init__
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

    tasks.TaskManager.__init__ = with_our_tasks


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


def _patch(module: "ModuleType") -> None:
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


# --- being told: the import system ---------------------------------------------------------------------------------


class _Finder:
    """First on ``sys.meta_path``: lets the other finders find one of our modules and has it patched once loaded."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name not in PATCHES:
            return None
        # Only the finders after this one: two hooks that ask all the others would ask each other for ever.
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            find_spec = getattr(finder, "find_spec", None)  # the import system skips a finder without it, too
            spec: ModuleSpec | None = find_spec(name, path, target) if find_spec else None
            if spec is not None:
                if spec.loader is not None:  # None: a folder of that name without a module in it
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """The module's own loader, which steps aside for it again as soon as the module is loaded."""

    def __init__(self, loader: "Any") -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def exec_module(self, module: "ModuleType") -> None:
        module.__loader__ = module.__spec__.loader = self._loader  # type: ignore[union-attr]
        self._loader.exec_module(module)
        _patch(module)


def _patch_once_initialised(module: "ModuleType") -> None:
    """Patch a module that is being imported right now, further up the stack, when that import is done.

    The import system clears ``_initializing`` on the module's spec as its last act, whether the import succeeded or
    not; a failed one has left ``sys.modules`` by then, and the finder sees to the next attempt.
    """
    spec: Any = module.__spec__
    plain = type(spec)

    class WatchedSpec(plain):  # type: ignore[misc,valid-type]
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "_initializing" and not value:
                self.__class__ = plain
                if sys.modules.get(module.__name__) is module:
                    _patch(module)

    spec.__class__ = WatchedSpec


FINDER = _Finder()
