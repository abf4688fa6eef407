"""Writes the YAML of groups and of sub-tasks below this folder: ``python -m versatune_plugin.eval_tasks``."""

from __future__ import annotations

import importlib
from pathlib import Path

from versatune_plugin.evaluation.task_files import WITH_SUB_TASKS, SubTasks, group_files


def sub_tasks(benchmark: str) -> SubTasks:
    """The sub-tasks of one of `WITH_SUB_TASKS`."""
    found: SubTasks = importlib.import_module(f"versatune_plugin.eval_tasks.{benchmark}.utils").SUB_TASKS
    return found


def write_all(folder: Path) -> None:
    """Write all these files below a folder, and remove leaves that are no more."""
    files = {f"groups/{name}": text for name, text in group_files()}
    for benchmark in WITH_SUB_TASKS:
        files |= {f"{benchmark}/{name}": text for name, text in sub_tasks(benchmark).files().items()}
    for old in folder.glob("*/leaves/*.yaml"):
        if str(old.relative_to(folder)) not in files:
            old.unlink()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_all(Path(__file__).parent)
