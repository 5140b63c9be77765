"""Benchmarks: what `asv` runs over commits, and scripts that are run by hand.

asv imports every file of this folder, in an environment that has numpy, numba, platformdirs and
nothing else, beside whichever revision of the package it measures. So no file may need more when it
is imported, nor what only some revisions have: that it imports inside a function. What cannot keep
to that is in `by_hand`, which has no `__init__.py`, so that asv passes it over.
"""
