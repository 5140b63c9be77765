"""What cells will take, before they run: time, memory, and the batches they travel in.

A cell's time is estimated from what can be counted beforehand, times what each of it took on the
machine that `README.md` beside this file names; a few cells that are timed here correct that, by as
many processes at once as would count.
"""

import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from analysis.fleet.cells import Work, count_all
from analysis.fleet.engine import interrupts_kept
from strategies.plural import plural
from strategies.units import duration, size_text

COSTS = {
    "c_bit_scan": (1.0e-3, 2.0e-7, 3.0e-5, 1.0e-7, 9.1e-9, 1.8e-8),
    "write_protect": (8.2e-4, 5.8e-8, 1.8e-5, 1.6e-7, 2.0e-9, 0.0),
    "write_protect_batched": (4.7e-4, 8.6e-8, 2.3e-5, 1.6e-7, 1.6e-9, 0.0),
    "double_buffer": (6.4e-4, 1.1e-7, 2.1e-5, 1.7e-7, 7.6e-10, 0.0),
    "pte_flush": (5.1e-4, 5.3e-8, 1.7e-5, 9.1e-8, 2.3e-8, 1.8e-8),
    "null": (4.6e-4, 8.3e-8, 2.1e-5, 3.1e-8, 7.3e-10, 0.0),
}
"""Seconds of a cell, of a page of the slot, of an epoch, of a store, of a page an epoch, and what
each page above CACHED_PAGES takes more an epoch: processor time, of cells of one vCPU to four."""

CACHED_PAGES = 1 << 16

PROCESS_MIB = 400
"""Of a worker that has imported and compiled everything."""

ROW_BYTES = 2000
"""Of a cell in the dataset, its counts by epoch included."""

BATCH_S = (0.25, 2.0)
"""Least and most of a batch, estimated: far above what Dask needs for a task, and little enough
that a worker's death costs little."""

SAMPLES = 8
SAMPLE_S = 3.0
LEAST_SAMPLE_S = 1.0
"""Short cells are timed again and again, so long by the estimate."""


class Batch(NamedTuple):
    """Cells that travel together to a worker.

    Attributes
    ----------
    works : tuple of Work
    seconds : float
        Estimated.
    mib : int
        Memory that a worker must have.
    """

    works: tuple[Work, ...]
    seconds: float
    mib: int

    @property
    def cells(self):
        """Return all its cells."""
        return [cell for work in self.works for cell in work.cells]

    def alone(self):
        """Return a batch for each of its cells."""
        share = self.seconds / len(self.cells)
        return [
            Batch((Work(work.recording, (cell,)),), share, self.mib)
            for work in self.works
            for cell in work.cells
        ]


