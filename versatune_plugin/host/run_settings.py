"""Every key of Axolotl's configuration and what it is about: one table for all who must know which keys shape a run.

`reference` takes what shapes the loss of a fine-tuning run and nothing else; a checkpoint remembers what shapes the
run; an option that speaks of the whole data set needs a meaning under domains (docs/data.md). A key that Axolotl adds
is in no kind, and tests/host/test_run_settings.py fails until somebody has decided.

Tested with axolotl 0.19.0, 0.20 and 0.21.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

KINDS: Mapping[str, tuple[str, ...]] = {
    "model": (
        "base_model", "base_model_config", "cls_model_config", "type_of_model", "revision_of_model",
        "trust_remote_code", "overrides_of_model_config", "overrides_of_model_kwargs",
        "model_quantization_config", "model_quantization_config_kwargs", "rope_scaling", "reinit_weights",
        "resize_token_embeddings_to_32x", "mean_resizing_embeddings", "shrink_embeddings",
        "embeddings_skip_upcast", "fix_untrained_tokens", "is_falcon_derived_model", "is_llama_derived_model",
        "is_mistral_derived_model", "is_qwen_derived_model", "fp32_norms", "fp32_norm_classes",
        "scaling_softmax", "scaling_softmax_factor", "scaling_softmax_bias", "llama4_linearized_experts",
        "use_onebitllms", "quantize_moe_experts", "qat", "quantization",
    ),
    "adapter": (
        "adapter", "lora_model_dir", "lora_r", "lora_alpha", "lora_fan_in_fan_out", "lora_target_modules",
        "lora_target_parameters", "lora_target_linear", "lora_modules_to_save", "lora_rank_pattern",
        "lora_alpha_pattern", "lora_dropout", "peft_layers_to_transform", "peft_layers_pattern", "peft",
        "peft_use_dora", "peft_use_rslora", "peft_layer_replication", "peft_init_lora_weights",
        "peft_trainable_token_indices", "peft_ensure_weight_tying", "peft_autocast_adapter_dtype", "relora",
        "relora_prune_ratio", "relora_prune_method", "relora_cpu_offload", "load_in_8bit", "load_in_4bit",
        "gptq", "bnb_config_kwargs", "loraplus_lr_ratio", "loraplus_lr_embedding", "unfrozen_parameters",
        "freeze_mm_modules", "lisa_n_layers", "lisa_step_interval", "lisa_layers_attribute",
        "lora_fp32_gradients", "nvfp4_merge_aware", "mixlora_expert_lora_alpha",
        "mixlora_expert_lora_dropout", "mixlora_expert_lora_r", "mixlora_jitter_noise", "mixlora_num_experts",
        "mixlora_router_aux_loss_coef", "mixlora_router_init_range", "mixlora_top_k",
    ),
    "tokenizer": (
        "tokenizer_config", "tokenizer_use_fast", "tokenizer_legacy", "tokenizer_use_mistral_common",
        "tokenizer_type", "special_tokens", "tokens", "added_tokens_overrides",
    ),
    "rows": (
        "datasets", "train_on_inputs", "sequence_len", "max_prompt_len", "chat_template",
        "chat_template_jinja", "chat_template_kwargs", "eot_tokens", "default_system_message",
        "role_boundaries", "pad_to_sequence_len", "pad_to_multiple_of", "remove_unused_columns",
        "hf_use_auth_token",
    ),
    "whole data set": (
        "val_set_size", "test_datasets", "eval_sequence_len", "dataset_exact_deduplication",
        "dataset_shard_num", "dataset_shard_idx", "shuffle_merged_datasets",
        "shuffle_before_merging_datasets", "excess_length_strategy", "min_sample_len", "sample_packing",
        "sample_packing_group_size", "sample_packing_bin_size", "sample_packing_sequentially",
        "sample_packing_eff_est", "eval_sample_packing", "multipack_real_batches", "batch_flattening",
        "group_by_length", "curriculum_sampling", "skip_prepare_dataset", "pretraining_dataset", "streaming",
        "streaming_multipack_buffer_size", "pretrain_multipack_buffer_size", "pretrain_multipack_attn",
        "pretraining_sample_concatenation", "preprocess_iterable", "use_pose", "pose_split_on_token_ids",
        "pose_max_context_len", "pose_num_chunks", "push_dataset_to_hub", "num_dataset_shards_to_save",
        "dataset_prepared_path", "dataset_processes", "dataset_num_proc", "dataset_keep_in_memory",
        "sample_packing_mp_start_method", "max_packed_sequence_len", "total_num_tokens",
        "total_supervised_tokens", "dataloader_drop_last", "balance_labels",
        "label_balance_window_optim_steps",
    ),
    "length": (
        "num_epochs", "max_steps",
    ),
    "optimization": (
        "learning_rate", "embedding_lr", "embedding_lr_scale", "weight_decay", "optimizer", "optim_args",
        "optim_target_modules", "torchdistx_path", "lr_scheduler", "lr_scheduler_kwargs",
        "lr_quadratic_warmup", "cosine_min_lr_ratio", "cosine_constant_lr_ratio", "lr_div_factor",
        "lr_groups", "adam_epsilon", "adam_epsilon2", "adam_beta1", "adam_beta2", "adam_beta3", "dion_lr",
        "dion_momentum", "dion_rank_fraction", "dion_rank_multiple_of", "qgalore_rank",
        "qgalore_update_proj_gap", "qgalore_scale", "qgalore_proj_type", "qgalore_proj_quant",
        "qgalore_proj_bits", "qgalore_proj_group_size", "qgalore_cos_threshold", "qgalore_gamma_proj",
        "qgalore_queue_size", "max_grad_norm", "jagged_restart_steps", "jagged_restart_warmup_steps",
        "jagged_restart_anneal_steps", "warmup_steps", "warmup_ratio", "neftune_noise_alpha",
        "noisy_embedding_alpha", "seed", "use_eaft", "eaft_alpha", "eaft_k", "use_dft",
    ),
    "batch": (
        "gradient_accumulation_steps", "micro_batch_size", "batch_size", "eval_batch_size",
        "auto_find_batch_size",
    ),
    "precision": (
        "bf16", "fp16", "fp8", "fp8_config", "fp8_enable_fsdp_float8_all_gather", "bfloat16", "float16",
        "tf32", "float32",
    ),
    # How the same arithmetic is done: attention, kernels, memory, sharding. It changes last bits, not what is learnt.
    "engine": (
        "xformers_attention", "sdp_attention", "flex_attention", "flex_attn_compile_kwargs",
        "flash_attention", "flash_attn_cross_entropy", "flash_attn_rms_norm", "flash_attn_fuse_mlp",
        "flash_optimum", "sage_attention", "eager_attention", "s2_attention", "attn_implementation",
        "gemma4_hybrid_attn_impl", "large_head_attention", "flash_attn_d512", "sdpa_varlen",
        "fused_attn_kernel", "experts_implementation", "ple_cpu_offload", "lora_mlp_kernel",
        "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel", "lora_on_cpu", "chunked_cross_entropy",
        "chunked_cross_entropy_num_chunks", "tiled_mlp", "tiled_mlp_num_shards", "tiled_mlp_use_original_mlp",
        "use_kernels", "gradient_checkpointing", "gradient_checkpointing_kwargs", "selective_checkpointing",
        "activation_offloading", "layer_offloading", "low_cpu_mem_usage", "max_memory", "gpu_memory_limit",
        "qlora_sharded_model_loading", "experimental_skip_move_to_device", "gc_steps",
        "torch_empty_cache_steps", "gc_collect_steps", "torch_compile", "torch_compile_backend",
        "torch_compile_mode", "torch_compile_options", "deepspeed", "deepcompile", "fsdp", "fsdp_config",
        "fsdp_version", "fsdp_final_state_dict_type", "dp_shard_size", "dp_replicate_size",
        "sequence_parallel_degree", "context_parallel_size", "heads_k_stride", "ring_attn_func",
        "tensor_parallel_size", "nf4_backend", "fa_varlen_kwargs_in_collator", "full_determinism",
        "torch_compile_regional",
    ),
    # Of the machine and the launch, set by Axolotl itself more often than not.
    "launch": (
        "device", "device_map", "world_size", "local_rank", "ddp", "ddp_timeout", "ddp_bucket_cap_mb",
        "ddp_broadcast_buffers", "ddp_find_unused_parameters", "use_ray", "ray_run_name", "ray_num_workers",
        "resources_per_worker", "accelerator_config", "dataloader_pin_memory", "dataloader_num_workers",
        "dataloader_prefetch_factor", "strict", "axolotl_config_path", "is_preprocess",
    ),
    "saving": (
        "output_dir", "save_strategy", "save_steps", "saves_per_epoch", "save_total_limit", "save_first_step",
        "save_only_model", "save_safetensors", "tokenizer_save_jinja_files", "hub_model_id", "hub_strategy",
        "hub_revision", "resume_from_checkpoint", "auto_resume_from_checkpoints", "dynamic_checkpoint",
        "merge_lora", "merge_method", "export",
    ),
    "evaluation": (
        "eval_strategy", "evaluation_strategy", "eval_steps", "evals_per_epoch", "eval_table_size",
        "eval_max_new_tokens", "do_causal_lm_eval", "eval_causal_lm_metrics", "do_bench_eval",
        "bench_dataset", "bench_split", "metric_for_best_model", "greater_is_better",
        "load_best_model_at_end", "early_stopping_patience", "loss_watchdog_threshold",
        "loss_watchdog_patience", "generate_samples", "num_generation_samples", "generation_max_new_tokens",
        "generation_temperature", "generation_top_p", "generation_top_k", "generation_prompt_ratio",
        "generation_do_sample", "eval_on_start",
    ),
    "logging": (
        "logging_steps", "use_tensorboard", "profiler_steps", "profiler_steps_start",
        "include_tokens_per_second", "include_tkps", "use_otel_metrics", "otel_metrics_host",
        "otel_metrics_port", "use_trackio", "trackio_project_name", "trackio_run_name", "trackio_space_id",
        "use_comet", "comet_api_key", "comet_workspace", "comet_project_name", "comet_experiment_key",
        "comet_mode", "comet_online", "comet_experiment_config", "use_mlflow", "mlflow_tracking_uri",
        "mlflow_experiment_name", "mlflow_run_name", "hf_mlflow_log_artifacts", "use_wandb", "wandb_name",
        "wandb_run_id", "wandb_mode", "wandb_project", "wandb_entity", "wandb_watch", "wandb_log_model",
        "gradio_title", "gradio_share", "gradio_server_name", "gradio_server_port", "gradio_max_new_tokens",
        "gradio_temperature", "logging_nan_inf_filter", "sync_profiler_steps", "sync_profiler_start_step",
    ),
    "plugins": (
        "plugins", "trainer_cls",
    ),
    # Of preference training, reward models, images and text diffusion, which VersaTune does not train.
    "other training": (
        "rl", "trl", "vllm", "ebft", "reward_model", "process_reward_model", "center_rewards_coefficient",
        "num_labels", "dpo_beta", "dpo_use_logits_to_keep", "dpo_generate_during_eval", "dpo_norm_loss",
        "rpo_alpha", "dpo_use_weighting", "dpo_label_smoothing", "precompute_ref_log_probs",
        "dpo_use_liger_kernel", "dpo_padding_free", "dpo_loss_type", "dpo_loss_weights", "orpo_alpha",
        "simpo_gamma", "cpo_alpha", "kto_desirable_weight", "kto_undesirable_weight", "rl_beta", "image_size",
        "image_resize_algorithm", "processor_type", "processor_kwargs", "diffusion_lm", "dpo_ld_alpha",
    ),
}  # fmt: skip

KIND_OF: Mapping[str, str] = {name: kind for kind, names in KINDS.items() for name in names}
# What decides how low a loss a model reaches on given rows in given passes.
SHAPES_THE_LOSS = ("model", "adapter", "tokenizer", "rows", "optimization", "batch", "precision", "engine")
# Without these a resumed run would be another one. Rows, batches and length are compared by what they come to, the base
# model by its weights; engines may differ between machines and change last bits alone.
SHAPES_THE_RUN = ("model", "adapter", "tokenizer", "optimization", "precision", "other training")
# Places, which may move, and what Axolotl derives from other keys.
NOT_COMPARED = (
    "base_model", "base_model_config", "tokenizer_config", "revision_of_model", "cls_model_config", "seed",
    "is_falcon_derived_model", "is_llama_derived_model", "is_mistral_derived_model", "is_qwen_derived_model",
    "tokenizer_type", "type_of_model", "tokenizer_use_fast", "tokenizer_legacy", "processor_type", "processor_kwargs",
    "trl", "vllm", "ebft",
)  # fmt: skip


def settings_of_the_run(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """What of a validated configuration shapes a run, as plain JSON; what is not set is left out.

    Zero and false are not left out: the host warms up where ``warmup_steps`` is missing, and not where it is 0.
    """
    names = [name for kind in SHAPES_THE_RUN for name in KINDS[kind] if name not in NOT_COMPARED]
    return plain({name: cfg.get(name) for name in names})


def plain(value: Any) -> Any:
    """Settings as plain JSON; in a mapping, what is not set is left out."""
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, Enum):
        return plain(value.value)
    return value if isinstance(value, bool | int | float | str) else str(value)
