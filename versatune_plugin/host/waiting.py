"""What Python calls at its every start: it waits for an import of one of the modules that `startup` changes.

setup.py copies this file into site-packages, beside the two files that name it, so that neither a broken installation
nor the finder of an editable one comes between. So it imports nothing but ``os`` and ``sys``, which every interpreter
has loaded by then, and lets no error out.
"""

import os
import sys

TYPE_CHECKING = False  # type checkers take it as true; importing `typing` for it would cost milliseconds
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

SWITCH = "VERSATUNE_STARTUP"


class VersaTuneWaits:
    """First on ``sys.meta_path``, and there to stay: has one of our modules patched as soon as it is loaded.

    The class is the finder: it lets the others find the module. An instance is the loader: the module's own, which is
    put back before it runs.

    Finding a module imports nothing. The import system calls finders under its one global lock; whoever waits there
    for a module that another thread is importing waits for ever.
    """

    modules = ("axolotl.integrations.base", "axolotl.cli.config", "lm_eval.tasks")

    @classmethod
    def find_spec(
        cls, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name not in cls.modules:
            return None
        ahead = True
        for finder in tuple(sys.meta_path):
            # Only the finders after this one: two hooks that ask all the others would ask each other for ever.
            if ahead:
                ahead = finder is not cls
            elif hasattr(finder, "find_spec"):  # the import system skips a finder without it, too
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    if spec.loader is not None:  # None: a folder of that name without a module in it
                        spec.loader = cls(spec.loader)  # type: ignore[assignment]
                    return spec
        return None

    def __init__(self, loader: "Any") -> None:
        self.loader = loader

    def __getattr__(self, name: str) -> "Any":
        return getattr(self.loader, name)

    def exec_module(self, module: "Any") -> None:
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        # Before this returns no other thread can import the module.
        try:
            from versatune_plugin.host import startup
        except Exception:  # a broken installation must not reach the host
            return
        startup.patch(module)


def wait() -> None:
    """Begin to wait; again does nothing (in a virtual environment Python reads its files twice)."""
    try:
        waits = any(getattr(finder, "__name__", "") == "VersaTuneWaits" for finder in sys.meta_path)
        if os.environ.get(SWITCH) == "0" or waits:
            return
        sys.meta_path.insert(0, VersaTuneWaits)
        if any(name in sys.modules for name in VersaTuneWaits.modules):
            from versatune_plugin.host import startup

            startup.install()
    except Exception:  # whatever is wrong with the installation must not reach the interpreter
        pass
