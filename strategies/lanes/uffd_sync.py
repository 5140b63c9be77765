"""Write protection that a handler thread resolves, one page and one message at a time."""

import os
import threading

import numpy as np

from strategies.core import atomics
from strategies.core.clock import monotonic_ns
from strategies.core.jit import kernel
from strategies.core.words import I64, ONE, U64, ZERO, ctz
from strategies.lanes.base import check
from strategies.lanes.calls import errno, ioctl, lock, read, unlock
from strategies.lanes.uffd import PAGEFAULT_FLAG_WP, PROTECT, UNPROTECT, WRITEPROTECT, UffdLane
from strategies.lanes.words import PAGE_BYTES, store

MESSAGE_BYTES = 32
MESSAGE_ADDRESS = 2
"""Word of struct uffd_msg that holds the address."""


@kernel
def _protect(uffd, argument, address, npages, mode):
    """Protect or open a run of pages (UFFDIO_WRITEPROTECT); return 0 or -1."""
    atomics.store_own(argument, 0, U64(address))
    atomics.store_own(argument, 1, U64(npages * PAGE_BYTES))
    atomics.store_own(argument, 2, U64(mode))
    return ioctl(uffd, WRITEPROTECT, argument)


@kernel
def _handle(uffd, base, npages, log, mutex, message, argument):
    """Answer faults: note the page, then open it; until a store to the page after the slot.

    Note and open are one step for the harvest: a page that it protects between the two would be
    opened unnoted. Returns the number of faults, or a negative errno.
    """
    faults = I64(0)
    while True:
        if read(uffd, message, MESSAGE_BYTES) != MESSAGE_BYTES:
            return -errno()
        page = (I64(atomics.load_own(message, MESSAGE_ADDRESS)) - base) // PAGE_BYTES
        lock(mutex)
        if page < npages:
            noted = atomics.load_own(log, page >> 6)
            atomics.store_own(log, page >> 6, noted | (ONE << U64(page & 63)))
            faults += 1
        failed = _protect(uffd, argument, base + page * PAGE_BYTES, I64(1), UNPROTECT)
        unlock(mutex)
        if failed:
            return -errno()
        if page == npages:
            return faults


@kernel
def _harvest(uffd, base, log, mutex, argument, out):
    """Take the log and protect its pages again, a run at a time; return ns or a negative errno."""
    begin = monotonic_ns()
    lock(mutex)
    first, last = I64(-1), I64(-1)
    failed = I64(0)
    for word in range(out.size):
        bits = atomics.load_own(log, word)
        out[word] = bits
        atomics.store_own(log, word, ZERO)
        while bits:
            page = word * 64 + ctz(bits)
            bits &= bits - ONE
            if page != last:
                if first >= 0:
                    failed |= _protect(
                        uffd, argument, base + first * PAGE_BYTES, last - first, PROTECT
                    )
                first = page
            last = page + 1
    if first >= 0:
        failed |= _protect(uffd, argument, base + first * PAGE_BYTES, last - first, PROTECT)
    unlock(mutex)
    return -errno() if failed else monotonic_ns() - begin


class UffdSync(UffdLane):
    """userfaultfd with a handler thread: write-protect-and-fault, the log in user space.

    A fault costs two switches of thread. Writer and handler are kept on one CPU: on two, each
    fault wakes the other CPU, and the time tells of that alone. Counts `faults`.
    """

    name = "uffd_sync"
    features = PAGEFAULT_FLAG_WP
    lacks = "the kernel has no userfaultfd write protection (Linux 5.7 brought it)"

    def __init__(self, npages, *, thp=False):
        # One page more than the slot: a store to it ends the handler.
        super().__init__(npages + 1, thp=thp)
        self.npages = npages
        self.counts = {"faults": 0}
        self._log = np.zeros(npages // 64 + 1, np.uint64)
        self._mutex, self._message, self._handled, self._harvested_by = np.zeros((4, 8), np.uint64)
        self._handler = None
        self._cpus = os.sched_getaffinity(0)

    def enable(self):
        """Protect the slot and start the handler."""
        os.sched_setaffinity(0, {min(self._cpus)})
        super().enable()
        self._handler = threading.Thread(target=self._run_handler, daemon=True)
        self._handler.start()

    def _run_handler(self):
        log, mutex = self._log.ctypes.data, self._mutex.ctypes.data
        scratch = (self._message.ctypes.data, self._handled.ctypes.data)
        faults = _handle(self._uffd, self._address, self.npages, log, mutex, *scratch)
        self.counts["faults"] += check(faults)

    def harvest(self, out):
        """Take the log; one system call for each run of pages."""
        log, mutex = self._log.ctypes.data, self._mutex.ctypes.data
        scratch = self._harvested_by.ctypes.data
        return check(_harvest(self._uffd, self._address, log, mutex, scratch, out))

    def disable(self):
        """End the handler and open the slot."""
        if self._handler is not None:
            store(self._address, np.array([self.npages]))
            self._handler.join()
            self._handler = None
        super().disable()
        os.sched_setaffinity(0, self._cpus)
