"""Memory for the machine's tables: zeroed, page-aligned, backed by huge pages where they help.

A host kernel reaches the HPT, the revmap and the rmap through its linear mapping, which uses large
pages, and the HPT is naturally aligned; numpy's allocator promises neither. Pages that are
never touched take no memory, so holes between memory slots are free.
"""

import contextlib
import mmap
from pathlib import Path

import numpy as np

HUGE_PAGE_BYTES = 2 << 20


def zeros(count):
    """Return a zeroed array of `count` uint64, aligned to a page."""
    nbytes = count * np.dtype(np.uint64).itemsize
    region = mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if nbytes >= HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel built without huge pages
            region.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(region, np.uint64, count)


def available_bytes():
    """Return how much memory this machine can still give, or None where it does not tell."""
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    fields = dict(line.split(":") for line in meminfo.read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) * 1024
