"""What the digests of a checkpoint's files cost: how long a save waits for them, and how long a thread reads beside it.

``python benchmarks/digests.py --megabytes 1500``: a model and its optimizer's state (twice the size), as the host does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from versatune_plugin.training.digests import Digesting, damage, digests_of


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=600, help="of a checkpoint")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    numbers = options.megabytes * 2**20 // 4 // 3
    weights = {"model": torch.randn(numbers)}
    state = {name: torch.randn(numbers) for name in ("exp_avg", "exp_avg_sq")}
    saves, waits, reads, checks = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            checkpoint = Path(folder, f"checkpoint-{number}")
            checkpoint.mkdir()
            began = time.perf_counter()
            save_file(weights, checkpoint / "model.safetensors")
            torch.save(state, checkpoint / "optimizer.pt")
            saves.append(time.perf_counter() - began)
            digesting = Digesting()
            began = time.perf_counter()
            digesting.add([checkpoint])
            waits.append(time.perf_counter() - began)
            digesting.write(wait=True)
            began = time.perf_counter()
            digests_of(checkpoint)
            reads.append(time.perf_counter() - began)
            began = time.perf_counter()
            assert damage(checkpoint) is None
            checks.append(time.perf_counter() - began)
    size = options.megabytes
    save, wait, read, check = map(statistics.median, (saves, waits, reads, checks))
    print(f"a save of {size} MiB: {save:.2f} s; it waits {wait * 1e3:.2f} ms for the digests ({wait / save:.4%})")
    print(f"the thread reads for {read:.2f} s ({size / 1024 / read:.1f} GiB/s); a resume checks in {check:.2f} s")


if __name__ == "__main__":
    main()
