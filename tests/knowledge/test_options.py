"""The options of a detection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from versatune_plugin.errors import VersaTuneError
from versatune_plugin.knowledge import DetectionOptions
from versatune_plugin.knowledge.detect import detect


def test_the_paper_is_a_preset_that_given_values_override() -> None:
    paper = DetectionOptions.choose("paper", texts=None)
    assert (paper.texts, paper.iterations, paper.tolerance) == (40_000, 5, 0.0)
    mixed = DetectionOptions.choose("paper", iterations=2, seed=None)
    assert (mixed.texts, mixed.iterations, mixed.seed) == (40_000, 2, DetectionOptions().seed)
    default = DetectionOptions.choose()
    assert default == DetectionOptions()
    assert default.texts * default.iterations == 10_000


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"texts": 0}, "--texts is 0, but must be between 1 and"),
        ({"iterations": -1}, "--iterations is -1"),
        ({"max_new_tokens": 0}, "--max-new-tokens is 0"),
        ({"batch_size": 0}, "--batch-size is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"temperature": 0.0}, "--temperature is 0.0, but must be above 0"),
        ({"temperature": float("nan")}, "--temperature is nan"),
        ({"temperature": float("inf")}, "--temperature is inf"),
        ({"tolerance": 1.0}, "--tolerance is 1.0"),
        ({"tolerance": float("nan")}, "--tolerance is nan"),
        ({"max_unparsed": -0.1}, "--max-unparsed is -0.1"),
        ({"judge": "oracle"}, "--judge is 'oracle', but the judges are: classifier, model"),
        ({"judge": "model"}, "--judge model needs --judge-model"),
        ({"judge_model": "some/model"}, "--judge classifier uses no model"),
    ],
)
def test_names_the_option_and_its_bounds(given: dict[str, Any], message: str) -> None:
    with pytest.raises(VersaTuneError, match=message):
        detect(Path("nowhere.yml"), DetectionOptions(**given))


def test_names_all_problems_at_once_and_an_unknown_preset() -> None:
    with pytest.raises(VersaTuneError, match="(?s)--texts.*--temperature.*--judge"):
        detect(Path("nowhere.yml"), DetectionOptions(texts=0, temperature=-1, judge="oracle"))
    with pytest.raises(VersaTuneError, match="--preset is 'fast', but the presets are: paper"):
        DetectionOptions.choose("fast")


def test_the_command_repeats_every_option() -> None:
    options = DetectionOptions(out=Path("a b.json"), judge="model", judge_model="org/model", texts=7)
    command = options.command(Path("cfg.yml"))
    assert command.startswith("axolotl versatune detect cfg.yml --out 'a b.json' --texts 7 ")
    assert "--judge model --judge-model org/model" in command


def test_importing_the_room_costs_nothing() -> None:
    heavy = "{'torch', 'transformers', 'sklearn', 'axolotl', 'numpy'}"
    code = f"import sys, versatune_plugin.knowledge; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
