"""Benchmarks: a registry of cases × phases × peers, run by ``python -m benchmarks``."""
