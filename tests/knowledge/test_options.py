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
        ({"judge": "oracle"}, "--judge is 'oracle', but the judges are: classifier, embedding, http, model"),
        ({"judge": "model"}, "--judge model needs --judge-model"),
        ({"judge": "embedding"}, "--judge embedding needs --judge-model: a model of sentence embeddings"),
        ({"judge_model": "some/model"}, "--judge classifier uses no model"),
        ({"judge": "http"}, "--judge http needs --judge-url"),
        ({"judge_url": ("http://a",)}, "--judge-url is given, but --judge classifier asks no server"),
        ({"judge_rotations": 2}, "--judge-rotations is given, but --judge classifier asks no server"),
        (
            {"judge": "http", "judge_url": ("a.b:1",)},
            "--judge-url is 'a.b:1', but should be like http://127.0.0.1:8000",
        ),
        ({"judge": "http", "judge_url": ("http://a", "http://a/v1/")}, "--judge-url names one server twice"),
        ({"judge": "http", "judge_url": ("http://h:99999",)}, "--judge-url is no address"),
        ({"judge": "http", "judge_url": ("http://[::1",)}, "--judge-url is no address"),
        ({"judge": "http", "judge_url": ("http://a?k=CANARY",)}, "a key belongs into an environment variable"),
        ({"judge": "http", "judge_url": ("http://u:CANARY@a",)}, "whose name --judge-key-env gives"),
        ({"judge_key_env": "CANARY-key"}, "--judge-key-env should be the name of an environment variable"),
        ({"judge_key_env": "CANARY"}, "the environment variable that --judge-key-env names is not set"),
        ({"judge_answers": "words"}, "--judge-answers is 'words', but must be one of auto, logprobs, json"),
        ({"judge_concurrency": 0}, "--judge-concurrency is 0, but must be between 1 and 1,024"),
        ({"judge_price": (1.0, -1.0)}, "--judge-price is"),
        ({"server_url": ("ftp://a",)}, "--server-url is 'ftp://a'"),
        ({"server_model": "some"}, "--server-model is given, but no --server-url"),
        ({"texts_per_request": 0}, "--texts-per-request is 0"),
        ({"estimator": "median"}, "--estimator is 'median', but must be one of mean, label, adjusted, em"),
    ],
)
def test_names_the_option_and_its_bounds(given: dict[str, Any], message: str) -> None:
    with pytest.raises(VersaTuneError, match=message) as refused:
        detect(Path("nowhere.yml"), DetectionOptions(**given))
    assert "CANARY" not in str(refused.value)


def test_servers_are_asked_by_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(VersaTuneError, match="--server-url: the servers write the texts, so start one process alone"):
        detect(Path("nowhere.yml"), DetectionOptions(server_url=("http://a",)))


def test_names_all_problems_at_once_and_an_unknown_preset() -> None:
    with pytest.raises(VersaTuneError, match="(?s)--texts.*--temperature.*--judge"):
        detect(Path("nowhere.yml"), DetectionOptions(texts=0, temperature=-1, judge="oracle"))
    with pytest.raises(VersaTuneError, match="--preset is 'fast', but the presets are: default, paper, quick"):
        DetectionOptions.choose("fast")


def test_the_command_repeats_every_option() -> None:
    options = DetectionOptions(out=Path("a b.json"), judge="model", judge_model="org/model", texts=7)
    command = options.command(Path("cfg.yml"))
    assert command.startswith("axolotl versatune detect cfg.yml --judge model ")
    assert "--out 'a b.json' --texts 7 " in command
    assert "--judge model --judge-model org/model" in command


def test_importing_the_room_costs_nothing() -> None:
    heavy = "{'torch', 'transformers', 'sklearn', 'axolotl', 'numpy'}"
    code = f"import sys, versatune_plugin.knowledge; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
