"""What the plugin adds to a training run: the same Axolotl run with and without it, in turn, as ratios.

Three runs make a round: without the plugin, with ``constant``, with ``versatune`` at default settings (so that held-out
rows and updates follow from ``measure_budget``). The order changes from round to round. Each is Axolotl's real command
line in a child of a process that has imported it (tests/helpers/axolotl_server.py), so imports do not hide the rest.

``--packing`` packs samples (our bins against Axolotl's own), ``--processes 2`` trains on two processes over gloo.

Wall clock of training is Axolotl's own ``train_runtime``; CPU seconds are those of the whole child, with data
loading.

    python benchmarks/overhead.py [--rounds 4] [--batches 16 128] [--packing] [--processes 2]
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.conftest import Axolotl
from tests.helpers.tiny import config, write_model, write_rows

STEPS = {16: 300, 128: 40}
MICRO_BATCH = 16
DOMAINS = ("law", "medicine", "finance", "science", "code", "general")


def variants(
    model: Path, files: dict[str, Path], folder: Path, batch: int, packing: bool, processes: int
) -> dict[str, dict[str, Any]]:
    """The three configurations of one global batch size."""
    micro_batch = MICRO_BATCH // processes
    changes: dict[str, Any] = {"sample_packing": True, "sequence_len": 512} if packing else {}
    base = config(
        model,
        files,
        folder / "out",
        folder / "prepared",
        micro_batch_size=micro_batch,
        gradient_accumulation_steps=batch // MICRO_BATCH,
        max_steps=STEPS[batch] // (3 if packing else 1),
        logging_steps=50,
        **changes,
    )
    plain = {key: value for key, value in base.items() if key != "plugins"}
    if processes > 1:
        # Without this, Axolotl does not train on several processes of a CPU.
        plain["plugins"] = ["tests.helpers.cpu_processes_plugin.CpuProcessesPlugin"]
    plain["datasets"] = [{k: v for k, v in entry.items() if k != "domain"} for entry in base["datasets"]]
    reference = dict.fromkeys(files, 1.0)
    return {
        "without": plain,
        "constant": {**base, "versatune": {"mixture": "constant", "knowledge": "uniform"}},
        "versatune": {**base, "versatune": {"mixture": "versatune", "knowledge": "uniform", "reference": reference}},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--batches", type=int, nargs="+", default=sorted(STEPS))
    parser.add_argument("--packing", action="store_true")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = write_model(folder / "model", hidden=64)
        files = write_rows(folder / "rows", dict.fromkeys(DOMAINS, 1500))
        axolotl = Axolotl(folder)
        for batch in options.batches:
            runs = variants(model, files, folder, batch, options.packing, options.processes)
            for cfg in runs.values():
                # Tokenised rows are cached once, outside the measurement.
                axolotl.train({**cfg, "max_steps": 2}, processes=options.processes)
            results: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
            for number in range(options.rounds):
                names = list(runs)[number % 3 :] + list(runs)[: number % 3]
                for name in names:
                    began = time.perf_counter()
                    cfg = {**runs[name], "output_dir": str(folder / f"out{batch}{name}{number}")}
                    finished = axolotl.train(cfg, processes=options.processes)
                    wall = time.perf_counter() - began
                    if finished.status:
                        raise SystemExit(finished.output)
                    found = re.search(r"'train_runtime': '?([0-9.e+]+)", finished.output)
                    assert found is not None
                    one = {"train": float(found[1]), "process": wall, "cpu": finished.cpu_seconds}
                    results[name].append(one)
                    print(json.dumps({"batch": batch, "round": number, "run": name, **one}), flush=True)
            for name in ("constant", "versatune"):
                for figure in ("train", "process", "cpu"):
                    ratios = [a[figure] / b[figure] for a, b in zip(results[name], results["without"], strict=True)]
                    summary = {"batch": batch, "ratio": f"{name} / without", "of": figure}
                    summary |= {"median": round(statistics.median(ratios), 4), "min": round(min(ratios), 4)}
                    print(json.dumps({**summary, "max": round(max(ratios), 4)}), flush=True)
        axolotl.close()


if __name__ == "__main__":
    main()
