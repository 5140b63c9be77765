"""What is in a trace, in numbers: distinct pages by interval, density, working set, runs, heat."""

import numpy as np

SHARES = (0.5, 0.9, 0.99)
"""Of all writes; a page written in an epoch is one write, however often it is stored to."""

LENGTHS = (1, 2, 4, 8, 16, 64, 256)
"""Shortest runs of each class."""

CELLS = (64, 240)
"""Of the heat map at most: groups of pages, spans of time."""


def distinct_by_interval(trace):
    """Return W(t): distinct pages written in an interval, on average over the recording.

    Intervals are doubled from an epoch to the whole recording; a rest that fills none is left out.

    Returns
    -------
    list of dict
        `interval_ms`, `pages`, `density` (share of the slot).
    """
    doubled = [1 << k for k in range(trace.epochs.bit_length()) if 1 << k < trace.epochs]
    rows = []
    for times in (*doubled, trace.epochs):
        longer = trace.merged(times)
        rows.append({
            "interval_ms": longer.epoch_ms,
            "pages": longer.density * longer.slot_pages,
            "density": longer.density,
        })  # fmt: skip
    return rows


def densities(trace):
    """Return the share of the slot's pages written in each epoch: float64[epochs]."""
    return np.diff(trace.offsets) / trace.slot_pages


def writes_by_page(trace):
    """Return in how many epochs each page that is ever written was, most first: int64[pages]."""
    return np.sort(np.unique(trace.gfns, return_counts=True)[1])[::-1]


def working_set(trace):
    """Return how many pages take each of SHARES of the writes: dict of float to int."""
    part = np.cumsum(writes_by_page(trace))
    if not len(part):
        return dict.fromkeys(SHARES, 0)
    return {share: int(np.searchsorted(part, share * part[-1]) + 1) for share in SHARES}


def runs(trace):
    """Return the lengths of the runs of adjacent pages that an epoch wrote: int64[runs]."""
    begins = np.ones(len(trace.gfns), bool)
    begins[1:] = np.diff(trace.gfns.astype(np.int64)) != 1
    begins[trace.offsets[trace.offsets < len(trace.gfns)]] = True
    return np.diff(np.append(np.flatnonzero(begins), len(trace.gfns)))


def run_classes():
    """Return the classes of LENGTHS as text: 1, 2 to 3, ... 256 or more."""
    ends = (*(following - 1 for following in LENGTHS[1:]), None)
    pairs = zip(LENGTHS, ends, strict=True)
    return ["1" if k == 1 else f"{k} to {end}" if end else f"{k} or more" for k, end in pairs]


def pages_by_run(trace):
    """Return the share of the written pages that are in runs of each class: float64[LENGTHS]."""
    lengths = runs(trace)
    place = np.searchsorted(LENGTHS, lengths, side="right") - 1
    pages = np.bincount(place, weights=lengths, minlength=len(LENGTHS))
    return pages / max(len(trace.gfns), 1)


def heat(trace):
    """Return the writes by place and time: float64[groups, spans], per page and epoch.

    A cell is the share of its pages and epochs of which the page was written in the epoch.
    """
    groups, spans = min(CELLS[0], trace.slot_pages), min(CELLS[1], trace.epochs)
    epochs = np.repeat(np.arange(trace.epochs), np.diff(trace.offsets))
    rows = trace.gfns.astype(np.int64) * groups // trace.slot_pages
    columns = epochs * spans // trace.epochs
    found = np.bincount(rows * spans + columns, minlength=groups * spans).reshape(groups, spans)
    return found / np.outer(_sizes(trace.slot_pages, groups), _sizes(trace.epochs, spans))


def _sizes(total, parts):
    """Return how many numbers k below `total` have each value of k * parts // total."""
    return np.diff(-(-np.arange(parts + 1) * total // parts))
