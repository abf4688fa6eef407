"""What comparisons of runs promise: how often "significant" is false, and how often a true difference is found.

    python benchmarks/comparison_power.py --repetitions 2000

Each repetition draws a figure for each run, in units of a run's own noise; nothing is trained.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.stats import nct
from scipy.stats import t as student

from versatune_plugin.comparing.power import LEVEL, POWER, detectable_size, fewest_seeds, power, seeds_needed
from versatune_plugin.comparing.statistics import estimate, holm, max_t, sign_flip_p

Noise = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
NOISES: dict[str, Noise] = {
    "normal": lambda draw, shape: draw.standard_normal(shape),
    "exponential (skewed)": lambda draw, shape: draw.exponential(1, shape),
    "lognormal, sigma 2 (very skewed)": lambda draw, shape: draw.lognormal(0, 2, shape),
    "Student's t with 2 degrees (heavy tails)": lambda draw, shape: draw.standard_t(2, shape),
    "normal, the baseline's three times as wide": lambda draw, shape: (
        draw.standard_normal(shape) * [3, *[1] * (shape[1] - 1)]
    ),
    "the baseline's exponential, the others' normal and narrow": lambda draw, shape: np.column_stack(
        [draw.exponential(1, shape[0]) - 1, 0.3 * draw.standard_normal((shape[0], shape[1] - 1))]
    ),
}
# Seeds and comparisons.
SHAPES = ((6, 1), (8, 1), (10, 1), (6, 5), (8, 5), (10, 5))


def false_alarms(noise: Noise, seeds: int, comparisons: int, repetitions: int) -> tuple[float, float]:
    """How often any of several mixtures that do what the baseline does is called significant: by Holm, by max-T."""
    draw = np.random.default_rng([seeds, comparisons])
    by_holm = by_max_t = 0
    for _ in range(repetitions):
        figures = noise(draw, (seeds, comparisons + 1))
        differences = figures[:, 1:] - figures[:, :1]
        by_holm += holm(np.array([sign_flip_p(column) for column in differences.T])).min() < LEVEL
        by_max_t += max_t(differences).min() < LEVEL
    return by_holm / repetitions, by_max_t / repetitions


def found(size: float, seeds: int, comparisons: int, repetitions: int) -> float:
    """How often a true difference is found at the level of the first of Holm's steps."""
    draw = np.random.default_rng([seeds, comparisons, round(1000 * size)])
    samples = draw.standard_normal((repetitions, seeds)) + size
    return float(np.mean([sign_flip_p(one) * comparisons < LEVEL and one.mean() > 0 for one in samples]))


def student_power(size: float, seeds: int, comparisons: int) -> float:
    """What Student's test would find at the level that the sign-flip test attains: p is a multiple of 2 / 2^n."""
    patterns = 2 ** (seeds - 1)
    level = (math.ceil(LEVEL / comparisons * patterns) - 1) / patterns
    return float(nct.sf(student.ppf(1 - level / 2, seeds - 1), seeds - 1, size * math.sqrt(seeds)))


def lines(size: float, seeds: int, repetitions: int) -> np.ndarray:
    """The 5, 25, 50, 75 and 95 % points of the seeds that the line says are needed, from the spread that was found."""
    draw = np.random.default_rng([seeds, 7])
    effects = [estimate(draw.standard_normal(seeds) + size) for _ in range(repetitions)]
    needed = [seeds_needed(one.mean / one.spread) or np.inf for one in effects]
    return np.quantile(needed, [0.05, 0.25, 0.5, 0.75, 0.95], method="nearest")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repetitions", type=int, default=2000)
    repetitions = parser.parse_args().repetitions
    print("false alarms among mixtures that do the same: Holm, max-T")
    for name, noise in NOISES.items():
        for seeds, comparisons in SHAPES:
            by_holm, by_max_t = false_alarms(noise, seeds, comparisons, repetitions)
            print(f"  {name}; seeds {seeds}, comparisons {comparisons}: {by_holm:.1%}, {by_max_t:.1%}", flush=True)
    print("a true difference of one standard deviation of the differences: promised, by Student's test, found")
    for comparisons in (1, 5):
        for seeds in (6, 7, 8, 9, 10, 12, 14, 16):
            if seeds >= fewest_seeds(comparisons):
                rate = found(1, seeds, comparisons, repetitions)
                promised, students = power(1, seeds, comparisons), student_power(1, seeds, comparisons)
                print(
                    f"  seeds {seeds}, comparisons {comparisons}: {promised:.1%}, {students:.1%}, {rate:.1%}",
                    flush=True,
                )
    print(f"the size that is found in {POWER:.0%}: found")
    for comparisons in (1, 3, 5, 10, 40):
        for seeds in (8, 10, 12, 14, 15, 17):
            if seeds >= fewest_seeds(comparisons):
                size = detectable_size(seeds, comparisons)
                rate = found(size, seeds, comparisons, min(repetitions, 1000 if seeds > 14 else repetitions))
                print(f"  seeds {seeds}, comparisons {comparisons}, size {size:.2f}: {rate:.1%}", flush=True)
    print(f"seeds needed for one standard deviation: {seeds_needed(1)}; as the line says from what few seeds show:")
    for seeds in (3, 6, 10):
        print(f"  from {seeds} seeds, 5, 25, 50, 75, 95 % points: {lines(1, seeds, repetitions)}", flush=True)


if __name__ == "__main__":
    main()
