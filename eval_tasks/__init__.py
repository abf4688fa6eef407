"""The benchmarks, as tasks of lm-eval: a folder each, with its YAML and its code; in the package by a link."""
