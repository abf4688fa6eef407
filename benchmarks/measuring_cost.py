"""What share of a run each mixture spends measuring, at default settings: the record's own clock, and the formula.

Axolotl's real command line on six domains and a two-layer model; `measure_budget` settles held-out rows and updates.

    python benchmarks/measuring_cost.py [--batch 16] [--steps 300]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.conftest import Axolotl
from tests.helpers.tiny import config, write_model, write_rows
from versatune_plugin.artifacts.record import read_record

DOMAINS = ("law", "medicine", "finance", "science", "code", "general")
MICRO_BATCH = 16


def sections() -> dict[str, dict[str, Any]]:
    """A section for every mixture that costs something, with its default options."""
    ceiling = {"knowledge": "uniform", "reference": dict.fromkeys(DOMAINS, 1.0)}
    return {
        "constant": {"mixture": "constant", "knowledge": "uniform"},
        "versatune": {"mixture": "versatune", **ceiling},
        "versatune, expand": {"mixture": "versatune", **ceiling, "expand": {"domain": "law"}},
        "increase": {"mixture": "increase", "domain": "law"},
        "skills, cossim": {"mixture": "skills"},
        "skills, diff": {"mixture": "skills", "reward": "diff"},
        "odm": {"mixture": "odm"},
        "dynamic_loading": {"mixture": "dynamic_loading", **ceiling},
        "doremi": {"mixture": "doremi", **ceiling},
        "dmt": {"mixture": "dmt", "general": "general", "epochs": 0.54},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--only", help="one mixture of the list")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = write_model(folder / "model", hidden=64)
        files = write_rows(folder / "rows", dict.fromkeys(DOMAINS, 1500))
        axolotl = Axolotl(folder)
        for name, section in sections().items():
            if options.only not in (None, name):
                continue
            out = folder / name.replace(", ", "_")
            cfg = config(
                model,
                files,
                out,
                folder / "prepared",
                micro_batch_size=MICRO_BATCH,
                gradient_accumulation_steps=options.batch // MICRO_BATCH,
                logging_steps=50,
                versatune=section,
            )
            if section["mixture"] != "dmt":
                cfg["max_steps"] = options.steps
            finished = axolotl.train(cfg)
            if finished.status:
                raise SystemExit(finished.output)
            record = read_record(out)
            start, end = record[0], record[-1]
            clock = end["measuring_seconds"] / end["seconds_since_start"]
            figures = {
                "mixture": name,
                "steps": start["total_steps"],
                "heldout": start["heldout"],
                "updates": sum(line["kind"] == "update" for line in record),
                "formula": round(start["measuring_cost"], 4),
                "clock": round(clock, 4),
                "seconds": round(end["seconds_since_start"], 1),
            }
            print(json.dumps(figures), flush=True)
        axolotl.close()


if __name__ == "__main__":
    main()
