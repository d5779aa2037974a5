"""Tests of the models: a brute-force twin of docs/counting.md and histories to compare it over."""
