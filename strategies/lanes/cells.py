"""A trace that measures: densities from clean to full, random pages and runs, each some times.

What the epoch before wrote and harvested decides what a harvest finds in caches: a clean slot of
512 MiB takes KVM six to eight times as long after a full one as after a clean one (measured). Cells
in a new order each time find them in all states; cells that are repeated are those of a guest that
goes on as it was, and of two runs more alike. Each time that such a cell is visited anew it may
take KVM up to 1.5 times as long (measured): one visit is one sample, however often it repeats.
"""

from typing import NamedTuple

import numpy as np

from strategies.workloads.trace import Trace


class Cell(NamedTuple):
    """What an epoch writes.

    Attributes
    ----------
    density : float
        Share of the slot's pages.
    run : int
        Adjacent pages written together.
    parts : int
        All of it lies in one of so many parts of the slot, drawn anew each time.
    """

    density: float
    run: int = 1
    parts: int = 1


FITTED = (
    Cell(0.0),
    *(Cell(density, run) for density in (0.001, 0.01, 0.1) for run in (1, 32)),
    Cell(1.0),
)
"""From which constants are fitted."""

SPARSE = tuple(cell for cell in FITTED if cell.density <= 0.01)
"""Those that cost a large slot little time."""

HELD_OUT = (
    Cell(0.0001),
    *(Cell(density, run) for density in (0.0003, 0.003, 0.03, 0.3) for run in (1, 8)),
    *(Cell(density, 1, 16) for density in (0.003, 0.03)),
)
"""With which they are judged: other densities and runs, and a hot sixteenth of the slot."""


WARMS_UP = -1
"""In the place of a cell's index: an epoch that is to be left out."""


def cell_trace(npages, repetitions, seed=0, kinds=FITTED, *, is_steady=False):
    """Return a trace of all cells in a shuffled order, each some times.

    Parameters
    ----------
    npages, repetitions : int
    seed : int
    kinds : sequence of Cell
        A cell that is in it more than once is visited so often; its index is that of the first.
    is_steady : bool
        Whether a cell is repeated before the next one, and the first time warms up. Otherwise all
        of them follow each other in a new order for each repetition, and a whole cycle warms up.

    Returns
    -------
    tuple
        The Trace (of epochs of 1 ms, which means nothing here), and int64[epochs]: the index of
        each epoch's cell, WARMS_UP for those that are to be left out.
    """
    rng = np.random.default_rng(seed)
    cycles = 1 if is_steady else repetitions + 1
    order = np.concatenate([rng.permutation(len(kinds)) for _ in range(cycles)])
    if is_steady:
        order = np.repeat(order, repetitions + 1)
    epochs = [_pages(rng, npages, kinds[cell]) for cell in order]
    order = np.array([kinds.index(kind) for kind in kinds])[order]
    if is_steady:
        order[:: repetitions + 1] = WARMS_UP
    else:
        order[: len(kinds)] = WARMS_UP
    offsets = np.cumsum([0, *map(len, epochs)], dtype=np.int64)
    meta = {"name": "cells", "page_size": 4096, "slot_pages": npages}
    meta |= {"epoch_ms": 1.0, "epochs": len(epochs)}
    gfns = np.concatenate(epochs).astype(np.uint32)
    return Trace(offsets=offsets, gfns=gfns, meta=meta), order


def _pages(rng, npages, cell):
    part = npages // cell.parts
    count = round(npages * cell.density / cell.run)
    starts = rng.choice(part // cell.run, count, replace=False)
    first = rng.integers(cell.parts) * part
    return np.sort((first + starts[:, None] * cell.run + np.arange(cell.run)).ravel())
