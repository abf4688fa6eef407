"""What setup.cfg cannot say: the package that lies outside its parent, and the start-up line."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import indent

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

STARTUP_FILE = "versatune.pth"
TASKS = "versatune_plugin.eval_tasks"


def waiting_class() -> str:
    """The source of `VersaTuneWaits` without what only readers need, indented by four."""
    module = Path(__file__).with_name("versatune_plugin") / "host" / "startup.py"
    tree = ast.parse(module.read_text(encoding="utf-8"))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "VersaTuneWaits")
    del found.body[0]  # the docstring
    for node in ast.walk(found):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in node.args.args:
                argument.annotation = None
    return indent(ast.unparse(found), "    ")


# Python runs this whenever it starts, so it imports nothing: it waits for an import of one of the three modules that
# versatune_plugin/host/startup.py patches, and leaves the rest to that. Whatever is wrong with the installation must
# not reach the interpreter.
STARTUP_CODE = f"""
try:
    import os, sys
{waiting_class()}
    if os.environ.get("VERSATUNE_STARTUP") != "0":
        sys.meta_path.insert(0, VersaTuneWaits)
        if any(name in sys.modules for name in VersaTuneWaits.modules):
            from versatune_plugin.host import startup
            startup.install()
except Exception:
    pass
"""
# site executes those lines of a .pth file that begin with `import`; in a virtual environment it does so twice.
IS_WAITING = "any(getattr(finder, '__name__', '') == 'VersaTuneWaits' for finder in sys.meta_path)"
STARTUP_LINE = f"import sys; {IS_WAITING} or exec({STARTUP_CODE!r}, {{}})\n"


class BuildWithStartupLine(build_py):
    """``build_py`` that also puts ``versatune.pth`` into the root of the wheel, hence into site-packages."""

    def run(self) -> None:
        super().run()
        # An editable wheel leaves `build_lib` out and is packed from the folder that `install` would fill.
        root = self.get_finalized_command("install").install_lib if self.editable_mode else self.build_lib
        Path(root).mkdir(parents=True, exist_ok=True)
        Path(root, STARTUP_FILE).write_text(STARTUP_LINE, encoding="utf-8")

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        ours = [] if self.editable_mode else [str(Path(self.build_lib, STARTUP_FILE))]
        return [*super().get_outputs(include_bytecode), *ours]


setup(
    # `find:` in setup.cfg cannot add packages that setup.cfg's `package_dir` maps onto a folder elsewhere.
    packages=[
        *find_packages(include=["versatune_plugin", "versatune_plugin.*"], exclude=[f"{TASKS}*"]),
        TASKS,
        *(f"{TASKS}.{name}" for name in find_packages("eval_tasks")),
    ],
    cmdclass={"build_py": BuildWithStartupLine},
)
