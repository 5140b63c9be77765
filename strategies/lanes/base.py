"""The contract of a lane: a tracker that a real kernel runs, behind the ioctl's bitmap."""

import mmap
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numba import config

from strategies.lanes.errors import Unavailable
from strategies.lanes.words import PAGE_BYTES, store

HUGE_PAGE_BYTES = 2 << 20
SELF_TEST = (0, 1, 5, 63, 64, 65, 130)
"""Pages of the seven-page self test: both ends of a bitmap word, and a lone one."""


class Lane(ABC):
    """One slot of real memory whose writes a kernel tracks.

    A lane is used by one thread that writes and one that harvests, which may be the same. While
    it is enabled nobody else may store to `memory`: a store can wait for a handler, and one from
    Python would hold the interpreter's lock meanwhile. Reading is free.

    Parameters
    ----------
    npages : int
        Pages of 4 KiB of the slot. They are made resident here: no first touch is ever timed.
    thp : bool
        Ask for transparent huge pages, which the first store after `enable` may split.

    Attributes
    ----------
    memory : uint64[npages * 512]
        The slot. A write adds 1 to the first word of its page.
    counts : dict of str to int
        What the lane counts, in its own words (see its docstring), since it was made.
    closed_early : int
        How often it protected pages again before a harvest, as when a ring was full.

    Raises
    ------
    Unavailable
        This machine does not offer what the lane needs.
    OSError
        Not enough memory, or the kernel refused a call that it offers.
    """

    name: ClassVar[str]
    needs: ClassVar[str] = "nothing"
    """The privilege that the lane needs."""
    reports: ClassVar[bool] = True
    """Whether a harvest reports anything; the baseline does not."""

    def __init__(self, npages, *, thp=False):
        self.npages = npages
        self.memory = _slot(npages, thp)
        self.counts = {}
        self.closed_early = 0
        self._address = self.memory.ctypes.data

    def buffer(self):
        """Return a bitmap for `harvest`: uint64[ceil(npages / 64)], page i is bit i % 64."""
        return np.zeros(-(-self.npages // 64), np.uint64)

    @abstractmethod
    def enable(self):
        """Start an empty log."""

    @abstractmethod
    def disable(self):
        """Stop logging; stores cost what they cost without. Harmless if it was not enabled."""

    def write(self, gfns):
        """Store once to each page of `gfns` (int64[n], in order); return the nanoseconds."""
        return store(self._address, gfns)

    def overhead_ns(self, _stores):
        """Return the nanoseconds of a write of so many stores that are none of the stores'."""
        return 0

    @abstractmethod
    def harvest(self, out):
        """Fill `out` with the pages written since the last harvest, and track them again.

        Returns
        -------
        int
            Nanoseconds, taken inside compiled code: from the call until `out` is complete.
        """

    def close(self):
        """Give back what the lane holds besides memory. It cannot be used afterwards."""
        self.disable()

    @classmethod
    def probe(cls):
        """Return why this machine cannot run the lane, in one line, or None: seven pages tell."""
        if config.DISABLE_JIT:
            return "needs the compiler: NUMBA_DISABLE_JIT is set"
        try:
            lane = cls(SELF_TEST[-1] + 1)
            try:
                return lane.self_test()
            finally:
                lane.close()
        except Unavailable as reason:
            return str(reason)
        except OSError as error:
            return f"a system call failed: {error.strerror or error}"

    def self_test(self):
        """Write seven pages, twice; return what is wrong with the harvests, or None."""
        self.enable()
        expected = list(SELF_TEST) if self.reports else []
        for _ in range(2):
            self.write(np.array(SELF_TEST, np.int64))
            got = pages_of(self._harvested())
            if got != expected:
                return f"its self test wrote the pages {expected} and harvested {got}"
        if pages_of(self._harvested()):
            return "its self test harvested pages that nobody wrote"
        return None

    def _harvested(self):
        out = self.buffer()
        self.harvest(out)
        return out


def pages_of(out):
    """Return the gfns of a bitmap as a list of int."""
    return np.flatnonzero(np.unpackbits(out.view(np.uint8), bitorder="little")).tolist()


def check(result):
    """Return what a kernel returned, or raise OSError if that is a negative errno."""
    if result < 0:
        raise OSError(int(-result), f"errno {-result}")
    return int(result)


def _slot(npages, thp):
    """Return resident, private, anonymous memory aligned to a huge page."""
    nbytes = npages * PAGE_BYTES
    region = mmap.mmap(-1, nbytes + HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = np.frombuffer(region, np.uint8).ctypes.data
    offset = -address % HUGE_PAGE_BYTES
    advice = "MADV_HUGEPAGE" if thp else "MADV_NOHUGEPAGE"
    try:
        region.madvise(getattr(mmap, advice))
    except OSError:
        if thp:
            raise Unavailable("this kernel has no transparent huge pages") from None
    memory = np.frombuffer(region, np.uint64, nbytes // 8, offset)
    memory[:: PAGE_BYTES // 8] = 0
    return memory
