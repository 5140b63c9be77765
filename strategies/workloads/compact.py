"""From sparse addresses to the pages of a slot."""

import numpy as np

from strategies.errors import InputError
from strategies.workloads.checks import MAX_SLOT_PAGES

PIECE_PAGES = 64
"""Pages of 4 KiB of a piece of address space that is kept or left out as a whole: 256 KiB."""


def compact(pages, resident=()):
    """Return a trace's arrays from the page numbers of sparse addresses.

    Pieces of 256 KiB in which no page was seen are left out, the others joined in the order of
    their addresses: adjacency within a piece is kept.

    Parameters
    ----------
    pages : sequence of int64[n]
        Written pages of each epoch (address / 4096), in any order.
    resident : int64[n]
        Pages seen besides, which keep their piece.

    Returns
    -------
    tuple
        `offsets` int64[epochs + 1], `gfns` uint32[total], the slot's pages, and
        `address_runs`: a list of [address of the first byte, first gfn, pages].

    Raises
    ------
    InputError
        No page at all, or more than a slot holds.
    """
    epochs = [np.unique(epoch) for epoch in pages]
    seen = np.concatenate([np.asarray(resident, np.int64), *epochs]).astype(np.int64)
    if not len(seen):
        raise InputError("no page was written; accepted: at least one")
    pieces = np.unique(seen // PIECE_PAGES)
    slot_pages = len(pieces) * PIECE_PAGES
    if slot_pages > MAX_SLOT_PAGES:
        raise InputError(f"{slot_pages} pages are too many; accepted: at most {MAX_SLOT_PAGES}")
    written = np.concatenate([np.empty(0, np.int64), *epochs])
    place = np.searchsorted(pieces, written // PIECE_PAGES)
    gfns = (place * PIECE_PAGES + written % PIECE_PAGES).astype(np.uint32)
    offsets = np.concatenate(([0], np.cumsum([len(epoch) for epoch in epochs]))).astype(np.int64)
    return offsets, gfns, slot_pages, _runs(pieces)


def _runs(pieces):
    """Return where each run of adjacent pieces lies in the slot."""
    first = np.flatnonzero(np.diff(pieces, prepend=pieces[0] - 2) != 1)
    counts = np.diff(np.append(first, len(pieces)))
    return [
        [int(pieces[at]) * PIECE_PAGES * 4096, int(at) * PIECE_PAGES, int(count) * PIECE_PAGES]
        for at, count in zip(first, counts, strict=True)
    ]
