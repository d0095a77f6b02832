"""Throughput beside what a user would write instead, on one database in one run: `python -m bench`."""
