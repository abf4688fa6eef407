"""Every file of example_yml passes Axolotl's own validation and ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from versatune_plugin.mixtures.registry import MIXTURES

EXAMPLES = sorted((Path(__file__).parents[1] / "example_yml").rglob("*.yml"))


def test_every_mixture_has_an_example() -> None:
    import yaml

    shown = {yaml.safe_load(path.read_text())["versatune"]["mixture"] for path in EXAMPLES}
    assert shown == set(MIXTURES)
    assert {path.stem for path in EXAMPLES} >= {
        "versatune",
        "lora",
        "baseline",
        "expand",
        "mospec",
        "formats",
        "completion",
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml
    from axolotl.cli.config import plugin_set_cfg, prepare_plugins
    from axolotl.utils.config import validate_config
    from axolotl.utils.dict import DictDefault

    from versatune_plugin.host.configuration import section_of

    raw = yaml.safe_load(path.read_text())
    domains = {entry["domain"] for entry in raw["datasets"]}
    # The record that an example replays.
    (tmp_path / "versatune-out").mkdir()
    start = {"kind": "start", "mixture": "uniform", "total_steps": 9, "weights": dict.fromkeys(domains, 0.25)}
    (tmp_path / "versatune-out" / "versatune.jsonl").write_text(json.dumps(start) + "\n")
    monkeypatch.chdir(tmp_path)
    cfg = DictDefault(raw)
    prepare_plugins(cfg)
    gpu = {"bf16": True, "fp8": False, "tf32": True, "n_gpu": 1, "compute_capability": "sm_90"}
    cfg = validate_config(cfg, capabilities=gpu, env_capabilities={"torch_version": "2.13.0"})
    plugin_set_cfg(cfg)
    section = section_of(cfg)
    assert section.domains == tuple(sorted(domains))
