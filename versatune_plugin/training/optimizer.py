"""What an optimizer and a scheduler take from the configuration when a run goes on under accepted changes.

The host loads both from the checkpoint, with the learning rates, decays and so on of the run that saved it, and what is
configured now would have no effect.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from torch.optim.lr_scheduler import LambdaLR

from versatune_plugin.errors import CheckpointError

# A group's numbers that are the same throughout a run; others are where optimizers keep what they learnt.
NUMBERS = ("initial_lr", "weight_decay", "betas", "eps")
IN_THE_OPTIMIZER = ("weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon")
IN_THE_SCHEDULER = (
    "total_steps", "learning_rate", "embedding_lr", "embedding_lr_scale", "lr_groups", "loraplus_lr_ratio",
    "loraplus_lr_embedding", "lr_scheduler", "lr_scheduler_kwargs", "lr_quadratic_warmup", "cosine_min_lr_ratio",
    "cosine_constant_lr_ratio", "lr_div_factor", "warmup_steps", "warmup_ratio", "jagged_restart_steps",
    "jagged_restart_warmup_steps", "jagged_restart_anneal_steps",
)  # fmt: skip
# What an optimizer's state was made with; under another one it means nothing.
OF_THE_STATE = (
    "optimizer", "optim_args", "optim_target_modules", "torchdistx_path", "adam_beta3", "adam_epsilon2", "dion_lr",
    "dion_momentum", "dion_rank_fraction", "dion_rank_multiple_of", "qgalore_rank", "qgalore_update_proj_gap",
    "qgalore_scale", "qgalore_proj_type", "qgalore_proj_quant", "qgalore_proj_bits", "qgalore_proj_group_size",
    "qgalore_cos_threshold", "qgalore_gamma_proj", "qgalore_queue_size",
)  # fmt: skip
# Which numbers are trained: the optimizer's state has a place for each.
OF_THE_PARAMETERS = (
    "overrides_of_model_config", "reinit_weights", "resize_token_embeddings_to_32x", "shrink_embeddings", "adapter",
    "lora_r", "lora_target_modules", "lora_target_parameters", "lora_target_linear", "lora_modules_to_save",
    "lora_rank_pattern", "peft_layers_to_transform", "peft_layers_pattern", "peft", "peft_use_dora",
    "peft_layer_replication", "peft_trainable_token_indices", "unfrozen_parameters", "freeze_mm_modules",
    "mixlora_expert_lora_r", "mixlora_num_experts", "tokens", "special_tokens",
)  # fmt: skip


def configured_numbers(optimizer: Any) -> list[dict[str, Any]]:
    """The numbers of each group of an optimizer that has loaded nothing yet."""
    return [{name: group[name] for name in NUMBERS if name in group} for group in optimizer.param_groups]


def take_numbers(numbers: list[dict[str, Any]] | None, optimizer: Any, scheduler: Any, changed: Set[str]) -> None:
    """Have what was loaded from a checkpoint go on with the numbers that are configured now.

    Args:
        numbers: of `configured_numbers`, before the checkpoint was loaded; None if that was too early to see.
        optimizer: with the checkpoint's state; accelerate may have wrapped it.
        scheduler: the same.
        changed: the settings that were other ones when the checkpoint was saved.

    Raises:
        VersaTuneError: the scheduler's state cannot be brought to what was changed.
    """
    inner = getattr(scheduler, "scheduler", scheduler)
    if numbers is None or not isinstance(inner, LambdaLR):
        if kept := sorted(changed & {*IN_THE_SCHEDULER, *IN_THE_OPTIMIZER}):
            which = "optimizer of DeepSpeed" if numbers is None else type(inner).__name__
            raise CheckpointError(
                f"{', '.join(kept)}: changed since the checkpoint, whose {which} goes on as it was, so the change "
                "would have no effect. Undo it, or start a new run (`base_model:` set to the checkpoint)"
            )
        return
    for group, now in zip(optimizer.param_groups, numbers, strict=True):
        group.update(now)
    inner.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
    rates = [rate * factor(inner.last_epoch) for rate, factor in zip(inner.base_lrs, inner.lr_lambdas, strict=True)]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    inner._last_lr = rates
