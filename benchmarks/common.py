"""What the benchmarks share: the grid, one machine for each process, fresh patterns, checks.

asv hands parameters over by their index, and has the suite imported by the revision that it
measures. So they must not depend on that revision: names stand here, in lists that only grow, and
what a revision lacks is n/a for it.

An environment variable chooses the grid, for asv reads the parameters when it imports a file:
DIRTYLOG_GRID=full is that of `make bench`, small that of `make study`, and any other is the small
one with the times of all trackers. DIRTYLOG_PROGRESS names a file that grows by one byte for each
cell that is begun.
"""

import os
from functools import lru_cache
from itertools import count, product
from pathlib import Path

import numpy as np

from strategies import registry
from strategies.core.vm import Vm
from strategies.replay.run import check_harvest

MIB, GIB = 1 << 20, 1 << 30
PAGE_4K, PAGE_64K = 1 << 12, 1 << 16

GRID = os.environ.get("DIRTYLOG_GRID")
IS_FULL = GRID == "full"

STRATEGIES = [
    "c_bit_scan",
    "write_protect",
    "write_protect_batched",
    "double_buffer",
    "pte_flush",
    "null",
    "c_bit_scan_batched",
    "c_bit_scan_pipelined",
    "hpt_sweep",
    "dirty_ring",
    "pml",
    "manual_protect",
    "dbm_hybrid",
    "write_protect_summary",
    "adaptive",
]
"""Append the name of a new tracker. Lines never move and never go: results are filed by them."""

STUDIED = STRATEGIES[:6]
"""Those of which `make study` takes times: the thread's and its time's. Of all it has events."""

MEASURED = STUDIED if GRID == "small" else STRATEGIES

RECORDINGS = ["vga_desktop", "sqlite_oltp", "redis_ycsb", "gcc_compile"]
"""The same for recordings."""

LANES = ["plain", "uffd_async", "uffd_sync", "kvm_bitmap", "kvm_manual", "kvm_ring"]
"""The same for lanes, trackers that real kernels run."""

LOGGING = [name for name in MEASURED if name != registry.BASELINE]

FITTED = ["c_bit_scan", "write_protect", "write_protect_batched", "double_buffer"]
"""Trackers whose harvests are fitted: the full grid measures them in all its cells."""

STUDY_SLOTS = [16 * MIB, 256 * MIB, 4 * GIB, 16 * GIB]
STUDY_DENSITIES = [0.0, 0.001, 0.01, 0.1]
FULL_DENSITIES = [0.0, 0.0001, 0.001, 0.01, 0.1, 1.0]
DENSITIES = FULL_DENSITIES if IS_FULL else STUDY_DENSITIES

BASE = (PAGE_4K, "linear")
VARIANTS = {BASE: STUDY_SLOTS}
if IS_FULL:
    VARIANTS = {
        BASE: [MIB << shift for shift in range(4, 15)],
        (PAGE_4K, "scattered"): [MIB << shift for shift in range(4, 15, 2)],
        (PAGE_64K, "linear"): [MIB << shift for shift in (*range(8, 15), 16)],
        (PAGE_64K, "scattered"): [MIB << shift for shift in (8, 10, 12, 13, 14, 16)],
    }
"""Slot sizes by page size and mapping, in order."""

SLOTS = sorted({slot for slots in VARIANTS.values() for slot in slots})
PAGES, MAPPINGS = (list(dict.fromkeys(names)) for names in zip(*VARIANTS, strict=True))

SLOT = 0
"""The number of the one slot of a machine; it covers all of the guest's memory."""

SEED = 131571

_numbers = count(1)
"""Number each interval of this process: seed of its pattern and stamp of its stores."""

_open_cells = []
"""The cell that logs at the moment, if any."""


class WrongHarvestError(Exception):
    """A harvest that is not what was stored: its cell fails, and has no time."""


def tracker_class(strategy):
    """Return the class of a tracker.

    Raises
    ------
    NotImplementedError
        This revision lacks it: the cell is n/a.
    """
    if strategy not in registry.names():
        raise NotImplementedError(strategy)
    return registry.get(strategy)


def skipped(rule, *params):
    """Return the parameter combinations for which a rule holds, for `skip_params`."""
    return [combination for combination in product(*params) if rule(*combination)]


def full_only(suite, *methods):
    """Leave benchmarks out of the small grid."""
    for method in methods if not IS_FULL else ():
        delattr(suite, method)


