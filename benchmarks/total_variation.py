"""How often an interval of `versatune knowledge compare` holds the true total variation, beside the basic bootstrap.

    python benchmarks/total_variation.py --pairs 1000

Pairs of samples of 1,000 texts, of distributions over 2, 3 and 6 domains that are a given total variation apart.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from versatune_plugin.knowledge.comparison import compare

TEXTS = 1000
RESAMPLES = 1000
TRUTHS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
# By number of domains: the first distribution, and a direction of total variation 1 to the second.
DISTRIBUTIONS = {
    2: ((0.5, 0.5), (1.0, -1.0)),
    3: ((0.2, 0.3, 0.5), (1.0, 0.0, -1.0)),
    6: ((0.05, 0.1, 0.1, 0.15, 0.2, 0.4), (0.5, 0.5, 0.0, 0.0, -0.5, -0.5)),
}


def basic(difference: np.ndarray, covariance: np.ndarray, draw: np.random.Generator) -> tuple[float, float]:
    """The basic bootstrap interval, clipped (Davison & Hinkley 1997, section 5.2)."""
    drawn = draw.multivariate_normal(difference, covariance, RESAMPLES, method="eigh")
    found = np.abs(difference).sum() / 2
    low, high = np.quantile(np.abs(drawn).sum(axis=1) / 2, [0.025, 0.975])
    return max(2 * found - high, 0.0), min(2 * found - low, 1.0)


def held(k: int, truth: float, pairs: int) -> tuple[float, float]:
    """The shares of pairs whose interval holds the truth: ours, the basic one."""
    first, direction = map(np.array, DISTRIBUTIONS[k])
    draw = np.random.default_rng([k, round(1e6 * truth)])
    ours = others = 0
    for _ in range(pairs):
        one, other = (draw.multinomial(TEXTS, shares) / TEXTS for shares in (first, first + truth * direction))
        covariance = np.sum([(np.diag(shares) - np.outer(shares, shares)) / TEXTS for shares in (one, other)], axis=0)
        interval = compare(one, other, covariance).total_variation95
        assert interval is not None
        low, high = basic(other - one, covariance, draw)
        ours += interval[0] <= truth <= interval[1]
        others += low <= truth <= high
    return ours / pairs, others / pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=1000)
    options = parser.parse_args()
    for k in DISTRIBUTIONS:
        for truth in TRUTHS:
            ours, others = held(k, truth, options.pairs)
            print(f"{k} domains, {truth:.3f} apart: {ours:.1%} (basic bootstrap {others:.1%})", flush=True)


if __name__ == "__main__":
    main()
