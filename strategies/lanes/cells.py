"""A trace that measures: densities from clean to full, random pages and runs, each some times."""

import numpy as np

from strategies.workloads.trace import Trace

DENSITIES = (0.0, 0.001, 0.01, 0.1, 1.0)
RUNS = (1, 32)
"""Adjacent pages written together."""


def cells():
    """Return density and run length of each cell; a clean slot is one cell."""
    return [(d, run) for d in DENSITIES for run in RUNS if d or run == RUNS[0]]


def cell_trace(npages, repetitions, seed=0):
    """Return a trace whose epochs are all cells in a shuffled order, again for each repetition.

    Returns
    -------
    tuple
        The Trace (of epochs of 1 ms, which means nothing here), and int64[epochs]: the index of
        each epoch's cell. The first cycle warms up and is to be left out.
    """
    rng = np.random.default_rng(seed)
    kinds = cells()
    order = np.concatenate([rng.permutation(len(kinds)) for _ in range(repetitions + 1)])
    epochs = [_pages(rng, npages, *kinds[cell]) for cell in order]
    offsets = np.cumsum([0, *map(len, epochs)], dtype=np.int64)
    meta = {"name": "cells", "page_size": 4096, "slot_pages": npages}
    meta |= {"epoch_ms": 1.0, "epochs": len(epochs)}
    gfns = np.concatenate(epochs).astype(np.uint32)
    return Trace(offsets=offsets, gfns=gfns, meta=meta), order


def _pages(rng, npages, density, run):
    starts = rng.choice(npages // run, round(npages * density / run), replace=False)
    return np.sort((starts[:, None] * run + np.arange(run)).ravel())