def page_count(npages, density):
    """Return how many pages an interval writes."""
    return round(density * npages)


@lru_cache(maxsize=1)
def machine(slot_bytes, page_bytes, mapping, vcpus):
    """Return a machine whose guest has mapped all of its one slot; the last one is kept."""
    vm = Vm(
        slot_bytes // page_bytes,
        page_shift=page_bytes.bit_length() - 1,
        mapping=mapping,
        vcpus=vcpus,
    )
    vm.add_memslot(0, vm.guest_pages)
    vm.populate(SLOT)
    vm.arrays.stamps.fill(0)  # have the memory before any time is taken
    return vm


class Cell:
    """A tracker that logs the slot, and the interval that the guest has just run.

    Parameters
    ----------
    strategy : str
        The tracker.
    slot_bytes, page_bytes : int
        Size of the slot and of its base pages.
    mapping : {"linear", "scattered"}
    vcpus : int
    """

    def __init__(self, strategy, slot_bytes, page_bytes=PAGE_4K, mapping="linear", vcpus=1):
        tracker = tracker_class(strategy)
        self.vm = machine(slot_bytes, page_bytes, mapping, vcpus)
        self.tracker = tracker(self.vm)
        self.is_baseline = strategy == registry.BASELINE
        self.npages = self.vm.guest_pages
        self.out = self.tracker.buffer(SLOT)
        self.stamp = 0
        self.gfns = np.empty(0, np.int64)
        self.tracker.enable_logging(SLOT)
        self.dirty(1 / self.npages)
        self.harvest()  # compiles

    def draw(self, density):
        """Choose the distinct pages of the next interval, fresh ones, in random order."""
        self.stamp = next(_numbers)
        random = np.random.default_rng([SEED, self.stamp])
        self.gfns = random.choice(self.npages, page_count(self.npages, density), replace=False)

    def dirty(self, density):
        """Run the next interval: one store to each of its pages."""
        self.draw(density)
        self.vm.store(self.gfns, self.stamp)
        self.out.fill(~np.uint64(0))

    def harvest(self):
        """Harvest and judge it; return the nanoseconds inside compiled code."""
        ns = self.tracker.get_dirty_log(SLOT, self.out)
        self.judge()
        return ns

    def judge(self):
        """Return lost and spurious pages, both 0, of the last harvest; the baseline has none.

        Raises
        ------
        WrongHarvestError
            The guest did not store what it should, or the harvest is not that.
        """
        stamps = self.vm.arrays.stamps
        stored, _, lost, spurious, page = check_harvest(stamps, np.uint64(self.stamp), self.out)
        if self.is_baseline:
            lost = spurious = 0
        if stored != self.gfns.size or lost or spurious:
            raise WrongHarvestError(
                f"{self.tracker.name}: {stored} pages stored of {self.gfns.size}, "
                f"{lost} lost (first: {page}), {spurious} reported in excess"
            )
        return lost, spurious


def close_cell():
    """Stop the logging of the cell that is open."""
    while _open_cells:
        _open_cells.pop()[1].tracker.disable_logging(SLOT)


def open_cell(*key):
    """Return the cell of these parameters (those of `Cell`), logging; it is built once."""
    if not (_open_cells and _open_cells[0][0] == key):
        close_cell()
        tell_progress()
        _open_cells.append((key, Cell(*key)))
    cell = _open_cells[0][1]
    cell.tracker.enable_logging(SLOT)
    return cell


def tell_progress():
    """Let the file that DIRTYLOG_PROGRESS names grow: a cell is begun."""
    path = os.environ.get("DIRTYLOG_PROGRESS")
    if path:
        with Path(path).open("ab") as file:
            file.write(b".")


class OwnClock:
    """Base of the `time_` benchmarks: asv reads the time that the benchmark itself has counted.

    A benchmark adds to `ns` what the clock inside a kernel measured, and only after its check.
    What lies between (the call, the check) is not in the time, yet asv makes its samples and
    statistics as ever. asv's limits on warm-up and duration use the wall clock all the same.
    """

    ns = 0
    warmup_time = 0.1
    repeat = (4, 20, 0.5) if IS_FULL else (5, 20, 1.0)
    rounds = 2
    version = "1"

    def timer(self):
        """Return the seconds counted so far."""
        return self.ns * 1e-9
