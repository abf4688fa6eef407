"""Every file of example_yml passes Axolotl's own validation and ours."""

from __future__ import annotations

from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "example_yml").glob("*.yml"))


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES} >= {"versatune", "lora", "baseline"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid(path: Path) -> None:
    import yaml
    from axolotl.cli.config import plugin_set_cfg, prepare_plugins
    from axolotl.utils.config import validate_config
    from axolotl.utils.dict import DictDefault

    from versatune_plugin.config import section_of

    raw = yaml.safe_load(path.read_text())
    cfg = DictDefault(raw)
    prepare_plugins(cfg)
    gpu = {"bf16": True, "fp8": False, "tf32": True, "n_gpu": 1, "compute_capability": "sm_90"}
    cfg = validate_config(cfg, capabilities=gpu, env_capabilities={"torch_version": "2.13.0"})
    plugin_set_cfg(cfg)
    section = section_of(cfg)
    assert section.domains == tuple(sorted({entry["domain"] for entry in yaml.safe_load(path.read_text())["datasets"]}))
