"""What gputui costs, beside its peers, and what grows: benches, no tests (but test_bench.py)."""
