"""Dirty bitmaps, as KVM_GET_DIRTY_LOG fills them."""

import math

import numpy as np

from strategies.errors import InputError
from strategies.workloads.archive import MAX_TRACE_BYTES
from strategies.workloads.checks import MAX_SLOT_PAGES
from strategies.workloads.compact import laid_out
from strategies.workloads.trace import Trace


def read_bitmaps(paths, options):
    """Return a trace with an epoch for each file, in the order given.

    The slot has as many pages as the first file has bits unless `slot_pages` is given. Each file
    has whole 64-bit words, as many as the slot needs, or it is no bitmap of the slot.
    """
    maps = [_read(path) for path in paths]
    slot_pages = options.slot_pages or 8 * len(maps[0])
    nbytes = 8 * math.ceil(slot_pages / 64)
    for path, one in zip(paths, maps, strict=True):
        if len(one) != nbytes:
            raise InputError(
                f"{str(path)!r} has {len(one)} bytes; accepted: {nbytes}, 8 for each 64 pages of "
                "the slot, as KVM_GET_DIRTY_LOG fills them"
            )
    nbytes = 8 * sum(int(np.bitwise_count(one).sum(dtype=np.int64)) for one in maps)
    if nbytes > MAX_TRACE_BYTES:
        raise InputError(f"{nbytes // 8} bits are set; accepted: at most {MAX_TRACE_BYTES // 8}")
    offsets, gfns = laid_out([_set_bits(one) for one in maps])
    meta = options.meta(slot_pages, len(paths), f"bitmaps from {paths[0].name}")
    return Trace(offsets=offsets, gfns=gfns.astype(np.uint32), meta=meta)


def _set_bits(one):
    """Return the numbers of the bits that are set; what takes memory are these, not the map."""
    (places,) = np.nonzero(one)
    rows, bits = np.nonzero(np.unpackbits(one[places, None], axis=1, bitorder="little"))
    return places[rows] * 8 + bits


def _read(path):
    if path.stat().st_size > MAX_SLOT_PAGES // 8:
        raise InputError(f"{str(path)!r} is too long; accepted: at most {MAX_SLOT_PAGES} bits")
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{str(path)!r}: {error.strerror}") from error
    if not len(content):
        raise InputError(f"{str(path)!r} is empty; accepted: a bitmap")
    return content
