"""Models of known mixtures: pretrains them, has each write texts, and puts what judges and estimators find beside it.

    python benchmarks/truth.py pretrain --rows "$VERSATUNE_DATA/sft" --out truth --seeds 1 2 3
    python benchmarks/truth.py judge --out truth --judge classifier

`pretrain` makes what is missing under ``truth/<mixture>-<seed>/``; `judge` judges the kept texts again, whatever
the judge, and prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from versatune_plugin.knowledge.detect import detect
from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.quickstart.presets import PRESETS, Preset
from versatune_plugin.quickstart.run import SURROUNDINGS, make_base_model

# None: the quickstart's, which the seed draws around `USUAL`.
MIXTURES: Mapping[str, Mapping[str, float] | None] = {
    "usual": None,
    "even": dict.fromkeys(("code", "finance", "general", "law", "medicine", "science"), 1 / 6),
    "skewed": {"code": 0.08, "finance": 0.08, "general": 0.08, "law": 0.60, "medicine": 0.08, "science": 0.08},
    "absent": {"code": 0.20, "finance": 0.20, "general": 0.20, "law": 0.20, "medicine": 0.0, "science": 0.20},
    "two": {"code": 0.0, "finance": 0.30, "general": 0.0, "law": 0.0, "medicine": 0.0, "science": 0.70},
}


def pretrained(home: Path, sizes: Preset, mixture: Mapping[str, float] | None, seed: int, rows: Path) -> None:
    """A model with its ``truth.json``, and the texts that it writes; what is there is kept."""
    truth = home / "truth.json"
    if not truth.is_file():
        home.mkdir(parents=True)
        shares = make_base_model(Console(file=sys.stderr), home, sizes, seed, rows, mixture)
        truth.write_text(json.dumps(shares), encoding="utf-8")
    os.chdir(home)
    detect(Path("versatune.yml"), options(sizes, seed))


def options(sizes: Preset, seed: int) -> DetectionOptions:
    """Two iterations of texts, as the quickstart's."""
    return DetectionOptions(
        texts=sizes.texts, iterations=2, max_new_tokens=sizes.text_tokens, batch_size=128, seed=seed, tolerance=0.0
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    pretrain = commands.add_parser("pretrain", help="make the models and their texts")
    pretrain.add_argument("--rows", type=Path, required=True, help="a folder with <domain>.jsonl in alpaca format")
    pretrain.add_argument("--out", type=Path, required=True)
    pretrain.add_argument("--seeds", type=int, nargs="+", required=True)
    pretrain.add_argument("--mixtures", nargs="+", choices=MIXTURES, default=list(MIXTURES))
    given = parser.parse_args()
    os.environ.update(SURROUNDINGS)
    out, rows = given.out.resolve(), given.rows.resolve()
    for seed in given.seeds:
        for name in given.mixtures:
            began = time.perf_counter()
            pretrained(out / f"{name}-{seed}", PRESETS["real"], MIXTURES[name], seed, rows)
            print(json.dumps({"model": f"{name}-{seed}", "seconds": round(time.perf_counter() - began)}), flush=True)


if __name__ == "__main__":
    main()
