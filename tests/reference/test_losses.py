"""Losses that are not finite, the progress that a measurement shows, and its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Axolotl, Finished, Tiny
from tests.helpers.printed import rows_of_table
from versatune_plugin.reference.losses import best_epoch, lost_epochs

PLUGINS = ["versatune_plugin.VersaTunePlugin", "tests.helpers.spy.SpyPlugin"]


def reference(axolotl: Axolotl, cfg: dict[str, Any], folder: Path, *argv: str, **env: str) -> Finished:
    path = folder / "cfg.yml"
    path.write_text(yaml.safe_dump(cfg))
    command = ("axolotl.cli.main", "versatune", "reference", str(path), "--epochs", "2", *argv)
    return axolotl.run(*command, env=env, cwd=folder)


def configured(tiny: Tiny, folder: Path, **changes: Any) -> dict[str, Any]:
    section = {"mixture": "versatune", "knowledge": "uniform", "reference": "reference.json", "heldout": 4}
    return tiny.config(folder / "out", **{"plugins": PLUGINS, "versatune": section, **changes})


def test_progress_and_a_table_and_nothing_of_the_host(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    finished = reference(axolotl, configured(tiny, tmp_path, learning_rate=5e-3), tmp_path)
    assert finished.status == 0, finished.output
    assert "domain 2 of 3, law: fine-tuning on 56 rows, 2 epochs\ndomain 2 of 3, law: reference loss" in finished.output
    payload = json.loads((tmp_path / "reference.json").read_text())
    for name, cells in rows_of_table(finished.output, "Reference losses").items():
        assert cells == [
            f"{payload['nats_per_token'][name]:.4f}",
            f"{payload['bits_per_byte'][name]:.4f}",
            str(payload["best_epoch"][name]),
            " ".join(f"{loss:.4f}" for loss in payload["epochs"][name]),
        ]
    assert "reference losses are in reference.json" in finished.output
    # Neither the host's log nor the plans of our own runs, whose advice nobody could follow.
    assert "VersaTune is active" not in finished.output
    assert "[INFO]" not in finished.output
    assert "train_runtime" not in finished.output
    assert "train_runtime" in (tmp_path / "out" / "debug.log").read_text()
    (tmp_path / "reference.json").unlink()
    shown = reference(axolotl, configured(tiny, tmp_path, learning_rate=5e-3), tmp_path, "--verbose")
    assert "train_runtime" in shown.output
    assert json.loads((tmp_path / "reference.json").read_text()) == payload


def test_a_training_that_diverges_names_domain_and_remedy(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    diverged = reference(axolotl, configured(tiny, tmp_path, learning_rate=1e30), tmp_path)
    assert diverged.status == 2
    told = diverged.output.rpartition("versatune: ")[2]
    assert told.startswith("domain 'code': its held-out loss is not finite from epoch 1 on, and was 5.")
    assert "Set `learning_rate` lower (1e+30 now)" in told
    assert "Traceback" not in diverged.output
    assert not (tmp_path / "reference.json").exists()
    # What was half made does not stand in the way.
    finished = reference(axolotl, configured(tiny, tmp_path, learning_rate=5e-3), tmp_path)
    assert finished.status == 0, finished.output


def test_a_model_with_a_weight_that_is_no_number(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    model = tmp_path / "model"
    model.mkdir()
    for file in tiny.model.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    weights = load_file(model / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    refused = reference(axolotl, configured(tiny, tmp_path, base_model=str(model)), tmp_path)
    assert refused.status == 2
    told = refused.output.rpartition("versatune: ")[2]
    assert told.startswith("domain 'code': its held-out loss is not finite before the first step")
    assert f"look at the weights of {model}" in told


def test_an_epoch_that_was_lost_is_passed_over_and_named(axolotl: Axolotl, tiny: Tiny, tmp_path: Path) -> None:
    cfg = configured(tiny, tmp_path)
    assert reference(axolotl, cfg, tmp_path, SPY_KILL="medicine").status == -9
    code, law = (tmp_path / "reference.parts" / f"{number}.json" for number in (0, 1))
    for part, losses in ((code, [None, 3.25]), (law, [None, None])):
        part.write_text(json.dumps({**json.loads(part.read_text()), "epochs": losses}))
    finished = reference(axolotl, cfg, tmp_path)
    assert finished.status == 0, finished.output
    assert "warning: domain 1 of 3, code: the held-out loss after epoch 1 is not finite" in finished.output
    assert "code: reference loss 3.2500 nats per token (already measured)" in finished.output
    # A part without any, which earlier versions left, is measured anew.
    assert "law: fine-tuning on 56 rows" in finished.output
    payload = json.loads((tmp_path / "reference.json").read_text())
    assert payload["epochs"]["code"] == [None, 3.25]
    assert payload["best_epoch"]["code"] == 2
    assert rows_of_table(finished.output, "Reference losses")["code"][-1] == "not finite 3.2500"


@pytest.mark.parametrize(
    ("losses", "bits", "best", "lost"),
    [
        ([2.0, 1.0, 1.5], [3.0, 2.0, 2.5], 1, []),
        ([1.0, 1.0], [1.0, 1.0], 0, []),
        ([None, 1.0, None], [None, 2.0, None], 1, [1, 3]),
        ([5e8, 2.0], [6e8, 3.0], 1, [1]),
        ([None, None], [None, None], None, [1, 2]),
    ],
)
def test_the_lowest_usable_loss_counts(
    losses: list[float | None], bits: list[float | None], best: int | None, lost: list[int]
) -> None:
    measured = {"epochs": losses, "bits_per_byte": bits}
    assert best_epoch(measured) == best
    assert lost_epochs(measured) == lost
