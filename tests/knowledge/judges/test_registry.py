"""Judges by name: ours, and those of other packages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_extensions import installed
from versatune_plugin.knowledge.judges import judge_problems, known_judges, register_judge, registry
from versatune_plugin.knowledge.options import JudgeOptions


@pytest.fixture
def registered() -> Iterator[dict[str, registry.MakeJudge]]:
    """The registry, which is afterwards as it was."""
    before = dict(registry.JUDGES)
    yield registry.JUDGES
    registry.JUDGES.clear()
    registry.JUDGES.update(before)


def test_a_judge_is_registered_once_under_its_name(registered: dict[str, registry.MakeJudge]) -> None:
    @register_judge("coin")
    class Coin:
        def __init__(self, context: registry.JudgeContext) -> None: ...

    assert known_judges()["coin"] is Coin
    assert register_judge("coin")(Coin) is Coin
    assert judge_problems(JudgeOptions(judge="coin")) == []
    assert "--judge coin uses no model" in judge_problems(JudgeOptions(judge="coin", judge_model="some/model"))[0]
    with pytest.raises(ValueError, match="a judge called 'coin' is registered already"):
        register_judge("coin")(lambda context: Coin(context))


def test_a_judge_has_to_be_made_from_a_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "theirs", "[versatune.judges]\nmine = json:__name__\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    code = "from versatune_plugin.knowledge.judges import known_judges; known_judges()"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert "the entry point 'mine' of versatune.judges is 'json': it must be a class, or a function" in finished.stderr


def test_naming_judges_imports_none_of_what_they_need() -> None:
    heavy = "{'torch', 'transformers', 'sklearn', 'scipy', 'axolotl', 'numpy'}"
    code = "import sys, versatune_plugin.knowledge.judges as judges; judges.known_judges(); "
    code += f"sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
