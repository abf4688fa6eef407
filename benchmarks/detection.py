"""How well `detect` recovers a known mixture: small models pretrained on one, a seed each, and what is detected of it.

    python benchmarks/detection.py --preset real --rows "$VERSATUNE_DATA/sft" --out detection --seeds 3 4 5 6

``--preset default`` without ``--rows`` takes the quickstart's own texts. A folder of an earlier call is used again, its
texts too, so that another version of the judge can be given the same ones (remove ``knowledge.json`` and
``knowledge.judgements.jsonl`` first).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

from rich.console import Console

from versatune_plugin.knowledge.comparison import total_variation
from versatune_plugin.knowledge.detect import detect
from versatune_plugin.knowledge.options import DetectionOptions
from versatune_plugin.quickstart.presets import PRESETS, Preset
from versatune_plugin.quickstart.run import SURROUNDINGS, make_base_model


def detected(home: Path, sizes: Preset, seed: int, rows: Path | None) -> float:
    """Total variation between the shares detected from two iterations and the documents that the model has read."""
    truth = home / "truth.json"
    if not truth.is_file():
        home.mkdir(parents=True)
        shares = make_base_model(Console(file=sys.stderr), home.resolve(), sizes, seed, rows)
        truth.write_text(json.dumps(shares), encoding="utf-8")
    options = DetectionOptions(
        texts=sizes.texts, iterations=2, max_new_tokens=sizes.text_tokens, batch_size=128, seed=seed
    )
    with contextlib.chdir(home):
        knowledge = detect(Path("versatune.yml"), options)
    return total_variation(knowledge.probabilities, json.loads(truth.read_text(encoding="utf-8")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", choices=sorted(PRESETS), default="default")
    parser.add_argument("--rows", type=Path, help="a folder with <domain>.jsonl, for the presets `real`")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    options = parser.parse_args()
    os.environ.update(SURROUNDINGS)
    for seed in options.seeds:
        home = options.out.resolve() / f"{options.preset}-{seed}"
        rows = options.rows and options.rows.resolve()
        found = detected(home, PRESETS[options.preset], seed, rows)
        print(json.dumps({"preset": options.preset, "seed": seed, "total_variation": round(found, 4)}), flush=True)


if __name__ == "__main__":
    main()
