"""Memory for the machine's tables: zeroed, page-aligned, backed by huge pages where they help.

A host kernel reaches the HPT, the revmap and the rmap through its linear mapping, which uses large
pages, and the HPT is naturally aligned; numpy's allocator promises neither. Pages that are
never touched take no memory, so holes between memory slots are free.
"""

import contextlib
import mmap

import numpy as np

HUGE_PAGE_BYTES = 2 << 20


def zeros(count, dtype=np.uint64):
    """Return a zeroed one-dimensional array of `count` elements, aligned to a page."""
    nbytes = max(1, count * np.dtype(dtype).itemsize)
    region = mmap.mmap(-1, nbytes)
    if nbytes >= HUGE_PAGE_BYTES and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel built without huge pages
            region.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(region, dtype=dtype, count=count)
