"""The benchmark suite: `python -m benchmarks --help`. It measures through public names only."""
