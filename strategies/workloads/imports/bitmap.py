"""Dirty bitmaps, as KVM_GET_DIRTY_LOG fills them."""

import numpy as np

from strategies.errors import InputError
from strategies.workloads.compact import laid_out
from strategies.workloads.trace import Trace


def read_bitmaps(paths, options):
    """Return a trace with an epoch for each file, in the order given; all of the same size.

    The slot has as many pages as the file has bits unless `slot_pages` is given.
    """
    maps = [_read(path) for path in paths]
    bits = 8 * len(maps[0])
    slot_pages = options.slot_pages or bits
    for path, one in zip(paths, maps, strict=True):
        if 8 * len(one) != bits:
            raise InputError(f"{str(path)!r} has {len(one)} bytes, the first file {bits // 8}")
    if slot_pages > bits:
        raise InputError(f"the bitmaps have {bits} bits, too few for {slot_pages} pages")
    epochs = [np.flatnonzero(np.unpackbits(one, bitorder="little")) for one in maps]
    offsets, gfns = laid_out(epochs)
    meta = options.meta(slot_pages, len(paths), f"bitmaps from {paths[0].name}")
    return Trace(offsets=offsets, gfns=gfns.astype(np.uint32), meta=meta)


def _read(path):
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{str(path)!r}: {error.strerror}") from error
    if not len(content):
        raise InputError(f"{str(path)!r} is empty; accepted: a bitmap")
    return content
