"""From sparse addresses to the pages of a slot."""

import numpy as np

from strategies.errors import InputError
from strategies.workloads.checks import MAX_SLOT_PAGES

PIECE_PAGES = 64
"""Pages of 4 KiB of a piece of address space that is kept or left out as a whole: 256 KiB."""


class Compaction:
    """A slot made of the pieces of 256 KiB in which some page was seen, in order of address.

    Adjacency within a piece is kept.

    Parameters
    ----------
    seen : int64[n]
        Page numbers (address / 4096), in any order.

    Attributes
    ----------
    slot_pages : int
    address_runs : list of [int, int, int]
        Address of the first byte, first gfn, and pages of each run of adjacent pieces.

    Raises
    ------
    InputError
        No page at all, or more pieces than a slot holds.
    """

    def __init__(self, seen):
        if not len(seen):
            raise InputError("no page was seen; accepted: at least one")
        self._pieces = np.unique(np.asarray(seen, np.int64) // PIECE_PAGES)
        self.slot_pages = len(self._pieces) * PIECE_PAGES
        if self.slot_pages > MAX_SLOT_PAGES:
            raise InputError(
                f"{self.slot_pages} pages are too many; accepted: at most {MAX_SLOT_PAGES}"
            )
        self.address_runs = self._runs()

    def gfns(self, pages):
        """Return the pages of the slot (int64) that these became; all must have been seen."""
        piece, within = np.divmod(pages, PIECE_PAGES)
        return np.searchsorted(self._pieces, piece) * PIECE_PAGES + within

    def _runs(self):
        pieces = self._pieces
        first = np.flatnonzero(np.diff(pieces, prepend=pieces[0] - 2) != 1)
        counts = np.diff(np.append(first, len(pieces)))
        return [
            [int(pieces[at]) * PIECE_PAGES * 4096, int(at) * PIECE_PAGES, int(count) * PIECE_PAGES]
            for at, count in zip(first, counts, strict=True)
        ]


def laid_out_by_number(epochs, pages, count):
    """Return what `laid_out` does, of the epoch's number (int64[n]) of each page (int64[n])."""
    order = np.lexsort((pages, epochs))
    epochs, pages = epochs[order], pages[order]
    first = np.ones(len(pages), bool)
    first[1:] = (pages[1:] != pages[:-1]) | (epochs[1:] != epochs[:-1])
    return np.searchsorted(epochs[first], np.arange(count + 1)), pages[first]


def laid_out(epochs):
    """Return offsets (int64) and pages (int64) of the epochs' pages, sorted, each once an epoch."""
    epochs = [np.unique(np.asarray(pages, np.int64)) for pages in epochs]
    offsets = np.cumsum([0, *(len(pages) for pages in epochs)], dtype=np.int64)
    return offsets, np.concatenate([np.empty(0, np.int64), *epochs])
