"""The twelve benchmarks of the paper: their rows, how answers are read and run, and scores of results."""
