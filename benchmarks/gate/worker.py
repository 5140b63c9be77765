"""One side of the gate: runs one revision's trackers, alone to count or beside the other to time.

A script, run with PYTHONPATH naming the revision's checkout. It takes jobs, a line of JSON each,
and answers with one. Of the package it uses only names that last, so that this one file measures
any revision: the registry's `names`, `get` and `BASELINE`; `Vm` with `add_memslot`, `populate`,
`store` and `events`; a tracker's ioctls.
"""

import gc
import json
import mmap
import os
import sys
import time
import traceback
from functools import cache
from pathlib import Path

import numpy as np

from strategies import registry
from strategies.core.vm import Vm

PAGE_BYTES = 1 << 12
SLOT = 0
COUNTED_INTERVALS = 3
STACK_DEPTHS = 4
"""One nested call moves the stack by an odd multiple of 16 bytes: so many cover a cache line."""

PATIENCE_NS = 20 * 10**9
"""How long one side waits for the other."""

SPIN_NS, NAP_SECONDS = 200_000, 50e-6
"""Who waits longer than the first leaves its core to others."""


class LostPageError(Exception):
    """A harvest lacks a page that was written."""


class Cell:
    """A tracker that logs the one slot of a machine of its own.

    Parameters
    ----------
    job : dict
        strategy, slot_bytes, density (share of pages that an interval writes), mapping, is_mapped
        (whether the guest has mapped the slot), language ("C": the same loop in C harvests).
    seed : list of int
        Of the patterns: the same for both sides.
    """

    def __init__(self, job, seed):
        self.vm = Vm(job["slot_bytes"] // PAGE_BYTES, mapping=job["mapping"])
        self.vm.add_memslot(0, self.vm.guest_pages)
        if job["is_mapped"]:
            self.vm.populate(SLOT)
        self.tracker = registry.get(job["strategy"])(self.vm)
        self.tracker.enable_logging(SLOT)
        self.out = self.tracker.buffer(SLOT)
        self.written = round(job["density"] * self.vm.guest_pages)
        self.random = np.random.default_rng(seed)
        self.language = job["language"]

    def interval(self):
        """Write the pages of the next interval, fresh ones; return the bitmap that they make."""
        if not self.written:
            return np.uint8(0)
        pages = self.random.choice(self.vm.guest_pages, self.written, replace=False)
        self.vm.store(pages, 1)
        bits = np.zeros(64 * self.out.size, np.uint8)
        bits[pages] = 1
        return np.packbits(bits, bitorder="little")

    def harvest(self):
        """Return the nanoseconds of a harvest, by the clock inside it."""
        if self.language == "C":
            c_machine, functions = in_c()
            function = functions[self.tracker.name]
            return function(c_machine(*self.vm.machine), SLOT, self.out.ctypes.data, self.out.size)
        return self.tracker.get_dirty_log(SLOT, self.out)

    def check(self, expected):
        """Raise LostPageError unless the last harvest has all pages of a bitmap."""
        if np.any(expected & ~self.out.view(np.uint8)):
            raise LostPageError(f"{self.tracker.name} lost a page")


@cache
def in_c():
    """Return the machine's type in C and the harvests in C by tracker; compiles them."""
    from benchmarks import harvest_against_c

    compiler = harvest_against_c.c_compiler()
    return harvest_against_c.CMachine, harvest_against_c.compile_c(compiler)


class Rendezvous:
    """Two processes that begin each harvest at once (a duet), or in turns A B B A.

    Words of a shared file say how many harvests each side has begun and ended.

    Parameters
    ----------
    path : str
        The file: four uint64, zero.
    side : int
        0 or 1.
    is_duet : bool
    """

    def __init__(self, path, side, is_duet):
        with Path(path).open("r+b") as file:
            words = np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint64).reshape(2, 2)
        self.begun, self.ended = words
        self.side = side
        self.is_duet = is_duet
        self.number = 0

    def begin(self):
        """Wait until this side may harvest."""
        self.number += 1
        self.begun[self.side] = self.number
        if self.is_duet:
            self._wait(self.begun, self.number)
        else:
            is_second = (self.number + self.side) % 2 == 0
            self._wait(self.ended, self.number - 1 + is_second)

    def end(self):
        """Say that this side has harvested."""
        self.ended[self.side] = self.number

    def _wait(self, words, number):
        start = time.monotonic_ns()
        while words[1 - self.side] < number:
            waited = time.monotonic_ns() - start
            if waited > PATIENCE_NS:
                raise TimeoutError("the other side does not come")
            if waited > SPIN_NS or not self.is_duet:
                time.sleep(NAP_SECONDS)


