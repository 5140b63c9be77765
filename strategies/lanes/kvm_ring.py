"""KVM's dirty ring: a fault appends the page to a ring that the harvest reads."""

import mmap
import threading

import numpy as np

from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.core.words import I64, ONE, U64, ZERO
from strategies.lanes.base import check
from strategies.lanes.calls import errno, ioctl
from strategies.lanes.kvm import SLOT, KvmLane

DIRTY_LOG_RING = 192
RESET_DIRTY_RINGS = 0xAEC7
RING_OFFSET = 64 * mmap.PAGESIZE
ENTRIES = 1 << 16
ENTRY_BYTES = 16
DIRTY, HARVESTED = U64(1), U64(2)
FLAGS = U64(0xFFFFFFFF)


@kernel
def _drain(vm, ring, entries, fetch, out):
    """Take all entries of the ring into a bitmap, and hand them back (KVM_RESET_DIRTY_RINGS).

    An entry is two words: flags with the slot above, and the page's number in the slot.

    Returns
    -------
    tuple of int
        Nanoseconds, or a negative errno; and where the next harvest begins.
    """
    begin = monotonic_ns()
    while True:
        at = 2 * (fetch % entries)
        head = atomics.load(ring, at)
        if not head & DIRTY:
            break
        if head >> U64(32) == U64(SLOT):
            page = I64(atomics.load_own(ring, at + 1))
            out[page >> 6] |= ONE << U64(page & 63)
        atomics.store(ring, at, (head & ~FLAGS) | HARVESTED)
        fetch += 1
    if ioctl(vm, RESET_DIRTY_RINGS, 0) < 0:
        return -errno(), fetch
    return monotonic_ns() - begin, fetch


@kernel
def _take(pending, out):
    """Move a bitmap; return the nanoseconds."""
    begin = monotonic_ns()
    out[:] = pending
    pending[:] = ZERO
    return monotonic_ns() - begin


class KvmRing(KvmLane):
    """The dirty ring of 65536 entries, 64 of which KVM keeps for itself.

    The harvest costs what was written, whatever the size of the slot, and here one pass over the
    bitmap that it fills. A full ring stops the guest until it is emptied, which counts as the
    guest's time and protects its pages again. Counts `full`, and `entries` taken.
    """

    name = "kvm_ring"
    capability = DIRTY_LOG_RING, "KVM_CAP_DIRTY_LOG_RING"

    def __init__(self, npages, *, thp=False):
        super().__init__(npages, thp=thp)
        self.counts |= {"full": 0, "entries": 0}
        self._fetch = 0
        self._pending = self.buffer()
        self._lock = threading.Lock()

    def _check_capability(self):
        return min(super()._check_capability(), ENTRIES * ENTRY_BYTES)

    def _prepare_vm(self):
        self._enable_capability(DIRTY_LOG_RING, self._offer)

    def _build(self):
        super()._build()
        # mapped ahead: else each page of the ring faults in the first harvest that reads it
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
        region = mmap.mmap(self._vcpu, self._offer, flags=flags, offset=RING_OFFSET)
        self._ring = np.frombuffer(region, np.uint64)

    def enable(self):
        """Start logging with an empty ring."""
        super().enable()
        self.harvest(self.buffer())

    def harvest(self, out):
        """Empty the ring; pages that a full ring had yielded before are there too."""
        with self._lock:
            return self._empty() + _take(self._pending, out)

    def _make_room(self):
        self.counts["full"] += 1
        self.closed_early += 1
        with self._lock:
            return self._empty()

    def _empty(self):
        entries = self._offer // ENTRY_BYTES
        ring = self._ring.ctypes.data
        ns, fetch = _drain(self._vm, ring, entries, self._fetch, self._pending)
        self.counts["entries"] += fetch - self._fetch
        self._fetch = fetch
        return check(ns)
