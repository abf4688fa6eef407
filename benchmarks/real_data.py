"""The whole path on real instruction rows: pretrain, detect, reference, fine-tune, and losses on rows kept apart.

It is ``versatune quickstart --rows DATA/sft`` and, after it, the loss of the base model and of both fine-tuned models
on ``DATA/sft_heldout``, which no part of the run has seen. The difference between the two mixtures comes with a 95 %
interval (bootstrap over rows, paired).

    python benchmarks/real_data.py --data "$VERSATUNE_DATA" --out real [--preset real-short] [--seed 1]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH = 16


def heldout_figures(out: Path, files: Mapping[str, Path], model: str, most: int) -> dict[str, NDArray[np.float64]]:
    """Each domain's rows, ``most`` at most, as nats and tokens, shape (rows, 2), under the model in ``out / model``.

    The rows are tokenised by Axolotl as in training.
    """
    import torch
    import yaml
    from axolotl.cli.config import load_cfg
    from axolotl.utils.dict import DictDefault
    from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq

    from versatune_plugin.data.loading import load_rows
    from versatune_plugin.host.configuration import section_of

    raw = yaml.safe_load((out / "versatune.yml").read_text(encoding="utf-8"))
    raw["datasets"] = [
        {"path": str(file.resolve()), "ds_type": "json", "type": "alpaca", "domain": name}
        for name, file in files.items()
    ]
    raw["dataset_prepared_path"] = "./prepared_heldout"
    raw["versatune"] = {"mixture": "uniform"}
    with contextlib.chdir(out):
        cfg = load_cfg(DictDefault(raw))
        table = load_rows(cfg, section_of(cfg).dataset_domains, cfg.seed)
        collate = DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained("base_model"))
        network = AutoModelForCausalLM.from_pretrained(model).eval()
    figures = {}
    columns = ["input_ids", "attention_mask", "labels"]
    for domain in table.domains:
        rows = range(domain.first, domain.first + min(domain.size, most))
        found = []
        for first in range(0, len(rows), BATCH):
            chunk = table.dataset.select(rows[first : first + BATCH]).select_columns(columns)
            batch = collate(list(chunk))
            with torch.no_grad():
                logits = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
            labels = batch["labels"][:, 1:]
            nats = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1).float(), labels.flatten(), reduction="none", ignore_index=-100
            ).view(labels.shape)
            found.append(torch.stack([nats.sum(1).double(), (labels != -100).sum(1).double()], dim=1).numpy())
        figures[domain.name] = np.concatenate(found)
    return figures


def mean_loss(rows: NDArray[np.float64]) -> float:
    """Nats per supervised token."""
    return float(rows[:, 0].sum() / rows[:, 1].sum())


def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> dict[str, float]:
    """Loss of ``one`` less loss of ``other`` on the same rows, with its 95 % interval."""
    from scipy.stats import bootstrap

    def statistic(a: NDArray[np.float64], b: NDArray[np.float64], tokens: NDArray[np.float64], axis: int = -1) -> Any:
        return (a.sum(axis=axis) - b.sum(axis=axis)) / tokens.sum(axis=axis)

    found = bootstrap(
        (one[:, 0], other[:, 0], one[:, 1]),
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    interval = found.confidence_interval
    return {"difference": mean_loss(one) - mean_loss(other), "low": float(interval.low), "high": float(interval.high)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="holds sft/<domain>.jsonl and sft_heldout/<domain>.jsonl"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="real")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=300, help="at most so many rows of each domain of sft_heldout")
    options = parser.parse_args()
    if not (options.data / "sft_heldout").is_dir():
        sys.exit(f"{options.data}: no folder sft_heldout; VERSATUNE_DATA should name a folder with sft and sft_heldout")

    from versatune_plugin.quickstart.corpus.build import DOMAINS
    from versatune_plugin.quickstart.run import run_quickstart

    out = run_quickstart(options.out, options.seed, options.preset, options.data / "sft")
    files = {name: options.data / "sft_heldout" / f"{name}.jsonl" for name in DOMAINS}
    figures = {
        model: heldout_figures(out, files, model, options.rows) for model in ("base_model", "uniform", "versatune")
    }
    losses = {
        model: {name: round(mean_loss(rows), 4) for name, rows in found.items()} for model, found in figures.items()
    }
    result = {
        "seed": options.seed,
        "preset": options.preset,
        "rows": {name: len(rows) for name, rows in figures["uniform"].items()},
        "loss": losses,
        "mean": {model: round(float(np.mean(list(found.values()))), 4) for model, found in losses.items()},
        "versatune - uniform": {
            name: difference(figures["versatune"][name], figures["uniform"][name]) for name in figures["uniform"]
        },
    }
    (out / "real_data.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
