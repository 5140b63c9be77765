"""Benchmarks: what `asv` runs over commits, and scripts that are run by hand."""