def size_of(recording, cell):
    """Return pages, epochs and stores of a cell's replay."""
    shift = cell.page_size.bit_length() - 13
    times = max(round(cell.interval_ms / recording.epoch_ms), 1) if recording.epoch_ms else 1
    pages = -(-recording.slot_pages >> shift)
    return pages, max(recording.epochs // times, 1), recording.stores


def seconds_of(recording, cell):
    """Return the estimated time of a cell in seconds, on the machine of COSTS."""
    pages, epochs, stores = size_of(recording, cell)
    beyond = max(pages - CACHED_PAGES, 0)
    work = (1, pages, epochs, stores, pages * epochs, beyond * epochs)
    costs = COSTS.get(cell.strategy) or tuple(map(max, zip(*COSTS.values(), strict=True)))
    return sum(cost * times for cost, times in zip(costs, work, strict=True))


def mib_of(recording, cell):
    """Return the memory that a worker needs for a cell, in MiB."""
    from strategies.replay.run import build_bytes

    pages, _, stores = size_of(recording, cell)
    arrays = 32 * stores + 2 * recording.nbytes
    machine = build_bytes(max(pages, 1), cell.page_size.bit_length() - 1)
    return PROCESS_MIB + (machine + arrays >> 20) + 1


def batches_of(works, workers, correction=1.0):
    """Return the batches of works, in their order.

    Parameters
    ----------
    works : iterable of Work
    workers : int
        That there are, or none at the moment: each shall have several.
    correction : float
        Of the estimates, for the machines at hand.
    """
    timed = [
        (work.recording, cell, correction * seconds_of(work.recording, cell))
        for work in works
        for cell in work.cells
    ]
    total = sum(seconds for *_, seconds in timed)
    target = float(np.clip(total / (8 * max(workers, 1)), *BATCH_S))
    batches, held, seconds = [], [], 0.0
    for recording, cell, estimate in timed:
        held.append((recording, cell))
        seconds += estimate
        if seconds >= target:
            batches.append(_batch(held, seconds))
            held, seconds = [], 0.0
    return batches + ([_batch(held, seconds)] if held else [])


def _batch(held, seconds):
    works = {}
    for recording, cell in held:
        works.setdefault(recording.digest, (recording, []))[1].append(cell)
    mib = max(mib_of(recording, cell) for recording, cell in held)
    return Batch(tuple(Work(one, tuple(cells)) for one, cells in works.values()), seconds, mib)


def correction_here(works, processes):
    """Return by what factor the estimates must be multiplied for so many processes at once here.

    Each counts the same few cells at the same time, so that cores and caches that they share, and
    what else runs on this machine, are in the factor. Cells of all sizes are taken, none that
    alone would take longer than SAMPLE_S in all.
    """
    batch, estimate = _samples(works)
    if not batch:
        return 1.0
    context = get_context("spawn")
    start = context.Barrier(processes)
    with ProcessPoolExecutor(processes, context, _meet_at, (start,)) as pool:
        with interrupts_kept():
            took = pool.map(_timed, [batch] * processes)
        return float(np.mean(list(took))) / estimate


def _samples(works):
    """Return a few cells as works, and their estimated time together."""
    timed = sorted(
        (
            (seconds_of(work.recording, cell), cell, work.recording)
            for work in works
            for cell in work.cells
        ),
        key=lambda one: one[:2],
    )
    short = [one for one in timed if one[0] <= SAMPLE_S / SAMPLES]
    chosen = [short[at] for at in np.linspace(0, len(short) - 1, SAMPLES).astype(int)[: len(short)]]
    works = [Work(recording, (cell,)) for _, cell, recording in chosen]
    seconds = sum(seconds for seconds, *_ in chosen)
    times = math.ceil(LEAST_SAMPLE_S / seconds) if chosen else 1
    return times * works, times * seconds


_start = None
"""Where the processes of `correction_here` meet before they are timed."""


def _meet_at(barrier):
    global _start
    _start = barrier


def _timed(batch):
    count_all(batch[:SAMPLES])  # what is first of its kind takes longer
    _start.wait()
    return sum(row["seconds"] for row in count_all(batch))


def line_of(works, asked, workers):
    """Return in a line what works take where each of so many workers has a core of its own."""
    cells = [(work.recording, cell) for work in works for cell in work.cells]
    seconds = sum(seconds_of(*one) for one in cells)
    return (
        f"{plural(len(cells), 'cell')} to count of {asked} asked for: about "
        f"{duration(seconds / workers * 1e9)} with a core for each of {plural(workers, 'thread')}, "
        f"{_disk(cells)} (estimated)"
    )


def plan_of(works, asked, recordings, jobs):
    """Return in words what works take: cells, time, bytes.

    Parameters
    ----------
    works : list of Work
        What is still to be counted.
    asked : int
        Cells asked for, those that are there included.
    recordings : int
    jobs : int
        Processes that would count on this machine.
    """
    cells = [(work.recording, cell) for work in works for cell in work.cells]
    seconds = sum(seconds_of(*one) for one in cells)
    alone = correction_here(works, 1)
    beside = correction_here(works, jobs) if jobs > 1 else alone
    batches = batches_of(works, jobs, alone)
    moved = sum(work.recording.nbytes for batch in batches for work in batch.works)
    lines = [
        f"{plural(len(cells), 'cell')} to count of {asked} asked for, "
        f"{plural(recordings, 'recording')}",
        f"{seconds * alone / 3600:.3g} core hours, {plural(len(batches), 'batch', 'es')} "
        f"(estimated; times here are {alone:.2f} of those of the machine that the estimate was "
        "made on)",
        f"{_about(moved)} read from storage, {_disk(cells)} written",
        f"largest worker: {max((batch.mib for batch in batches), default=0)} MiB",
    ]
    lines += [
        f"{plural(count, 'worker')}, each as quick as one process here: "
        f"{duration(seconds * alone / count * 1e9)}"
        for count in (1, 2, 4, 16)
    ]
    here = duration(seconds * beside / jobs * 1e9)
    lines.append(f"here, {plural(jobs, 'process', 'es')} at once, timed so: {here}")
    return "\n".join(lines)


def _disk(cells):
    return _about(len(cells) * ROW_BYTES)


def _about(nbytes):
    """Return an estimated size to four digits."""
    size, unit = size_text(nbytes).split()
    return f"{float(size):.4g} {unit}"
