"""Benchmarks against drt and dlt, and of Listbridge alone at size. ``python -m benchmarks --help``; see README.md."""
