from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers.tiny import write_model
from versatune_plugin.artifacts.record import read_record

NAMES = ("code", "law", "medicine")
PLUGINS = ["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"]


def section(file: Path, **changes: Any) -> dict[str, Any]:
    return {"mixture": "versatune", "knowledge": "uniform", "reference": str(file), "update_steps": 5, **changes}


def reference(axolotl: Axolotl, cfg: dict[str, Any], folder: Path, *argv: str, **env: str) -> Finished:
    path = folder / "reference.yml"
    path.write_text(yaml.safe_dump(cfg))
    return axolotl.run("axolotl.cli.main", "versatune", "reference", str(path), *argv, env=env)


@pytest.fixture(scope="module")
def measured(axolotl: Axolotl, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A reference file of two epochs, eight held-out rows, and the configuration it is for."""
    folder = tmp_path_factory.mktemp("reference")
    file = folder / "reference.json"
    cfg = tiny.config(folder / "out", plugins=PLUGINS, learning_rate=5e-3, versatune=section(file, heldout=8))
    finished = reference(axolotl, cfg, folder, "--epochs", "2")
    assert finished.status == 0, finished.output
    return file, cfg


def test_the_file_keeps_the_lowest_of_the_epochs(measured: tuple[Path, dict[str, Any]]) -> None:
    payload = json.loads(measured[0].read_text())
    assert payload["kind"] == "versatune.reference"
    assert payload["heldout"] == 8
    for name in NAMES:
        assert len(payload["epochs"][name]) == 2
        assert payload["nats_per_token"][name] == min(payload["epochs"][name])
        # An untrained model of 259 tokens stands at ln 259 = 5.56.
        assert payload["nats_per_token"][name] < 4.5
        assert payload["bits_per_byte"][name] > 0
    assert not measured[0].with_name("reference.parts").exists()


def test_training_uses_the_very_rows_and_losses(
    measured: tuple[Path, dict[str, Any]], axolotl: Axolotl, tmp_path: Path
) -> None:
    file, cfg = measured
    # Without a number of its own, the run holds out as many rows as the file was measured on.
    cfg = {**cfg, "output_dir": str(tmp_path / "out"), "max_steps": 8, "versatune": section(file)}
    finished = axolotl.train(cfg)
    assert finished.status == 0, finished.output
    record = read_record(tmp_path / "out")
    assert record[0]["heldout"] == 8
    assert record[0]["reference"] == json.loads(file.read_text())["nats_per_token"]
    assert [line["kind"] for line in record] == ["start", "measure", "update", "measure", "end"]


def test_another_number_of_heldout_rows_is_refused(
    measured: tuple[Path, dict[str, Any]], axolotl: Axolotl, tmp_path: Path
) -> None:
    file, cfg = measured
    cfg = {**cfg, "output_dir": str(tmp_path / "out"), "versatune": section(file, heldout=5)}
    finished = axolotl.train(cfg)
    assert finished.status != 0
    assert "set `versatune.heldout: 8` and `seed: 7`" in finished.output


def test_another_seed_with_the_split_of_the_file_is_taken(
    measured: tuple[Path, dict[str, Any]], axolotl: Axolotl, tmp_path: Path
) -> None:
    file, cfg = measured
    cfg = {**cfg, "output_dir": str(tmp_path / "out"), "max_steps": 1, "seed": 8, "versatune": section(file)}
    refused = axolotl.train(cfg)
    assert refused.status == 2
    assert "or `versatune.split_seed: 7`" in refused.output
    finished = axolotl.train({**cfg, "versatune": section(file, split_seed=7)})
    assert finished.status == 0, finished.output


def test_a_killed_measurement_goes_on_with_the_next_domain(
    measured: tuple[Path, dict[str, Any]], axolotl: Axolotl, tmp_path: Path
) -> None:
    whole, cfg = measured
    file = tmp_path / "reference.json"
    cfg = {**cfg, "versatune": section(file, heldout=8)}
    killed = reference(axolotl, cfg, tmp_path, "--epochs", "2", SPY_KILL="law")
    assert killed.status == -9
    assert not file.exists()
    assert (tmp_path / "reference.parts" / "0.json").exists()
    other = reference(axolotl, cfg, tmp_path, "--epochs", "3")
    assert other.status == 2
    assert "epochs: 2 there, 3 now" in other.output
    finished = reference(axolotl, cfg, tmp_path, "--epochs", "2")
    assert finished.status == 0, finished.output
    assert "domain 1 of 3, code: reference loss" in finished.output
    assert finished.output.count("(already measured)") == 1
    assert json.loads(file.read_text()) == json.loads(whole.read_text())


def test_a_model_with_another_tokenizer_is_compared_in_bits_per_byte(
    measured: tuple[Path, dict[str, Any]], axolotl: Axolotl, tmp_path: Path
) -> None:
    _, cfg = measured
    # Pairs that occur in the responses of every domain.
    other = write_model(tmp_path / "other", merges=[("r", "e"), ("t", "u"), ("l", "e"), ("a", "l")])
    file = tmp_path / "reference.json"
    cfg = {**cfg, "output_dir": str(tmp_path / "out"), "max_steps": 40, "versatune": section(file, heldout=8)}
    cfg |= {"val_set_size": 0.25, "eval_sample_packing": False}
    spied = {"SPY_EVERY": str(tmp_path / "alone")}
    finished = reference(axolotl, cfg, tmp_path, "--epochs", "1", "--model", str(other), **spied)
    assert finished.status == 0, finished.output
    payload = json.loads(file.read_text())
    finished = axolotl.train(cfg, env={"SPY_EVERY": str(tmp_path / "together")})
    assert finished.status == 0, finished.output
    # With another tokenizer, too, what the run validates or holds out is not trained on.
    alone, together = (Path(tmp_path / name).read_text() for name in ("alone", "together"))
    trained = [{row[0] for line in text.splitlines() for row in json.loads(line)["rows"]} for text in (alone, together)]
    assert trained[0] == trained[1]
    assert len(trained[0]) == 130 - 33 - 24
    assert "losses are compared in bits per byte" in finished.output
    record = read_record(tmp_path / "out")
    first = record[1]
    for name in NAMES:
        nats_per_bit_per_byte = first["loss"][name] / first["bits_per_byte"][name]
        assert record[0]["reference"][name] == pytest.approx(payload["bits_per_byte"][name] * nats_per_bit_per_byte)
        assert not math.isclose(record[0]["reference"][name], payload["nats_per_token"][name], rel_tol=1e-3)


def test_reference_runs_take_nothing_of_the_users_run(
    measured: tuple[Path, dict[str, Any]], axolotl: Axolotl, tmp_path: Path
) -> None:
    """No plugin's evaluation or upload after each domain, no tracker, no hub, no early stop, no saving."""
    whole, cfg = measured
    file = tmp_path / "reference.json"
    cfg = {**cfg, "versatune": section(file, heldout=8), "output_dir": str(tmp_path / "out")}
    cfg["plugins"] = [*PLUGINS, "tests.helpers.after_training.AfterTrainingPlugin"]
    cfg |= {"use_tensorboard": True, "hub_model_id": "nobody/nothing", "save_strategy": "steps", "save_steps": 2}
    cfg |= {"max_steps": 1, "load_best_model_at_end": False, "num_epochs": 7, "logging_steps": 3}
    env = {"AFTER_TRAINING": str(tmp_path / "after"), "TENSORBOARD_LOGGING_DIR": str(tmp_path / "board")}
    finished = reference(axolotl, cfg, tmp_path, "--epochs", "2", **env)
    assert finished.status == 0, finished.output
    assert (
        "reference runs leave out tests.helpers.spy.SpyPlugin, tests.helpers.after_training.AfterTrainingPlugin"
        in finished.output
    )
    assert not (tmp_path / "after").exists()
    assert not (tmp_path / "board").exists()
    # And the losses are those of the configuration without all that.
    assert json.loads(file.read_text())["epochs"] == json.loads(whole.read_text())["epochs"]


def test_only_what_versatune_made_is_replaced_or_removed(
    measured: tuple[Path, dict[str, Any]], axolotl: Axolotl, tmp_path: Path
) -> None:
    _, cfg = measured
    file = tmp_path / "reference.json"
    cfg = {**cfg, "versatune": section(file, heldout=8)}
    parts = tmp_path / "reference.parts"
    parts.mkdir()
    (parts / "precious.txt").write_text("mine")
    refused = reference(axolotl, cfg, tmp_path, "--epochs", "1")
    assert refused.status == 2
    assert f"{parts} is where unfinished measurements are kept, but what is there was not made by" in refused.output
    assert [path.name for path in parts.iterdir()] == ["precious.txt"]
    knowledge = tmp_path / "knowledge.json"
    knowledge.write_text(json.dumps({"kind": "versatune.knowledge", "schema": 1}))
    refused = reference(axolotl, cfg, tmp_path, "--epochs", "1", "--out", str(knowledge))
    assert refused.status == 2
    assert f"{knowledge} is there already and would be replaced, but it was not made by `axolotl vers" in refused.output
    assert json.loads(knowledge.read_text())["kind"] == "versatune.knowledge"
    assert not knowledge.with_name("knowledge.parts").exists()