def spin(ns):
    """Let time pass; the clock's own steps make it a little more."""
    start = time.perf_counter_ns()
    while ns and time.perf_counter_ns() - start < ns:
        pass


def at_depth(depth, call):
    """Make a call with the stack moved by as many nested calls."""
    return next(map(at_depth, [depth - 1], [call])) if depth else call()


def block(cell, job, depth):
    """Return the nanoseconds of `repeats` harvests, each after an interval of its own."""
    ns = 0
    for _ in range(job["repeats"]):
        expected = cell.interval()
        ns += at_depth(depth, cell.harvest)
        cell.check(expected)
    spin(job["slowed"] * ns)
    return ns * (1 + job["slowed"])


def time_cell(job, seed, meeting):
    """Return ns[block, depth] of a cell; the first block is left out."""
    cell = Cell(job, seed)
    times = []
    for _ in range(1 + job["blocks"]):
        meeting.begin()
        times.append([block(cell, job, depth) for depth in range(STACK_DEPTHS)])
        meeting.end()
    return times[1:]


def time_cells(job):
    """Return ns[core, cell, block, depth]: all cells, then all once more with the cores swapped.

    Each time a cell has a new machine.
    """
    meeting = Rendezvous(job["meeting"], job["side"], job["is_duet"])
    cores = job["cores"]
    gc.disable()
    times = []
    for swap in range(2):
        os.sched_setaffinity(0, [cores[(job["side"] + swap) % len(cores)]])
        times.append(
            [
                time_cell(cell, [*job["seed"], swap, n], meeting)
                for n, cell in enumerate(job["cells"])
            ]
        )
    return times


def count_cell(job, seed):
    """Return the exact counts of a few intervals with their harvests, and what a harvest takes."""
    cell = Cell(job, seed)
    counts = cell.vm.events() | {"state_bytes": cell.tracker.state_bytes, "pages_reported": 0}
    ns = []
    for _ in range(COUNTED_INTERVALS):
        expected = cell.interval()
        ns.append(cell.harvest())
        cell.check(expected)
        counts["pages_reported"] += int(np.unpackbits(cell.out.view(np.uint8)).sum())
    counts |= cell.vm.events()
    cell.tracker.disable_logging(SLOT)
    counts |= {f"{name}, log ended": n for name, n in cell.vm.events().items()}
    return {"counts": counts, "ns": min(ns)}


def run(job):
    """Do a job; return its result."""
    if job["do"] == "names":
        return [name for name in registry.names() if name != registry.BASELINE]
    if job["do"] == "count":
        return [count_cell(cell, [*job["seed"], n]) for n, cell in enumerate(job["cells"])]
    return time_cells(job)


def answer(line):
    """Do a job and print its result."""
    print(json.dumps(run(json.loads(line))), flush=True)


def answer_in_child(line):
    """Do it in a new process, whose memory lies elsewhere; nothing is compiled there."""
    child = os.fork()
    if not child:
        try:
            answer(line)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        sys.exit("a child failed")


if __name__ == "__main__":
    for line in sys.stdin:
        (answer_in_child if json.loads(line)["do"] == "time" else answer)(line)
