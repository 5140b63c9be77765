"""Write protection that the kernel itself resolves, harvested by a walk of the page table."""

import errno as codes
import os

import numpy as np

from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.core.words import I64, ZERO
from strategies.lanes.base import check
from strategies.lanes.calls import errno, ioctl
from strategies.lanes.errors import Unavailable
from strategies.lanes.uffd import PAGEFAULT_FLAG_WP, WP_ASYNC, WP_UNPOPULATED, UffdLane
from strategies.lanes.words import PAGE_BYTES, set_run

PAGEMAP_SCAN = 0xC0606610
WP_MATCHING, CHECK_WPASYNC = 1, 2
WRITTEN = 2
START, WALK_END, VEC_LEN = 2, 4, 6
"""Words of struct pm_scan_arg."""


@kernel
def _scan(fd, argument, regions, base, out):
    """Get the written pages and protect them again (PAGEMAP_SCAN), into a bitmap.

    The walk is complete only when it found fewer regions than fit: `walk_end` alone does not tell.

    Parameters
    ----------
    fd : int
        The process's pagemap.
    argument, regions : int
        Addresses of struct pm_scan_arg, and of its vector of struct page_region.
    base : int
        Address of the slot.
    out : uint64[words]

    Returns
    -------
    tuple of int
        Nanoseconds, or a negative errno; and the regions (runs of pages).
    """
    begin = monotonic_ns()
    out[:] = ZERO
    first = atomics.load_own(argument, START)
    runs = I64(0)
    while True:
        found = ioctl(fd, PAGEMAP_SCAN, argument)
        if found < 0:
            return -errno(), runs
        runs += found
        for region in range(found):
            start = I64(atomics.load_own(regions, 3 * region)) - base
            end = I64(atomics.load_own(regions, 3 * region + 1)) - base
            set_run(out, start // PAGE_BYTES, end // PAGE_BYTES)
        if found < I64(atomics.load_own(argument, VEC_LEN)):
            break
        atomics.store_own(argument, START, atomics.load_own(argument, WALK_END))
    atomics.store_own(argument, START, first)
    return monotonic_ns() - begin, runs


class UffdAsync(UffdLane):
    """userfaultfd in asynchronous mode and PAGEMAP_SCAN: a walk of all page-table entries.

    The twin of a scan: the harvest looks at every page of the slot, and protects the written ones
    again in the same step. A store to a protected page faults, and the kernel opens the page
    without asking anyone. Counts `runs`, the regions that the scans returned.
    """

    name = "uffd_async"
    features = PAGEFAULT_FLAG_WP | WP_UNPOPULATED | WP_ASYNC
    lacks = "the kernel has no asynchronous write protection (Linux 6.7 brought it)"

    def __init__(self, npages, *, thp=False):
        super().__init__(npages, thp=thp)
        self.counts = {"runs": 0}
        self._regions = np.zeros(3 * (npages // 2 + 2), np.uint64)
        end = self._address + self.memory.nbytes
        flags = WP_MATCHING | CHECK_WPASYNC
        vector = (self._regions.ctypes.data, len(self._regions) // 3)
        words = (96, flags, self._address, end, 0, *vector, 0, 0, WRITTEN, 0, WRITTEN)
        self._argument = np.array(words, np.uint64)
        self._pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)

    def harvest(self, out):
        """Scan the slot once."""
        address, regions = self._argument.ctypes.data, self._regions.ctypes.data
        ns, runs = _scan(self._pagemap, address, regions, self._address, out)
        if ns in (-codes.ENOTTY, -codes.EINVAL):
            raise Unavailable("the kernel has no PAGEMAP_SCAN (Linux 6.7 brought it)")
        self.counts["runs"] += runs
        return check(ns)

    def close(self):
        """Close the pagemap too."""
        super().close()
        os.close(self._pagemap)
