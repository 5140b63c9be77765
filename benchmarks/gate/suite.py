"""What the gate measures: cells of a tracker, exact counts first, then pairs of processes."""

import itertools
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.gate import verdict
from benchmarks.gate.sides import ask_both, both

SEED = 131571
CANARY = "canary"
MIB = 1 << 20

CELLS = {
    "clean": {"slot_bytes": 16 * MIB, "density": 0.0, "is_mapped": True},
    "clean, not mapped": {"slot_bytes": 1024 * MIB, "density": 0.0, "is_mapped": False},
    "30% written": {"slot_bytes": 16 * MIB, "density": 0.3, "is_mapped": True},
}
"""Tables of 16 MiB fit a second-level cache; so do the bitmaps of 1 GiB."""

TIMED_NS = 500, 500_000
"""A harvest below is too short for the clock, one above too long for a run: counted only."""

BLOCK_NS = 10_000
BLOCKS = 12
"""A block is as many harvests as last BLOCK_NS; so many blocks at each place of the stack."""

PAIRS_OF_A_WORKER = 7
"""Processes of so many pairs are forked by one worker; then comes a new one."""

FASTEST = 0.1
"""The quantile of the blocks that is compared: what code needs on an undisturbed core."""


def cells_of(names):
    """Return the jobs of all cells of trackers, each counted under both mappings."""
    return [
        {"strategy": name, "cell": cell, "mapping": mapping, "language": "numba", **CELLS[cell]}
        for name in names
        for cell in CELLS
        for mapping in ("linear", "scattered")
    ]


def names(sides):
    """Return the names of each revision's trackers, but for the baseline."""
    return ask_both(sides, [{"do": "names"}] * 2)


def count(sides, cells):
    """Return each revision's exact counts and times of a harvest, cell by cell; compiles."""
    return ask_both(sides, [{"do": "count", "cells": cells, "seed": [SEED]}] * 2)


def differences(cells, base, head):
    """Return a line for each exact count that both revisions have and that differs."""
    return [
        f"{cell['strategy']}, {cell['cell']}, {cell['mapping']}: {name} {old['counts'][name]} -> "
        f"{new['counts'][name]}"
        for cell, old, new in zip(cells, base, head, strict=True)
        for name in old["counts"]
        if old["counts"][name] != new["counts"].get(name, old["counts"][name])
    ]


def timed(cells, counted):
    """Return the cells that are timed, with their repeats, by what a harvest of the base takes."""
    low, high = TIMED_NS
    return [
        {
            **cell,
            "of": cell["strategy"],
            "repeats": max(1, round(BLOCK_NS / of["ns"])),
            "blocks": BLOCKS,
            "slowed": 0.0,
        }
        for cell, of in zip(cells, counted, strict=True)
        if cell["mapping"] == "linear" and low <= of["ns"] <= high
    ]


def canary_of(cells):
    """Return a cell slowed: the longest of the first tracker."""
    first = [cell for cell in cells if cell["strategy"] == cells[0]["strategy"]]
    return {**min(first, key=lambda cell: cell["repeats"]), "of": CANARY, "slowed": verdict.CANARY}


def log_ratios(times):
    """Return float[cell], the logarithm of head to base.

    Parameters
    ----------
    times : float[side, core, cell, block, place]
        Nanoseconds of blocks; base and head, each on both cores, at each place of the stack.
    """
    base, head = np.log(np.quantile(np.asarray(times), FASTEST, axis=-2))
    return (head - base).mean(axis=(0, -1))


def time_pair(sides, cells, number, cores):
    """Time each side's cells in a new process; return ns[side, core, cell, block, place]."""
    job = {"do": "time", "seed": [SEED, number], "cores": cores, "is_duet": len(cores) > 1}
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder, "meeting")
        meeting.write_bytes(bytes(32))
        jobs = [
            job | {"side": side, "meeting": str(meeting), "cells": cells_of_side}
            for side, cells_of_side in enumerate(cells)
        ]
        return ask_both(sides, jobs)


def unslowed(cells):
    """Return the cells of the base: the head's alone are slowed."""
    return [{**cell, "slowed": 0.0} for cell in cells]


def in_c(cells):
    """Return cells harvested by the same loop in C."""
    return [{**cell, "language": "C"} for cell in cells]


def pairs(revisions, cells, seconds):
    """Yield ns[side, core, cell, block, place] of pairs of processes until the time is over.

    Parameters
    ----------
    revisions : pair of Revision
    cells : pair of lists of jobs
        What each side runs.
    seconds : float
    """
    cores = sorted(os.sched_getaffinity(0))[:2]
    end = time.monotonic() + seconds
    longest = 0.0
    for first in itertools.count(0, PAIRS_OF_A_WORKER):
        with both(revisions) as sides:
            load = [{"do": "count", "cells": of_side, "seed": [SEED]} for of_side in cells]
            ask_both(sides, load)  # what is compiled is in memory before a process is forked
            for number in range(first, first + PAIRS_OF_A_WORKER):
                start = time.monotonic()
                if start + longest > end:
                    return
                yield time_pair(sides, cells, number, cores)
                longest = max(longest, time.monotonic() - start)


def by_kernel(ratios, cells, names):
    """Return float[kernel], the means of the log-ratios of each kernel's cells."""
    return [
        np.mean([ratio for ratio, cell in zip(ratios, cells, strict=True) if cell["of"] == name])
        for name in names
    ]
