"""How pages of a trace change: into larger or smaller ones, and into longer epochs."""

import numpy as np


def union_of_epochs(
    offsets: np.ndarray, gfns: np.ndarray, epochs: int, times: int, slot_pages: int
):
    """Return offsets, gfns and the place of each page in them, of so many longer epochs."""
    longer = np.repeat(np.arange(len(offsets) - 1) // times, np.diff(offsets))
    keep = longer < epochs
    keys = longer[keep] * slot_pages + gfns[keep]
    pages, place = np.unique(keys, return_inverse=True)
    counts = np.bincount(pages // slot_pages, minlength=epochs)
    starts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    return starts, (pages % slot_pages).astype(np.uint32), place


def cut_pages(gfns: np.ndarray, parts: int) -> np.ndarray:
    """Return the pages that so many parts of each page are."""
    first = gfns * np.uint32(parts)
    return np.add.outer(first, np.arange(parts, dtype=np.uint32)).ravel()


def running_count(flags: np.ndarray) -> np.ndarray:
    """Return int64[len + 1]: how many of `flags` are True before each position."""
    return np.concatenate(([0], np.cumsum(flags, dtype=np.int64)))


def merge_pages(
    offsets: np.ndarray, gfns: np.ndarray, shift: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return offsets and gfns of the larger pages, and where in `gfns` each begins."""
    coarse = gfns >> np.uint32(shift)
    begins = np.ones(len(gfns), bool)
    begins[1:] = coarse[1:] != coarse[:-1]
    begins[offsets[offsets < len(gfns)]] = True
    first = np.flatnonzero(begins)
    return running_count(begins)[offsets], coarse[first], first
