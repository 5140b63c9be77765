"""Harvests while vCPUs store on other threads."""

import os
import time

import numpy as np

from benchmarks.common import (
    IS_FULL,
    LOGGING,
    MIB,
    PAGE_4K,
    SEED,
    SLOT,
    WrongHarvestError,
    open_cell,
    skipped,
)
from strategies.core.guest import VIEW_BASE, store_pages
from strategies.core.vcpus import VcpuThreads

SLOT_BYTES = 16 * MIB
ROUNDS = 10
STORES = 200_000
"""Of each thread in a round; rounds are short, for a lost page that is stored to again is safe."""


class Storm:
    """Rounds of storing threads against harvests, judged as a migration is.

    Attributes
    ----------
    harvest_ns : list of int
        Of harvests that ran beside stores.
    store_ns : list of float
        Mean nanoseconds per store of each thread and round, from outside, over STORES stores.
    harvests, lost : int
    events : dict
        What was counted.
    """

    def __init__(self, cell):
        self.cell = cell
        self.harvest_ns, self.store_ns = [], []
        self.harvests = self.lost = 0
        self.copy = cell.vm.arrays.stamps.copy()
        before = cell.vm.events()
        for number in range(ROUNDS):
            self._round(number)
        self.events = {name: n - before[name] for name, n in cell.vm.events().items()}
        if self.lost and not cell.is_baseline:
            raise WrongHarvestError(f"{cell.tracker.name}: {self.lost} pages lost")

    def _round(self, number):
        """Harvest while the vCPUs store, once more when they have stopped, and compare."""
        vm = self.cell.vm
        random = np.random.default_rng([SEED, number])
        gfns = random.integers(vm.guest_pages, size=(vm.vcpus, STORES))
        stamp = 1 + number * gfns.size
        guests = VcpuThreads(
            vm, lambda first, n: self._store(first, n, gfns[first], stamp + first * STORES)
        )
        storing = True
        while storing:
            storing = guests.running()
            ns = self.cell.tracker.get_dirty_log(SLOT, self.cell.out)
            self._copy_reported()
            self.harvests += 1
            if storing and guests.running():
                self.harvest_ns.append(ns)
        self.store_ns += guests.join()
        self.lost += int((self.copy != self.cell.vm.arrays.stamps).sum())

    def _store(self, first_vcpu, vcpus, gfns, first_stamp):
        """Store by a thread's vCPUs in turn, each store with a stamp of its own; return ns each."""
        machine = self.cell.vm.machine
        start = time.perf_counter_ns()
        store_pages(machine, VIEW_BASE, first_vcpu, vcpus, gfns, first_stamp, 1)
        return (time.perf_counter_ns() - start) / gfns.size

    def _copy_reported(self):
        """Copy the stamps of the pages that a harvest reported."""
        bits = np.unpackbits(self.cell.out.view(np.uint8), bitorder="little")
        reported = bits[: self.copy.size].astype(bool)
        self.copy[reported] = self.cell.vm.arrays.stamps[reported]


class Contention:
    """vCPUs that store on at most cores - 1 threads, each thread its vCPUs in turn.

    Times are recorded only where every vCPU could have a core. Counts are means per harvest; they
    race with the harvests and vary from run to run, so they are measured, not exact.
    """

    param_names = ("strategy", "vcpus")
    params = (LOGGING, [1, 2] if IS_FULL else [2])
    version = "1"

    def setup(self, strategy, vcpus):
        """Run the storm; a lost page fails the cell."""
        cell = open_cell(strategy, SLOT_BYTES, PAGE_4K, "linear", vcpus)
        cell.dirty(0.0)
        self.storm = Storm(cell)

    def track_lost_pages(self, *_params):
        """Return pages whose last store no harvest reported: 0, or the cell fails."""
        return self.storm.lost

    def track_racing_faults(self, *_params):
        """Return faults for the log, per harvest."""
        events = self.storm.events
        return (events["write_faults"] + events["map_faults"]) / self.storm.harvests

    def track_racing_tlbies(self, *_params):
        """Return single invalidations, per harvest."""
        return self.storm.events["tlbies"] / self.storm.harvests

    def track_racing_lock_retries(self, *_params):
        """Return how often a lock was busy, per harvest."""
        return self.storm.events["lock_retries"] / self.storm.harvests

    def track_harvest(self, *_params):
        """Return the median time of a harvest beside stores, by the clock inside it."""
        return float(np.median(self.storm.harvest_ns))

    def track_store(self, *_params):
        """Return the median over threads and rounds of the time per store beside harvests."""
        return float(np.median(self.storm.store_ns))


# Where vCPUs outnumber cores, times would be the scheduler's.
Contention.track_harvest.skip_params = Contention.track_store.skip_params = skipped(
    lambda _, vcpus: vcpus > (os.cpu_count() or 1), *Contention.params
)

for _name, _unit in (
    ("lost_pages", "pages"),
    ("racing_faults", "faults/harvest"),
    ("racing_tlbies", "tlbies/harvest"),
    ("racing_lock_retries", "retries/harvest"),
    ("harvest", "ns"),
    ("store", "ns/store"),
):
    getattr(Contention, f"track_{_name}").unit = _unit
