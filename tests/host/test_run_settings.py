"""Every key that Axolotl has is in one kind: a new one makes this fail until somebody has decided what it is about."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from versatune_plugin.host.conflicts import host_conflicts
from versatune_plugin.host.run_settings import KIND_OF, KINDS, NOT_COMPARED, SHAPES_THE_RUN, settings_of_the_run
from versatune_plugin.training.optimizer import IN_THE_OPTIMIZER, IN_THE_SCHEDULER, OF_THE_PARAMETERS, OF_THE_STATE

ROOT = Path(__file__).parents[2]


def test_every_key_of_the_host_is_of_one_kind() -> None:
    from axolotl.utils.schemas.config import AxolotlInputConfig

    keys = set(AxolotlInputConfig.model_fields)
    assert sorted(keys - KIND_OF.keys()) == []
    assert [
        name for name, times in Counter(name for names in KINDS.values() for name in names).items() if times > 1
    ] == []


def test_every_option_about_the_whole_data_set_has_a_meaning() -> None:
    """docs/data.md says what each means with domains and which test shows it; what it calls refused is refused."""
    rows = [line.split("|")[1:4] for line in (ROOT / "docs" / "data.md").read_text().splitlines() if line[:3] == "| `"]
    documented = {name: meaning for names, meaning, _ in rows for name in re.findall("`([a-z_]+)`", names)}
    assert sorted(documented) == sorted(KINDS["whole data set"])
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for names, _, test in rows:
        assert f"def {test.strip().strip('`')}(" in tests, names
    for name, meaning in documented.items():
        if meaning.strip() == "refused":
            said = host_conflicts({name: 8})
            assert name == "label_balance_window_optim_steps" or any(one.startswith(f"{name}: 8") for one in said), name


def test_what_optimizers_and_schedulers_keep_are_keys_that_are_compared() -> None:
    named = {*IN_THE_OPTIMIZER, *IN_THE_SCHEDULER, *OF_THE_STATE, *OF_THE_PARAMETERS} - {"total_steps"}
    compared = {name for kind in SHAPES_THE_RUN for name in KINDS[kind]} - {*NOT_COMPARED}
    assert sorted(named - compared) == []
    # Of the rest, none lies in an optimizer or a scheduler, so that a change takes effect by itself.
    assert sorted({*KINDS["optimization"]} - named - {"seed"}) == [
        "eaft_alpha", "eaft_k", "max_grad_norm", "neftune_noise_alpha", "noisy_embedding_alpha", "use_dft", "use_eaft",
    ]  # fmt: skip


def test_zero_and_false_are_settings_where_nothing_is_not() -> None:
    """The host clips at 1.0, warms up 3 % of the run and so on where a key is missing, and not where it is 0."""
    assert settings_of_the_run({"warmup_steps": None, "max_steps": 9, "output_dir": "out"}) == {}
    for name in ("warmup_steps", "max_grad_norm", "cosine_min_lr_ratio", "lora_dropout"):
        assert settings_of_the_run({name: 0}) == {name: 0}
    assert settings_of_the_run({"mean_resizing_embeddings": False}) == {"mean_resizing_embeddings": False}
