from __future__ import annotations

from versatune_plugin.host.run_settings import KIND_OF
from versatune_plugin.reference.run import reference_settings

LIGER = "axolotl.integrations.liger.LigerPlugin"
RAW = {key: f"my {key}" for key in KIND_OF} | {"plugins": ["versatune", "somebody.elses.Plugin", LIGER]}


def test_what_shapes_the_loss_is_taken_and_nothing_else() -> None:
    taken, dropped = reference_settings(RAW | {"liger_rope": True, "lm_eval_tasks": ["hellaswag"]}, None)
    assert dropped == ["somebody.elses.Plugin"]
    assert taken["plugins"] == ["versatune_plugin.VersaTunePlugin", LIGER]
    for key in ("base_model", "adapter", "lora_r", "special_tokens", "chat_template", "sequence_len", "learning_rate"):
        assert taken[key] == f"my {key}"
    for key in ("optimizer", "bf16", "attn_implementation", "deepspeed", "fsdp_config", "seed", "sample_packing"):
        assert taken[key] == f"my {key}"
    # A plugin that is taken keeps its options, one that is not loses them.
    assert taken["liger_rope"] is True
    assert "lm_eval_tasks" not in taken
    kinds = {KIND_OF[key] for key in taken if key in KIND_OF}
    assert kinds & {"launch", "logging", "length", "other training"} == set()
    assert {key for key in taken if KIND_OF.get(key) in ("saving", "evaluation")} == {"save_strategy", "eval_strategy"}
    assert (taken["save_strategy"], taken["eval_strategy"]) == ("no", "no")


def test_a_reference_model_of_its_own_brings_its_tokenizer() -> None:
    taken, _ = reference_settings(RAW, "other")
    assert taken["base_model"] == "other"
    for key in ("tokenizer_config", "tokenizer_type", "base_model_config", "revision_of_model"):
        assert key not in taken
    assert taken["chat_template"] == "my chat_template"
