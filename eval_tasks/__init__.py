"""Tasks for lm-eval; installed as ``versatune_plugin.eval_tasks``."""
