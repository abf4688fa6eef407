"""How the defaults of sigma, floor, update interval, delta and epsilon were chosen: a small grid on real rows.

Every run fine-tunes the same base model on real rows of six domains, from the knowledge prior that was detected of it,
and is measured on rows that no run has seen (``sft_heldout``). The base is a directory that benchmarks/real_data.py
made. Several seeds decide the order of the rows and which are held out. Runs already in the results are not done
again.

    python benchmarks/real_data.py --data "$VERSATUNE_DATA" --out real
    python benchmarks/defaults.py --data "$VERSATUNE_DATA" --base real --out defaults [--seeds 3] [--steps 160]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.real_data import heldout_figures, mean_loss
from tests.conftest import Axolotl
from versatune_plugin.artifacts.io import append_json_line, read_json_lines

TARGET = "law"
UPDATES = 10
WORKERS = 2


def variants(steps: int) -> dict[str, dict[str, Any]]:
    """Name of a run -> what its section ``versatune:`` holds beside knowledge, reference and held-out rows."""
    usual = steps // UPDATES
    found: dict[str, dict[str, Any]] = {
        "uniform": {"mixture": "uniform"},
        "constant": {"mixture": "constant"},
    }
    for sigma in (0.25, 0.5, 1.0, 2.0, 4.0):
        found[f"sigma {sigma:g}"] = {"mixture": "versatune", "sigma": sigma, "update_steps": usual}
    for times in (0.5, 2.0):
        interval = int(usual * times)
        found[f"sigma 1, every {interval} steps"] = {"mixture": "versatune", "sigma": 1.0, "update_steps": interval}
    for floor in (0.0, 0.05):
        found[f"sigma 1, floor {floor:g}"] = {
            "mixture": "versatune",
            "sigma": 1.0,
            "update_steps": usual,
            "floor": floor,
        }
    for delta, epsilon in ((0.01, 0.5), (0.02, 0.5), (0.05, 0.5), (0.05, 0.1), (0.05, 2.0)):
        found[f"expand, delta {delta:g}, epsilon {epsilon:g}"] = {
            "mixture": "versatune",
            "sigma": 1.0,
            "update_steps": usual,
            "expand": {"domain": TARGET, "delta": delta, "epsilon": epsilon},
        }
    return found


def configuration(base: Path, out: Path, section: Mapping[str, Any], seed: int, steps: int) -> dict[str, Any]:
    """The configuration of one run, with absolute paths."""
    raw: dict[str, Any] = yaml.safe_load((base / "versatune.yml").read_text(encoding="utf-8"))
    knowledge = json.loads((base / "knowledge.json").read_text(encoding="utf-8"))["probabilities"]
    reference = json.loads((base / "reference.json").read_text(encoding="utf-8"))["nats_per_token"]
    for entry in raw["datasets"]:
        entry["path"] = str(base / entry["path"])
    return raw | {
        "base_model": str(base / raw["base_model"]),
        "dataset_prepared_path": str(base / "prepared"),
        "output_dir": str(out),
        "seed": seed,
        "max_steps": steps,
        "versatune": {"knowledge": knowledge, "reference": reference, "heldout": 48, "measure_budget": 0.5, **section},
    }


def summary(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per variant: mean held-out loss, of the target and of the others, less that of `constant` of the same seed."""
    by_name: dict[str, dict[int, dict[str, float]]] = {}
    for result in results:
        by_name.setdefault(result["name"], {})[result["seed"]] = result["loss"]
    lines = []
    for name, by_seed in by_name.items():
        line: dict[str, Any] = {"name": name, "seeds": len(by_seed)}
        for what, domains in (
            ("mean", lambda loss: list(loss)),
            ("target", lambda loss: [TARGET]),
            ("others", lambda loss: [domain for domain in loss if domain != TARGET]),
        ):
            differences = [
                np.mean([loss[domain] for domain in domains(loss)])
                - np.mean([by_name["constant"][seed][domain] for domain in domains(loss)])
                for seed, loss in by_seed.items()
                if seed in by_name["constant"]
            ]
            half = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences) if len(differences) > 1 else None
            line[what] = [round(float(np.mean(differences)), 4), None if half is None else round(float(half), 4)]
        line["mean_loss"] = round(float(np.mean([list(loss.values()) for loss in by_seed.values()])), 4)
        lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds sft_heldout/<domain>.jsonl")
    parser.add_argument("--base", type=Path, required=True, help="a directory that benchmarks/real_data.py made")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--rows", type=int, default=150, help="at most so many rows of each domain are measured")
    options = parser.parse_args()
    base, out = options.base.resolve(), options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    journal = out / "results.jsonl"
    files = {file.stem: file for file in (base / "corpus" / "finetuning").glob("*.jsonl")}
    files = {name: options.data / "sft_heldout" / f"{name}.jsonl" for name in files}
    done = {(line["name"], line["seed"]) for line in (read_json_lines(journal) if journal.exists() else [])}
    jobs = [
        (name, seed, section)
        for seed in range(1, options.seeds + 1)
        for name, section in variants(options.steps).items()
        if (name, seed) not in done
    ]
    servers = [Axolotl(_folder(out / f"server{number}")) for number in range(WORKERS)]

    def train(job: tuple[int, tuple[str, int, dict[str, Any]]]) -> tuple[str, int, Path]:
        number, (name, seed, section) = job
        model = out / f"{seed}-{name.replace(' ', '_').replace(',', '')}"
        finished = servers[number].train(configuration(base, model, section, seed, options.steps))
        if finished.status:
            raise SystemExit(f"{name}: {finished.output[-3000:]}")
        return name, seed, model

    for first in range(0, len(jobs), WORKERS):
        batch = list(enumerate(jobs[first : first + WORKERS]))
        with ThreadPoolExecutor(WORKERS) as pool:
            finished = list(pool.map(train, batch))
        for name, seed, model in finished:
            figures = heldout_figures(base, files, str(model), options.rows)
            loss = {domain: mean_loss(rows) for domain, rows in figures.items()}
            append_json_line(journal, {"name": name, "seed": seed, "loss": loss})
            print(json.dumps({"name": name, "seed": seed, "mean": float(np.mean(list(loss.values())))}), flush=True)
            shutil.rmtree(model)
    for server in servers:
        server.close()
    for line in summary(read_json_lines(journal)):
        print(json.dumps(line), flush=True)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    main()
