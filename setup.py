"""What setup.cfg cannot say: the package that lies outside its parent, and the files that Python reads at its start."""

from __future__ import annotations

import os
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

TASKS = "versatune_plugin.eval_tasks"
WAITING = "_versatune_startup"
# What goes into the root of the wheel, hence into site-packages. Python executes those lines of a .pth file that begin
# with `import`. From 3.15 on it calls instead what a .start file of the same name says, and from 3.18 on the latter is
# all that counts (PEP 829). Whoever forbids such files builds with VERSATUNE_STARTUP=0.
STARTUP_FILES = {
    f"{WAITING}.py": Path(__file__).with_name("versatune_plugin").joinpath("host", "waiting.py").read_text("utf-8"),
    "versatune.pth": f"import {WAITING}; {WAITING}.wait()\n",
    "versatune.start": f"{WAITING}:wait\n",
}
WANTED = {} if os.environ.get("VERSATUNE_STARTUP") == "0" else STARTUP_FILES


class BuildWithStartupFiles(build_py):
    """``build_py`` that also writes the files that Python reads at its start."""

    def run(self) -> None:
        super().run()
        # An editable wheel leaves `build_lib` out and is packed from the folder that `install` would fill.
        root = self.get_finalized_command("install").install_lib if self.editable_mode else self.build_lib
        Path(root).mkdir(parents=True, exist_ok=True)
        for name in STARTUP_FILES:
            Path(root, name).unlink(missing_ok=True)  # of an earlier build in the same folder
        for name, text in WANTED.items():
            Path(root, name).write_text(text, encoding="utf-8")

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        ours = [] if self.editable_mode else [str(Path(self.build_lib, name)) for name in WANTED]
        return [*super().get_outputs(include_bytecode), *ours]


setup(
    # `find:` in setup.cfg cannot add packages that setup.cfg's `package_dir` maps onto a folder elsewhere.
    packages=[
        *find_packages(include=["versatune_plugin", "versatune_plugin.*"], exclude=[f"{TASKS}*"]),
        TASKS,
        *(f"{TASKS}.{name}" for name in find_packages("eval_tasks")),
    ],
    cmdclass={"build_py": BuildWithStartupFiles},
)
