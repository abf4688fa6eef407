"""Whether a mixture helped: runs paired by seed, effects with intervals, exact tests, and how many seeds it takes."""
