"""What watching costs: run `python -m benchmarks` to see which measurements there are."""
