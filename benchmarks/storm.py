"""A storm: threads store to pages while harvests follow each other, judged as a migration is.

Harvests and stores are timed by a clock inside compiled code. asv's `contention` runs it with as
many threads as there are cores for, `by_hand.contention` with many, and over lanes too.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count

import numpy as np

from benchmarks.common import MIB, PAGE_4K, SEED, SLOT, open_cell
from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.guest import VIEW_BASE, store_pages
from strategies.core.jit import kernel
from strategies.core.words import I64, ONE

STORM_PAGES = 16 * MIB // PAGE_4K
STORES, ROUNDS = 70_000, 35
"""Stores of each thread in a round, and rounds. These are short, for a lost page that is stored to
again is safe."""

_rounds = count(1)
"""Number what threads do at once in this process: no two stores have one stamp."""

BEGUN, ENDED = 0, 1
"""Words of a gate: how many threads have come to it, and how many have stored."""


@kernel
def meet(gate, threads):
    """Wait until all threads are here."""
    atomics.fetch_add(gate, BEGUN, ONE)
    spins = I64(0)
    while I64(atomics.load(gate, BEGUN)) < threads:
        spins = atomics.relax(spins)


@kernel
def _store_to_machine(gate, threads, *stores):
    """Make stores (`store_pages`) once all threads are here; return the nanoseconds."""
    meet(gate, threads)
    start = monotonic_ns()
    store_pages(*stores)
    end = monotonic_ns()
    atomics.fetch_add(gate, ENDED, ONE)
    return end - start


class Simulated:
    """A tracker of the simulation that logs a slot, with a vCPU or more for each thread.

    Parameters
    ----------
    name : str
        The tracker.
    npages, threads : int
    vcpus_each : int
        That a thread runs in turn.

    Attributes
    ----------
    kind, name : str
    reports : bool
        Whether a harvest tells anything.
    is_shared : bool
        Whether two threads may store to one page.
    contents : uint64[npages]
        What the pages hold.
    out : uint64[words]
        The last harvest.
    harvest : callable
        Returns its nanoseconds.
    events : callable
        Returns what was counted, by name.
    """

    kind, is_shared = "simulated", True

    def __init__(self, name, npages, threads, vcpus_each=1):
        vcpus = threads * vcpus_each
        cell = open_cell(name, npages * PAGE_4K, PAGE_4K, "linear", vcpus)
        self.name, self.reports, self.out = name, not cell.is_baseline, cell.out
        self.contents, self.events = cell.vm.arrays.stamps, cell.vm.events
        self.harvest = partial(cell.tracker.get_dirty_log, SLOT, self.out)
        self._machine, self._each = cell.vm.machine, vcpus_each

    def store(self, thread, gfns, stamp, *gate):
        """Store to pages when all threads do, a stamp of its own each; return the nanoseconds."""
        vcpus = thread * self._each, self._each
        return _store_to_machine(*gate, self._machine, VIEW_BASE, *vcpus, gfns, stamp, 1)

    def close(self):
        """Leave the machine to the next tracker."""


def begin(pool, tracked, gfns):
    """Let a thread for each list of pages store to them; return the gate and the runs."""
    gate = np.zeros(2, np.uint64)
    stamps = np.cumsum([next(_rounds) << 32, *map(len, gfns)]).tolist()
    words = atomics.address_of(gate), len(gfns)
    runs = [
        pool.submit(tracked.store, thread, own, stamps[thread], *words)
        for thread, own in enumerate(gfns)
    ]
    return gate, runs


def bits_of(tracked):
    """Return for each page whether the last harvest reported it."""
    return np.unpackbits(tracked.out.view(np.uint8), bitorder="little").astype(bool)


class Storm:
    """Rounds of storing threads against harvests, judged as a migration is.

    Parameters
    ----------
    tracked : Simulated
        Or what has its attributes and `store`.
    threads, rounds, seed : int

    Attributes
    ----------
    harvest_ns, pages : list of int
        Of harvests while all threads stored: how long they took, how many pages they reported.
    store_ns : list of float
        Nanoseconds per store of each thread and round.
    harvests, lost : int
        `lost` means nothing where nothing is reported.
    events : dict of str to int
        What was counted meanwhile.
    """

    def __init__(self, tracked, threads, rounds, seed):
        self.tracked, self.threads = tracked, threads
        self.harvest_ns, self.pages, self.store_ns = [], [], []
        self.harvests = self.lost = 0
        self.copy = tracked.contents.copy()
        self.random = np.random.default_rng([SEED, seed])
        before = tracked.events()
        for _ in range(rounds):
            self._round()
        self.events = {event: n - before[event] for event, n in tracked.events().items()}

    def _round(self):
        """Harvest while the threads store, once more when they have stopped, and compare."""
        with ThreadPoolExecutor(self.threads) as pool:
            gate, runs = begin(pool, self.tracked, self._gfns())
            while gate[BEGUN] < self.threads:
                time.sleep(0)  # have the threads begin: they wait for the interpreter
            storing = True
            while storing:
                storing = not all(run.done() for run in runs)
                self._harvest(gate)
        self.store_ns += [run.result() / STORES for run in runs]
        self.lost += int((self.copy != self.tracked.contents).sum())

    def _gfns(self):
        """Return the pages of each thread: any, or where none is shared, those of its turn."""
        size, pages = (self.threads, STORES), self.tracked.contents.size
        if self.tracked.is_shared:
            return self.random.integers(pages, size=size)
        turns = np.arange(self.threads)[:, None]
        return self.random.integers(pages // self.threads, size=size) * self.threads + turns

    def _harvest(self, gate):
        """Harvest, and copy what is reported; note it if all threads stored all the while."""
        ns = self.tracked.harvest()
        is_beside = not gate[ENDED]
        reported = np.flatnonzero(bits_of(self.tracked))
        self.copy[reported] = self.tracked.contents[reported]
        self.harvests += 1
        if is_beside:
            self.harvest_ns.append(ns)
            self.pages.append(reported.size)
